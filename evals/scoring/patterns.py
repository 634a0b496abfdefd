"""Whether a regular expression is found in a text, in a process of its own: some patterns take for ever."""

from evals.scoring.bounded import OutOfTime, WorkerDied, worker

TIMEOUT_S = 10.0


def found_in(pattern: str, text: str) -> bool | str:
    """Return whether a pattern, in Python's syntax, is found anywhere in a text, or why that cannot be told."""
    try:
        reply = worker().ask({"do": "regex", "pattern": pattern, "text": text}, TIMEOUT_S)
    except OutOfTime:
        return f"looking for the pattern took more than {TIMEOUT_S:g} s"
    except WorkerDied as error:
        return str(error)
    return str(reply["failed"]) if "failed" in reply else bool(reply["found"])
