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
    return _kept_within(ids, min((text.index(stop) for stop in stops if stop in text), default=len(text)), tokenizer)


def text_to_show(ids: Sequence[int], stops: Sequence[str], tokenizer: Any) -> str:
    """Return what may be shown of a message that goes on: up to the token in which a stop string may have begun.

    Nothing while that ends inside a character. What is said later takes none of it away; see `kept_before_stop`.
    """
    text: str = tokenizer.decode(list(ids))
    begun = max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
    if begun:
        text = tokenizer.decode(list(ids[: _kept_within(ids, len(text) - begun, tokenizer)]))
    return "" if text.endswith("\ufffd") else text


def _kept_within(ids: Sequence[int], length: int, tokenizer: Any) -> int:
    """Return how many of the ids have a text of at most so many characters."""
    kept = len(ids)
    while kept and len(tokenizer.decode(list(ids[:kept]))) > length:
        kept -= 1
    return kept
