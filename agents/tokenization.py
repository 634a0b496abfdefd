"""Prompt → what the model reads: runs of token ids, and messages whose vectors are spliced in between.

Every text part is tokenised by itself and a text message of the same tokenizer goes in as the tokens that were said, so
a slot is tokenised alike whether it holds text or vectors.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from agents import slots
from agents.backend import ChatTurn, Prompt
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
    """
    messages: list[Message] = []
    turns = [{"role": turn.role, "content": _content(turn, messages)} for turn in prompt.turns]
    if is_chat(prompt, tokenizer):
        if not tokenizer.chat_template:
            raise PromptError(f"format: chat, but {model.model} has no chat template; use format: plain")
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        found: list[Segment] = []
    else:
        text = _plain(turns, prompt.cue)
        found = [_leading_ids(tokenizer)]
    for piece in slots.split(text):
        if isinstance(piece, str):
            found.append(_ids(tokenizer, piece))
        else:
            found.append(_message(messages[piece], tokenizer, model))
    return _merged(found)


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
    found = [_ids(tokenizer, choice) for choice in choices]
    if len({tuple(ids) for ids in found}) < len(found) or not all(found):
        raise RequestError(f"choices must differ in their tokens; got {', '.join(map(repr, choices))}")
    return found


def _content(turn: ChatTurn, messages: list[Message]) -> str:
    content = ""
    for part in turn.parts:
        if isinstance(part, Message):
            content += slots.mark(len(messages))
            messages.append(part)
        else:
            content += slots.checked(part)
    return content


def _plain(turns: list[dict[str, str]], cue: str) -> str:
    """Join turns for a base model: system, then question and cued answer in alternation, then the cue to go on from."""
    text = ""
    for turn in turns:
        match turn["role"]:
            case "system":
                text += turn["content"] + "\n\n"
            case "user":
                text += turn["content"] + "\n"
            case _:
                text += f"{cue} {turn['content']}\n\n"
    return text + cue


def _leading_ids(tokenizer: Any) -> list[int]:
    """Return what the tokenizer puts before any text by itself (a BOS token, or nothing)."""
    bare = _ids(tokenizer, "x")
    whole: list[int] = tokenizer("x").input_ids
    return whole[: whole.index(bare[0])] if bare and bare[0] in whole else []


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids) if text else []


def _message(message: Message, tokenizer: Any, model: ModelFingerprint) -> Segment:
    if message.is_cipher:
        return message
    if message.model.same_tokenizer(model):
        return list(message.token_ids)
    return _ids(tokenizer, message.text)


def _merged(found: list[Segment]) -> list[Segment]:
    merged: list[Segment] = []
    for segment in found:
        if isinstance(segment, list) and merged and isinstance(merged[-1], list):
            merged[-1] = merged[-1] + segment
        elif isinstance(segment, Message) or segment:
            merged.append(segment)
    return merged
