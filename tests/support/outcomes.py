"""Runs of different runtimes, and what they came to, to compare them."""

import json

from debate.config.load import validate
from debate.run_folder.journal import JournalReader


def outcome(folder):
    """Return transcripts, messages and results without what names the backend, times and caches."""
    results = json.loads((folder / "results.json").read_text())["methods"]
    for row in results.values():
        del row["seconds"], row["cached_tokens"]
    files = [*folder.glob("*/transcript.jsonl"), *folder.glob("messages/*/*")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}, results


def records(folder, kind):
    """Return the records of a kind in a run's journal."""
    return [entry.record for entry in JournalReader(folder / "journal.log") if entry.record["kind"] == kind]


def config_of(backend="mock", *, runtime="ray", replicas=2, execution=None, engine=None, **options):
    raw = {
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}, "cleo": {"temperature": 1.0}},
        "backend": backend,
        "model": "mock",
        "max_tokens": 64,
        "options": options,
        "methods": {"text": {}, "cipher": {}},
        "execution": {
            "runtime": runtime,
            "engines": {"default": {"replicas": replicas, "num_cpus": 0, **(engine or {})}},
            **(execution or {}),
        },
    }
    return validate(raw, source="x")


def with_runners(backend="mock", runners=2, **given):
    """Return a config whose debates are played in so many processes of their own; by the driver where there are none."""
    execution = {"runners": runners, "in_flight": 6, **given.pop("execution", {})}
    return config_of(backend, execution=execution, **given)


def records_of_questions(undisturbed):
    lines = map(json.loads, undisturbed[0]["text/transcript.jsonl"].splitlines())
    return [line["text"] for line in lines if line["kind"] == "decision"]
