"""What a run came to, to compare runs of different runtimes."""

import json

from debate.journal import Scan


def outcome(folder):
    """Return transcripts, messages and results without what names the backend, times and caches."""
    results = json.loads((folder / "results.json").read_text())["methods"]
    for row in results.values():
        del row["seconds"], row["cached_tokens"]
    files = [*folder.glob("*/transcript.jsonl"), *folder.glob("messages/*/*")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}, results


def records(folder, kind):
    """Return the records of a kind in a run's journal."""
    return [entry.record for entry in Scan(folder / "journal.log") if entry.record["kind"] == kind]
