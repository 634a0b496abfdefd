"""Turns → a model's own chat template, whatever it takes, with nothing lost on the way.

Templates differ: some know no system role, some want roles that alternate, some take a turn's content as a list of parts only.
What a template refuses, or leaves out in silence, is given to it in the next form. Then what it made is compared with what
was given: a template that drops or rewrites a text is an error, never a shorter prompt.
"""

import itertools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents import slots
from agents.errors import PromptError

# The variable that tells programs which moment it is where their output must not depend on it, in seconds since 1970
# (reproducible-builds.org).
DAY = "SOURCE_DATE_EPOCH"
# A turn whose parts are numbers: what stands there is put in later.
Numbered = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Literal:
    """What the template itself wrote."""

    text: str


@dataclass(frozen=True)
class Placed:
    """Where a part of the prompt stands.

    Attributes:
        number: number of the part.
        text: of it, as the template left it; None of a message, which stands there whole.
    """

    number: int
    text: str | None


def render(
    turns: Sequence[Numbered], texts: Sequence[str | None], tokenizer: Any, model: str
) -> list[Literal | Placed]:
    """Return what the chat template makes of turns, in reading order.

    Args:
        turns: role and parts of each.
        texts: of each part; None of one that is no text.
        tokenizer: tokenizer that owns the template.
        model: its name, for errors.

    Raises:
        PromptError: the template takes the turns in no form, or changes a text.
    """
    refusals: list[str] = []
    for form in _forms(turns):
        try:
            marked = form(tokenizer, [slots.mark(number) for number in range(len(texts))])
            pieces = slots.split(marked)
            found = sorted(piece for piece in pieces if isinstance(piece, int))
            if found != list(range(len(texts))):
                raise PromptError(_lost(found, turns))
            whole = form(tokenizer, [slots.mark(number) if text is None else text for number, text in enumerate(texts)])
            return _placed(pieces, texts, whole)
        except Exception as error:  # a template is a program of the model's author
            refusals.append(" ".join(str(error).split()) or type(error).__name__)
    raise PromptError(f"the chat template of {model} cannot take this prompt: {'; '.join(dict.fromkeys(refusals))}")


Form = Callable[[Any, Sequence[str]], str]


def _forms(turns: Sequence[Numbered]) -> list[Form]:
    """Return the ways of giving turns to a template, as they are first."""
    given = [list(turns), _merged(turns), _merged(_folded(turns))]
    orders = [order for place, order in enumerate(given) if order not in given[:place]]
    return [_form(order, as_list) for order, as_list in itertools.product(orders, (False, True))]


def _form(turns: Sequence[Numbered], as_list: bool) -> Form:
    def render(tokenizer: Any, parts: Sequence[str]) -> str:
        messages = []
        for role, numbers in turns:
            # -1 stands between turns that are given as one.
            text = "".join("\n\n" if number < 0 else parts[number] for number in numbers)
            messages.append({"role": role, "content": [{"type": "text", "text": text}] if as_list else text})
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **_clock()))

    return render


def tells_the_day(template: Any) -> bool:
    """Whether a chat template may write today's date, so that its prompts are others on another day."""
    return "strftime_now" in str(template) and DAY not in os.environ


def _clock() -> Mapping[str, Callable[[str], str]]:
    """Return the clock for a template that writes the date, where the environment says which day it is."""
    seconds = os.environ.get(DAY)
    if seconds is None:
        return {}
    if not seconds.isdecimal():
        raise PromptError(f"{DAY} must be seconds since 1970; got {seconds!r}")
    return {"strftime_now": datetime.fromtimestamp(int(seconds), UTC).strftime}


def _folded(turns: Sequence[Numbered]) -> list[Numbered]:
    """Return the turns with system turns as the user's."""
    return [("user" if role == "system" else role, numbers) for role, numbers in turns]


def _merged(turns: Sequence[Numbered]) -> list[Numbered]:
    """Return the turns with those of one role that follow each other as one."""
    merged: list[Numbered] = []
    for role, numbers in turns:
        if merged and merged[-1][0] == role:
            merged[-1] = (role, (*merged[-1][1], -1, *numbers))
        else:
            merged.append((role, numbers))
    return merged


def _lost(found: Sequence[int], turns: Sequence[Numbered]) -> str:
    """Return what happened to the parts of which `found` came out."""
    missing = [role for role, numbers in turns if not {number for number in numbers if number >= 0} <= set(found)]
    if missing:
        return f"it leaves out what the {missing[0]} says"
    return "it says a part of the prompt twice"


def _placed(pieces: Sequence[str | int], texts: Sequence[str | None], whole: str) -> list[Literal | Placed]:
    """Return the pieces with their texts, where putting these in gives what the template made of the texts themselves.

    A template may strip a text; no more than that.

    Raises:
        PromptError: it made something else of a text.
    """
    simple: list[Literal | Placed] = [
        Literal(piece) if isinstance(piece, str) else Placed(piece, texts[piece]) for piece in pieces
    ]
    if _joined(simple) == whole:
        return simple
    pattern = "".join(re.escape(piece) if isinstance(piece, str) else _stripped(piece, texts) for piece in pieces)
    match = re.fullmatch(pattern, whole)
    if match is None:
        raise PromptError("it changes a text that it is given (what comes before a tag such as </think>, for instance)")
    found = iter(match.groups())
    return [
        Literal(piece) if isinstance(piece, str) else Placed(piece, None if texts[piece] is None else next(found))
        for piece in pieces
    ]


def _stripped(number: int, texts: Sequence[str | None]) -> str:
    text = texts[number]
    if text is None:
        return re.escape(slots.mark(number))
    ways = dict.fromkeys((text, text.rstrip(), text.lstrip(), text.strip()))
    return f"({'|'.join(map(re.escape, ways))})"


def _joined(pieces: Sequence[Literal | Placed]) -> str:
    return "".join(
        slots.mark(piece.number) if isinstance(piece, Placed) and piece.text is None else str(piece.text)
        for piece in pieces
    )
