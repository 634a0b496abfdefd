"""Checks a run folder's parts against each other: journal, messages, signatures, what is derived, and the manifest."""

import json
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from agents.errors import DebateError, MessageError, RunError
from agents.message_file import read_message_bytes, read_signed
from agents.signature import Place
from agents.signing import MessageRefused, refuse_unsigned
from debate.run_folder.chain import STATUS
from debate.run_folder.contents import JOURNAL, MANIFEST, MESSAGES, open_inside
from debate.run_folder.facts import LARGEST, read_facts
from debate.run_folder.journal import LARGEST_RECORD, JournalReader
from debate.run_folder.manifest import RESULTS, TRANSCRIPT, digest_of, read_manifest, sha256_of
from debate.run_folder.message_store import MessageStore
from debate.run_folder.reader import RunReader, require_run
from debate.run_folder.run_state import RunState
from debate.run_folder.turn_record import read_turn

# What was found, from best to worst.
SIGNED, UNSIGNED, REFUSED = "signed", "unsigned", "refused"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        verdict: `signed` if all is well, `unsigned` where it fits and nobody vouches for it, `refused` where it does not fit.
        detail: what was found, in words.
    """

    name: str
    verdict: str
    detail: str


@dataclass
class Verdict:
    """What was found of a run or of a message.

    Attributes:
        kind: `run` or `message`.
        path: of it.
        key: who signed it; None where nobody did.
        checks: one by one.
    """

    kind: str
    path: Path
    key: str | None = None
    checks: list[Check] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The worst of the checks."""
        found = {check.verdict for check in self.checks}
        return REFUSED if REFUSED in found else UNSIGNED if UNSIGNED in found else SIGNED

    def add(self, name: str, verdict: str, detail: str) -> None:
        """Add a check."""
        self.checks.append(Check(name, verdict, detail))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "kind": self.kind,
            "path": str(self.path),
            "verdict": self.verdict,
            "key": self.key,
            "checks": [vars(check) for check in self.checks],
        }


def verify_run(run: Path, key: str | None = None) -> Verdict:
    """Check a run folder; nothing in it is changed.

    Args:
        run: the folder; it may be written to meanwhile, and is checked as far as it went when this was called.
        key: the public key that everything is to be signed by; by default whichever signed the manifest.

    Raises:
        RunError: not a run.
    """
    require_run(run)
    found = Verdict("run", run, key)
    manifest = _manifest(run, found, key)
    try:
        reader = RunReader(run)
    except DebateError as error:
        found.add("journal", REFUSED, str(error))
        return found
    digests = _turns(run, reader.state, found)
    _results(run, reader, found)
    if manifest is not None:
        _against_manifest(run, reader, manifest, digests, found)
    return found


def verify_message(path: Path, key: str | None = None) -> Verdict:
    """Check a message file: that it is a message, and who signed it for which place.

    Args:
        path: the file.
        key: the public key that it is to be signed by; by default whichever did.

    Raises:
        MessageError: it cannot be read.
    """
    found = Verdict("message", path, key)
    blob = read_message_bytes(path)
    try:
        message, signature = read_signed(blob)
    except MessageError as error:
        found.add("message", REFUSED, str(error))
        return found
    found.add("message", SIGNED, f"{message.digest}, of {message.model}")
    if signature is None:
        found.add("signature", UNSIGNED, "it is not signed")
        return found
    found.key = key or signature.key
    try:
        refuse_unsigned(message, signature, signature.place, found.key)
    except MessageRefused as error:
        found.add("signature", REFUSED, str(error))
        return found
    place = ", ".join(f"{name} {value}" for name, value in vars(signature.place).items())
    found.add("signature", SIGNED, f"by {found.key}, for {place}")
    return found


def _manifest(run: Path, found: Verdict, key: str | None) -> dict[str, Any] | None:
    try:
        manifest = read_manifest(run)
    except RunError as error:
        found.add("manifest", REFUSED, str(error))
        return None
    if manifest is None:
        found.add("manifest", UNSIGNED, f"there is no {MANIFEST}: the run is not finished, or nobody signed it")
        return None
    found.key = key or manifest["key"]
    if manifest["key"] != found.key:
        found.add("manifest", REFUSED, f"it is signed by {manifest['key']}, and a signature by {found.key} is demanded")
        return None
    found.add("manifest", SIGNED, f"signed by {found.key}")
    return manifest


