"""Where a reasoning model's thinking ends and its answer begins.

Such models think aloud first, between tags. Their chat template may have opened the tag already; then the message begins in the
middle of it. What is not closed is thinking to the end: the tokens ran out before the answer.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

# As the families write them: DeepSeek-R1, Qwen3, SmolLM3 and many others; EXAONE Deep; Magistral; Seed-OSS; Kimi; Command A;
# Apertus; Gemma 4; gpt-oss.
TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<reasoning>": "</reasoning>",
    "<thought>": "</thought>",
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|channel>thought": "<channel|>",
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",
}
# The last tokens of a prompt, among which a tag stands that it leaves open.
TAIL = 48
_CLOSING: "WeakKeyDictionary[Any, tuple[str, ...]]" = WeakKeyDictionary()


def left_open(prompt: Sequence[int], tokenizer: Any) -> str | None:
    """Return the tag that closes what the end of a prompt opened; None where it opened nothing."""
    text: str = tokenizer.decode(list(prompt[-TAIL:])).rstrip()
    return next((closing for opening, closing in TAGS.items() if text.endswith(opening)), None)


def thinking_tokens(ids: Sequence[int], tokenizer: Any, closing: str | None = None) -> int:
    """Return how many tokens at the beginning of a message are thinking: its tags, and the space behind them, included.

    Args:
        ids: token ids of the message.
        tokenizer: tokenizer of the model that said it.
        closing: the tag that the prompt left open.
    """
    text: str = tokenizer.decode(list(ids))
    end = thinking_end(text, closing, _known_to(tokenizer))
    if end == len(text):
        return len(ids)
    if not end:
        return 0
    low, high = 1, len(ids)
    while low < high:
        middle = (low + high) // 2
        if len(tokenizer.decode(list(ids[:middle]))) < end:
            low = middle + 1
        else:
            high = middle
    return low


def knows_tags(tokenizer: Any) -> bool:
    """Whether a tokenizer has a token that ends thinking, as those of models that think have."""
    return bool(_known_to(tokenizer))


def may_think(text: str) -> bool:
    """Whether the beginning of a message may be that of thinking."""
    return text.lstrip()[:1] in ("", *(tag[0] for tag in TAGS))


def thinking_end(text: str, closing: str | None = None, known: Sequence[str] = ()) -> int:
    """Return where the answer begins in a message; 0 where there was no thinking.

    Args:
        text: the message.
        closing: the tag that the prompt left open.
        known: closing tags of a model whose messages may lack the opening one.
    """
    begins = len(text) - len(text.lstrip())
    if closing is None:
        closing = next((tag for opening, tag in TAGS.items() if text.startswith(opening, begins)), None)
    if closing is None:
        # One that did not think may say at once that it answers.
        closing = next((tag for tag in TAGS.values() if text.startswith(tag, begins)), None)
    if closing is None:
        closing = next((tag for tag in known if tag in text), None)
        if closing is None:
            return 0
    place = text.find(closing)
    if place < 0:
        return len(text)
    end = place + len(closing)
    return end + len(text[end:]) - len(text[end:].lstrip())


def _known_to(tokenizer: Any) -> tuple[str, ...]:
    """Return the closing tags that are tokens of a tokenizer."""
    known = _CLOSING.get(tokenizer)
    if known is None:
        added = getattr(tokenizer, "added_tokens_decoder", None) or {}
        names = {str(entry) for entry in added.values()}
        known = _CLOSING[tokenizer] = tuple(closing for closing in TAGS.values() if closing in names)
    return known
