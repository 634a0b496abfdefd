"""`debate show`: the transcripts of a run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debate.cli import options
from debate.cli.app import app

if TYPE_CHECKING:
    from debate.run_folder.reader import DebateRecord

LookedAt = Mapping[str, Mapping[str, str | list[str]]]


@app.command()
def show(
    run: options.RunFolder,
    method: Annotated[str | None, typer.Option("--method", help="Show only this method.")] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="Show only the question with this id.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-L", min=1, help="Maximum number of debates per method.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Show only debates that were given up.")] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Show only debates in which an agent changed its answer.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show who said what, and what was decided.

    Example:  debate show runs/first --method cipher --limit 1
    """
    from agents.errors import RunError
    from agents.printable import printable_json
    from debate.run_folder.reader import RunReader
    from debate.run_folder.status import state_of
    from kernels.names import did_you_mean

    found = RunReader(run)
    names = [name for name in found.methods if method in (None, name)]
    if not names:
        known = ", ".join(found.methods) or "none"
        raise RunError(f"{run} has no method {method!r}. It has: {known}.{did_you_mean(method or '', found.methods)}")
    debates = {name: list(found.debates(name)) for name in names}
    ids = [record.transcript.question.id for records in debates.values() for record in records]
    if question and question not in ids:
        raise RunError(f"{run} has no question {question!r}.{did_you_mean(question, ids)}")
    moved = _changed_answers(found) if changed else None
    looked_at = _looked_at(run)

    def is_wanted(name: str, record: "DebateRecord") -> bool:
        id = record.transcript.question.id
        return (
            question in (None, id)
            and (not failed or record.failure is not None)
            and (moved is None or (name, id) in moved)
        )

    kept = {name: [one for one in debates[name] if is_wanted(name, one)][:limit] for name in names}
    if as_json:
        listed = [_as_json(name, record, looked_at) for name, records in kept.items() for record in records]
        found_json = json.dumps({"run": str(run), "state": state_of(run)[0], "debates": listed}, ensure_ascii=False)
        typer.echo(printable_json(found_json))
        return
    options.console.print(f"{run}: {state_of(run)[0]}", markup=False)
    for name, records in kept.items():
        for record in records:
            _print(name, record, looked_at)
    if not any(kept.values()):
        options.console.print("no such debate", markup=False)


def _print(name: str, record: "DebateRecord", looked_at: LookedAt) -> None:
    """Print a debate, turn by turn, below the files that were looked at."""
    from debate.cli.lines import turn_line

    transcript, decision = record.transcript, record.decision
    title = f"{name}  {transcript.question.id}  {transcript.question.text}"
    options.console.rule(title, align="left", style="dim")
    for kind, seen in looked_at.get(transcript.question.id, {}).items():
        # A file's name, or the lines of a page with the left, top, right and bottom of each.
        text = seen if isinstance(seen, str) else "\n  ".join(["left top right bottom, as shares", *seen])
        options.console.print(f"{kind}: {text}", markup=False, style="dim", soft_wrap=True)
    for turn in transcript.turns:
        options.console.print(turn_line(turn))
    if record.failure is not None:
        options.console.print(f"failed: {record.failure}", markup=False, style="bold")
        return
    if decision is None:
        options.console.print("not finished", style="bold")
        return
    why = f", {decision['score_reason']}" if decision.get("score_reason") else ""
    score = f" ({decision['score']}{why}; {decision['target']} is right)" if "score" in decision else ""
    answer = decision["answer"] if decision["answer"] is not None else "no answer"
    options.console.print(f"decision: {answer}{score}: {decision['reason']}", markup=False, style="bold")


def _as_json(name: str, record: "DebateRecord", looked_at: LookedAt) -> dict[str, Any]:
    """Return a debate as JSON values."""
    from debate.transcript import turn_fields

    transcript, decision = record.transcript, record.decision
    kept = ("answer", "answers", "reason", "score", "score_reason", "target")
    return {
        "method": name,
        "question": transcript.question.id,
        "text": transcript.question.text,
        "looked_at": dict(looked_at.get(transcript.question.id, {})),
        "turns": [turn_fields(turn) for turn in transcript.turns],
        "decision": None if decision is None else {key: decision[key] for key in kept if key in decision},
        "failed": record.failure,
    }


def _looked_at(run: Path) -> LookedAt:
    """Return question → kind → file, of what agents looked at besides the words, as far as it has a name; of a page its lines."""
    from evals.datasets.observed import LARGEST, PAGE, page_lines
    from evals.samples import read_samples

    found: dict[str, dict[str, str | list[str]]] = {}
    for sample in read_samples(run):
        found[sample.id] = {kind: str(sample.metadata[kind]) for kind in LARGEST if sample.metadata.get(kind)}
        if lines := page_lines(sample.metadata):
            found[sample.id][PAGE] = lines
    return found


def _changed_answers(found: Any) -> set[tuple[str, str]]:
    """Return (method, question) of every debate in which an agent gave two answers."""
    from evals.analysis.run_record import read_run

    changed = set()
    for method in read_run(found.path, found).methods:
        for debate in method.debates:
            said: dict[str, set[str | None]] = {}
            for turn in debate.turns:
                said.setdefault(turn.agent, set()).add(turn.answer)
            if any(len(answers) > 1 for answers in said.values()):
                changed.add((method.name, debate.question))
    return changed
