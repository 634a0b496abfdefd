"""A run folder → lines that are the same whenever the run is: what was said, heard and decided, and hashes of every file.

Left out is what two runs of one config may differ in: times, dates, versions, the machine, the process, energy, caches.
A line that begins with `exact` holds last bits of floating-point numbers, and is only the same on one machine.
"""

import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

# Of any record or file, wherever it stands.
VARYING = {
    "t", "seconds", "pid", "host", "python", "packages", "package", "platform", "git_hash", "date", "start_time", "end_time",
    "total_evaluation_time_seconds", "pretty_env_info", "transformers_version", "lm_eval_version", "written_by", "timestamp",
    "cached_tokens", "joules", "source", "chain",
}  # fmt: skip
# Keys of configs that are younger than the recording → the default, in lower case.
ADDED = {
    "allow_huge": "false", "content": "intact", "likelihood": "false", "overflow": "fail", "reduce": "none",
    "rows_at_once": "false",
}  # fmt: skip
# Hashes of floating-point numbers.
BITS = {"digest", "table"}
# Files that hold times or energy only, or are for people; the journal is read record by record.
UNREAD = re.compile(r"lock|log\.jsonl|timings\.jsonl|energy\.json|journal\.log|report\.html")


def lines_of(folder: Path, *, is_real: bool = False, with_turns: bool = True) -> list[str]:
    """Return the lines of a run.

    Args:
        folder: the run.
        is_real: of a real model: only what was said, heard and decided.
        with_turns: tell each turn in a line of its own, beside the hash of all.
    """
    records = journal(folder / "journal.log")
    shown = [record for record in records if with_turns or record["kind"] != "turn"]
    lines = [line for record in shown if (line := told(record, with_tokens=is_real))]
    if is_real:
        # Who is done first is a matter of time.
        lines.sort()
    results = (
        json.loads((folder / "results.json").read_text())["methods"] if (folder / "results.json").is_file() else {}
    )
    dropped = ("seconds", "cached_tokens", "message_bytes") if is_real else ("seconds", "cached_tokens")
    lines += [f"row {dumped({k: v for k, v in row.items() if k not in dropped})}" for row in results.values()]
    if is_real:
        return lines
    lines += kinds(records)
    everything: list[Any] = [steady(records)]
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if UNREAD.fullmatch(file.name) or name.startswith("messages/"):
            continue
        found = content(file)
        everything.append([dated(name), found])
        lines.append(f"{dated(name)} {digest(portable(found))}")
    blobs = sorted((folder / "messages").glob("*/*"))
    lines.append(f"messages: {len(blobs)} files, {sum(file.stat().st_size for file in blobs)} bytes")
    messages = [[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in blobs]
    return [*lines, f"exact messages {digest(messages)}", f"exact everything else {digest(everything)}"]


def journal(path: Path) -> list[dict[str, Any]]:
    """Return the records of a journal, each checked; a torn tail is left out."""
    records = []
    for line in path.read_bytes().splitlines(keepends=True):
        checksum, _, body = line.partition(b" ")
        if line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(body[:-1]):
            records.append(json.loads(body))
    return records


def told(record: dict[str, Any], *, with_tokens: bool = False) -> str:
    """Return a turn, a decision or a failure in one line; nothing of another record."""
    about = f"{record.get('method')} {record.get('question')}"
    match record["kind"]:
        case "turn":
            heard = " ".join(f"{number}/{agent}" for number, agent in record["heard"]) or "nobody"
            usage = record["usage"]
            mapped = "".join(f" mapped {number}/{agent} {mass:.2f}" for number, agent, mass in record.get("mapped", ()))
            read = "".join(f" read {number}/{agent}" for number, agent in record.get("read_out", ()))
            tokens = f" tokens {record.get('token_ids')}" if with_tokens and record["encoder"] is None else ""
            return (
                f"{about} {record['round']}/{record['agent']} < {heard}{mapped}{read}; {record['encoder'] or 'text'} seed …"
                f"{record['seed'] % 10**6:06d} {usage['prompt_tokens']}+{usage['generated_tokens']} {record['finish_reason']}: "
                f"{record['text']!r}{tokens}"
            )
        case "decision":
            fields = {key: record[key] for key in ("answer", "reason", "answers", "score", "target")}
            return f"{about} decided {dumped(fields)}"
        case "failed":
            return f"{about} failed {record['reason']}"
    return ""


def kinds(records: list[dict[str, Any]]) -> list[str]:
    """Return, of each kind of record, a hash of all that it says and its keys; and a hash of the order of all."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(record["kind"], []).append(record)
    lines = []
    for kind, of_kind in found.items():
        keys = " ".join(dict.fromkeys(key for record in of_kind for key in record))
        lines.append(f"{len(of_kind)} {kind} {digest(portable(steady(of_kind)))}: {keys}")
    return [*lines, f"order {digest([[record['kind'], told(record)] for record in records])}"]


def content(file: Path) -> Any:
    """Return what a file says, without what varies."""
    if file.suffix == ".parquet":
        from pyarrow import parquet

        return steady(parquet.read_table(file).to_pylist())
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        return steady(json.loads(text))
    if file.suffix == ".jsonl":
        return [steady(json.loads(line)) for line in text.splitlines()]
    if file.suffix == ".yaml":
        lines = text.splitlines(keepends=True)
        return "".join(line for line in lines if not is_added(*line.strip().partition(": ")[::2]))
    return _figures(text) if file.suffix == ".html" else text


def is_added(key: str, value: Any) -> bool:
    """Whether this is a key that came after the recording, with the value under which everything is as before."""
    return key in ADDED and str(value).lower() == ADDED[key]


def _figures(page: str) -> list[list[str]]:
    """Return what a report says in figures, whatever its wording: cells, numbers of its comparisons, what was said."""
    # Pictures are matplotlib's, times and energy the machine's, and facts and config are in files of their own.
    for cut in (r"<svg.*?</svg>", r"<h3>What it cost</h3>.*?</table>", r"<details>.*?</details>"):
        page = re.sub(cut, "", page, flags=re.DOTALL)
    compared = re.findall(r"<li>(.*?)</li>", page)
    return [
        re.findall(r"<td>(.*?)</td>", page),
        [" ".join(re.findall(r"\d[\d.]*", sentence)) for sentence in compared],
        re.findall(r"<pre>(.*?)</pre>", page, flags=re.DOTALL),
    ]


def steady(value: Any) -> Any:
    """Return plain data without what varies between two runs of one config."""
    if isinstance(value, dict):
        return {key: steady(inner) for key, inner in value.items() if key not in VARYING and not is_added(key, inner)}
    if isinstance(value, list | tuple):
        return [steady(inner) for inner in value]
    return value


def portable(value: Any) -> Any:
    """Return plain data without the last bits of floating-point numbers."""
    if isinstance(value, dict):
        return {key: portable(inner) for key, inner in value.items() if key not in BITS}
    if isinstance(value, list | tuple):
        return [portable(inner) for inner in value]
    return float(f"{value:.3g}") if isinstance(value, float) else value


def digest(value: Any) -> str:
    """Return the first digits of the SHA-256 of plain data; the order of keys counts."""
    return hashlib.sha256(dumped(value).encode()).hexdigest()[:10]


def dumped(value: Any) -> str:
    """Return plain data as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def dated(name: str) -> str:
    """Return the name of a file without its date."""
    return re.sub(r"_\d{4}-\d\d-\d\dT[\d.-]+(?=\.jsonl?$)", "", name)