def _turns(run: Path, state: RunState, found: Verdict) -> set[str]:
    """Check each turn's message and signature; return the digests of the CIPHER messages among them."""
    store, digests = MessageStore(run / MESSAGES), set()
    signed = unsigned = 0
    damaged: list[str] = []
    forged: list[str] = []
    keys = {found.key} if found.key else set(state.signers)
    with JournalReader(run / JOURNAL).opened() as at:
        for name, method in state.methods.items():
            for question, debate in method.debates.items():
                for turn_key, spoken in debate.turns.items():
                    record = at(spoken.offset)
                    if record["encoder"] is not None:
                        digests.add(record["digest"])
                    place = Place(state.run_id or "", name, question, turn_key.round, turn_key.agent)
                    where = f"{name}, {question}, round {turn_key.round}, {turn_key.agent}"
                    try:
                        turn = read_turn(record, store)
                        written = (record.get("digest"), record.get("text"), record.get("thinking", ""))
                        if written != (turn.message.digest, turn.message.text, turn.message.thinking):
                            damaged.append(f"{where}: the text is not the one of its digest")
                        elif turn.signature is None:
                            unsigned += 1
                        else:
                            # A speaker with a key of its own signs by that.
                            by = turn.signature.key
                            refuse_unsigned(turn.message, turn.signature, place, by, source=where)
                            signed += by in keys
                            unsigned += by not in keys
                    except MessageRefused as error:
                        forged.append(str(error))
                    except (MessageError, RunError) as error:
                        damaged.append(f"{where}: {error}")
    total = signed + unsigned + len(damaged) + len(forged)
    if damaged:
        found.add("messages", REFUSED, f"{len(damaged)} of {total} do not fit the journal; the first: {damaged[0]}")
    else:
        found.add("messages", SIGNED, f"{total} are what the journal says")
    if forged:
        found.add("signatures", REFUSED, f"{len(forged)} of {total} turns; the first: {forged[0]}")
    elif unsigned:
        by = f" by {found.key}" if found.key else ""
        found.add("signatures", UNSIGNED, f"{unsigned} of {total} turns are not signed{by}")
    else:
        found.add("signatures", SIGNED, f"{signed} turns are signed, each for its place")
    return digests


def _results(run: Path, reader: RunReader, found: Verdict) -> None:
    """Check what is derived against the journal."""
    wrong = []
    try:
        status = read_facts(run / STATUS).get("status")
    except RunError:
        status = None
    if status != "finished":
        found.add("results", UNSIGNED, "the run is not finished, and its results are not final")
        return
    try:
        results = read_facts(run / RESULTS)
        if results != json.loads(json.dumps(reader.state.table())):
            wrong.append(f"{RESULTS} is not what the journal comes to")
        for method in reader.methods:
            with open(run / method / TRANSCRIPT, encoding="utf-8", newline="\n", opener=open_inside) as file:
                # No line of it is longer than a record.
                lines = iter(lambda file=file: file.readline(LARGEST_RECORD), "")  # type: ignore[misc]
                if not all(ours == line for ours, line in zip_longest(reader.transcript_lines(method), lines)):
                    wrong.append(f"{method}/{TRANSCRIPT} is not what the journal says")
    except RunError as error:
        wrong.append(str(error))
    except (OSError, ValueError) as error:
        wrong.append(f"{type(error).__name__}: {error}")
    if wrong:
        found.add("results", REFUSED, "; ".join(wrong) + ". `debate report` makes them again from the journal.")
    else:
        found.add("results", SIGNED, f"{RESULTS} and the transcripts are what the journal comes to")


def _against_manifest(
    run: Path, reader: RunReader, manifest: dict[str, Any], digests: set[str], found: Verdict
) -> None:
    length = manifest["journal"]["bytes"]
    if manifest["run"] != reader.state.run_id:
        found.add(
            "sealed",
            REFUSED,
            f"the manifest is of run {manifest['run'][:40]}, and the journal of {reader.state.run_id}",
        )
        return
    if length > reader.end or sha256_of(run / JOURNAL, length) != manifest["journal"]["sha256"]:
        found.add("sealed", REFUSED, f"the first {length:,} bytes of the journal are not those that were signed")
        return
    if length < reader.end:
        found.add(
            "sealed", UNSIGNED, f"{reader.end - length:,} bytes were added to the journal after the run was signed"
        )
        return
    wrong = [name for name, sha in manifest["files"].items() if not _is(run / str(name), run, sha, reader)]
    if digest_of(digests) != manifest["messages"]["sha256"]:
        wrong.append("the list of messages")
    if wrong:
        found.add("sealed", REFUSED, f"not as it was signed: {', '.join(map(str, wrong))}")
        return
    found.add("sealed", SIGNED, "the journal, the messages and the results are those that were signed")


def _is(path: Path, run: Path, sha: Any, reader: RunReader) -> bool:
    try:
        if run not in path.parents or ".." in path.relative_to(run).parts:
            return False
        # One that is all holes has any size, and takes hours to read.
        return path.stat().st_size <= _most(path, reader) and sha256_of(path) == sha
    except (OSError, ValueError):
        return False


def _most(path: Path, reader: RunReader) -> int:
    """Return how many bytes a file of a run can have: a transcript as many as the journal says, another as many as are read."""
    if path.name != TRANSCRIPT or path.parent.name not in reader.methods or path.stat().st_size <= LARGEST:
        return LARGEST
    return sum(len(line.encode()) for line in reader.transcript_lines(path.parent.name))
