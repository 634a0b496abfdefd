"""Where a message ends: the tokens that end it, and strings that end it where they begin. The same in every engine."""

from collections.abc import Sequence
from typing import Any


def stop_ids(*holders: Any) -> frozenset[int]:
    """Return the end-of-sequence ids that any of a model's generation config, config and tokenizer names."""
    found: set[int] = set()
    for holder in holders:
        ids = getattr(holder, "eos_token_id", None)
        if isinstance(ids, int):
            found.add(ids)
        elif ids:
            found.update(ids)
    return frozenset(found)


def kept_before_stop(ids: Sequence[int], stops: Sequence[str], tokenizer: Any) -> int | None:
    """Return how many of the ids come before a stop string that the last of them completed, or None if none did.

    The message ends before the token in which the string begins, so that text and vectors are cut alike.
    """
    if not stops:
        return None
    recent = tokenizer.decode(list(ids[-max(map(len, stops)) - 4 :]))
    if not any(stop in recent for stop in stops):
        return None
    text = tokenizer.decode(list(ids))
    begins = min((text.index(stop) for stop in stops if stop in text), default=len(text))
    kept = len(ids)
    while kept and len(tokenizer.decode(list(ids[:kept]))) > begins:
        kept -= 1
    return kept
