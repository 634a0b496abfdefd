"""A model's control tokens: where a turn begins and ends, who speaks, that a message is over.

A text may hold their names, typed by whoever wrote the question, or by a model. Read as a tokenizer reads by itself, they
would be the tokens: turns that nobody took. So only the chat template's own are tokens, and in every other text their names are
the characters that they are written with.
"""

import bisect
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from agents.errors import PromptError

_KNOWN: "WeakKeyDictionary[Any, ControlTokens]" = WeakKeyDictionary()


def control_tokens(tokenizer: Any) -> "ControlTokens":
    """Return the control tokens of a tokenizer, looked up once."""
    known = _KNOWN.get(tokenizer)
    if known is None or known.template != tokenizer.chat_template:
        known = _KNOWN[tokenizer] = ControlTokens(tokenizer)
    return known


class ControlTokens:
    """The control tokens of one tokenizer: those that it calls special, and those that its chat template writes.

    Args:
        tokenizer: of transformers, or one without added tokens, which has none.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.template = tokenizer.chat_template
        written = str(self.template or "")
        added = getattr(tokenizer, "added_tokens_decoder", None) or {}
        chosen = {
            int(token): str(entry)
            for token, entry in added.items()
            # A single character is one like any other.
            if len(str(entry)) > 1 and (entry.special or str(entry) in written)
        }
        self.ids = frozenset(chosen)
        self.names = frozenset(chosen.values())
        # Such a tokenizer looks for them in the text as it stands, and makes them of nothing else.
        self._is_literal = _kind(tokenizer) == "BPE" and not any(added[token].normalized for token in chosen)
        # What it does not know is nobody's turn.
        self._counted = self.ids - {getattr(tokenizer, "unk_token_id", None)}

    @cached_property
    def _pattern(self) -> "re.Pattern[str]":
        longest_first = sorted(self.names, key=len, reverse=True)
        # Overlapping ones too, so that every one of them is cut.
        return re.compile(f"(?=({'|'.join(map(re.escape, longest_first))}))")

    def cuts(self, text: str, own: Sequence[tuple[int, int]]) -> list[int]:
        """Return where to cut a text so that no name of a control token is left whole but in its `own` stretches.

        Args:
            text: to be tokenised.
            own: stretches [start, end) that the chat template wrote, in order.
        """
        if not self.names:
            return []
        starts = [start for start, _ in own]
        cuts: list[int] = []
        for match in self._pattern.finditer(text):
            start, end = match.start(1), match.end(1)
            place = bisect.bisect_right(starts, start) - 1
            if place >= 0 and end <= own[place][1]:
                continue
            if not cuts or cuts[-1] <= start:
                cuts.append(start + 1)
        return cuts

    def ids_of(self, text: str, tokenizer: Any, own: Sequence[tuple[int, int]] = ()) -> list[int]:
        """Return the tokens of a text, in which the control tokens of the `own` stretches alone are tokens.

        Raises:
            PromptError: this tokenizer makes a control token of a text whichever way it is cut.
        """
        cuts = self.cuts(text, own)
        found = _ids(tokenizer, [text[start:end] for start, end in _between(cuts, len(text)) if end > start])
        if self.names and not self._is_literal and self._has_more(found, text, own):
            raise PromptError(
                "a text of the prompt reads as a control token of the model's tokenizer, and cannot be told apart from the chat "
                f"template's own: {text[:80]!r}"
            )
        return found

    def disarmed(self, text: str) -> str:
        """Return a text with a space within every name of a control token, for a tokenizer that is given texts whole.

        A name in characters of another width, which some tokenizers take for these, is one too.
        """
        plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
        if not self.names or not self._pattern.search(plain):
            return text
        return " ".join(plain[start:end] for start, end in _between(self.cuts(plain, ()), len(plain)))

    def _has_more(self, ids: Sequence[int], text: str, own: Sequence[tuple[int, int]]) -> bool:
        """Whether there are more control tokens than their names in the template's own stretches."""
        names = sum(1 for start, end in own for _ in self._pattern.finditer(text, start, end))
        return sum(token in self._counted for token in ids) > names


def _between(cuts: Sequence[int], length: int) -> Iterator[tuple[int, int]]:
    yield from zip((0, *cuts), (*cuts, length), strict=True)


def _ids(tokenizer: Any, pieces: list[str]) -> list[int]:
    """Return the tokens of pieces, one after the other; of several at once, since a call costs more than a short piece."""
    try:
        if len(pieces) <= 1:
            return list(tokenizer(pieces[0], add_special_tokens=False).input_ids) if pieces else []
        return [token for ids in tokenizer(pieces, add_special_tokens=False).input_ids for token in ids]
    except Exception as error:  # tokenizers raise nothing more special
        raise PromptError(
            f"the model's tokenizer cannot read a text of the prompt ({' '.join(str(error).split())}): {''.join(pieces)[:80]!r}"
        ) from error


def _kind(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return type(getattr(backend, "model", None)).__name__
