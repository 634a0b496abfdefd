"""Prompt → what the model reads: runs of token ids, and messages whose vectors are spliced in between.

Every text part is tokenised by itself and a text message of the same tokenizer goes in as the tokens that were said, so
a slot is tokenised alike whether it holds text or vectors. Control tokens are the chat template's alone: nothing that a question,
a document or another agent says can begin a turn.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import Any

from agents.backend import Prompt
from agents.chat_template import Literal, Placed, render
from agents.control_tokens import control_tokens
from agents.errors import PromptError, RequestError
from agents.fingerprint import ModelFingerprint
from agents.message import Message

Segment = list[int] | Message
Key = int | tuple[str, int]
"""What identifies a position of a prompt: a token id, or (message digest, step) of a spliced vector."""


def segments(prompt: Prompt, tokenizer: Any, model: ModelFingerprint) -> list[Segment]:
    """Return the prompt as runs of token ids and CIPHER messages, in reading order.

    Args:
        prompt: turns of text and messages.
        tokenizer: of the receiving model.
        model: the receiving model.

    Raises:
        PromptError: the model's chat template does not take it, or loses some of it.
    """
    parts = [part for turn in prompt.turns for part in turn.parts]
    if is_chat(prompt, tokenizer):
        if not tokenizer.chat_template:
            raise PromptError(f"format: chat, but {model.model} has no chat template; use format: plain")
        ends = list(accumulate((len(turn.parts) for turn in prompt.turns), initial=0))
        turns = [(turn.role, tuple(range(ends[i], ends[i + 1]))) for i, turn in enumerate(prompt.turns)]
        texts = [None if isinstance(part, Message) else part for part in parts]
        pieces = render(turns, texts, tokenizer, model.model)
        found: list[Segment] = []
    else:
        pieces = _plain(prompt)
        found = [_leading_ids(tokenizer)]
    for is_text, run in groupby(pieces, lambda piece: piece.text is not None):
        if is_text:
            found.append(_run(list(run), tokenizer))
        else:
            heard = [parts[piece.number] for piece in run if isinstance(piece, Placed)]
            found += [_message(part, tokenizer, model) for part in heard if isinstance(part, Message)]
    return _joined(found)


def position_keys(found: Iterable[Segment]) -> list[Key]:
    """Return the key of every position of a prompt; equal beginnings of keys have equal keys and values in a cache."""
    keys: list[Key] = []
    for segment in found:
        if isinstance(segment, Message):
            keys += [(segment.digest, step) for step in range(segment.num_tokens)]
        else:
            keys += segment
    return keys


def num_common(one: Sequence[Key], other: Sequence[Key]) -> int:
    """Return how many positions two prompts have in common from the start on."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def is_chat(prompt: Prompt, tokenizer: Any) -> bool:
    """Whether a prompt is put into the model's chat template; if not it is plain text that ends in its cue."""
    return prompt.format == "chat" or (prompt.format == "auto" and bool(tokenizer.chat_template))


def choice_ids(choices: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Return the tokens of each text that a request weighs.

    Raises:
        RequestError: two of them have the same tokens.
    """
    found = [control_tokens(tokenizer).ids_of(choice, tokenizer) for choice in choices]
    if len({tuple(ids) for ids in found}) < len(found) or not all(found):
        raise RequestError(f"choices must differ in their tokens; got {', '.join(map(repr, choices))}")
    return found


def check_rows(found: Sequence[Segment], tokenizer: Any, model: ModelFingerprint) -> None:
    """Raise PromptError where a prompt has a token that the model has no embedding of."""
    for segment in found:
        if not isinstance(segment, Message) and segment and (token := max(segment)) >= model.vocabulary:
            raise PromptError(
                f"the prompt holds the token {tokenizer.decode([token])!r} ({token}), which was added to the tokenizer of "
                f"{model.model} and is beyond the {model.vocabulary} rows of its embedding table"
            )


def _plain(prompt: Prompt) -> list[Literal | Placed]:
    """Join turns for a base model: system, then question and cued answer in alternation, then the cue to go on from."""
    pieces: list[Literal | Placed] = []
    number = 0
    for turn in prompt.turns:
        cue = prompt.cue if turn.cue is None else turn.cue
        if turn.role == "assistant" and not (isinstance(turn.parts[0], str) and turn.parts[0].startswith(cue)):
            pieces.append(Placed(-1, f"{cue} "))
        for part in turn.parts:
            pieces.append(Placed(number, None if isinstance(part, Message) else part))
            number += 1
        close = prompt.close if turn.role == "assistant" else ""
        pieces.append(Placed(-1, "\n" if turn.role == "user" else f"{close}\n\n"))
    return [*pieces, Placed(-1, prompt.cue)]


def _run(pieces: Sequence[Literal | Placed], tokenizer: Any) -> list[int]:
    """Return the tokens of texts that follow each other, tokenised as one."""
    texts = [piece.text or "" for piece in pieces]
    ends = list(accumulate(map(len, texts), initial=0))
    own = [(ends[place], ends[place + 1]) for place, piece in enumerate(pieces) if isinstance(piece, Literal)]
    return control_tokens(tokenizer).ids_of("".join(texts), tokenizer, own)


def _leading_ids(tokenizer: Any) -> list[int]:
    """Return what the tokenizer puts before any text by itself (a BOS token, or nothing)."""
    # read_tokenizer has found that it reads this one.
    bare = tokenizer("a", add_special_tokens=False).input_ids
    whole: list[int] = tokenizer("a").input_ids
    return whole[: whole.index(bare[0])] if bare and bare[0] in whole else []


def _message(message: Message, tokenizer: Any, model: ModelFingerprint) -> Segment:
    if message.is_cipher:
        return message
    control = control_tokens(tokenizer)
    if message.model.same_tokenizer(model) and control.ids.isdisjoint(message.token_ids):
        return list(message.token_ids)
    return control.ids_of(message.text, tokenizer)


def _joined(found: list[Segment]) -> list[Segment]:
    joined: list[Segment] = []
    for segment in found:
        if isinstance(segment, list) and joined and isinstance(joined[-1], list):
            joined[-1] = joined[-1] + segment
        elif isinstance(segment, Message) or segment:
            joined.append(segment)
    return joined
