"""Texts as word numbers: words in lower case, digits one by one, marks by themselves; what is not known is one word."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

PAD, UNKNOWN = "<pad>", "<unk>"
_WORD = re.compile(r"\d|[^\W\d_]+|[^\w\s]|_")


def split(text: str) -> list[str]:
    """Return the words of a text."""
    return _WORD.findall(text.lower())


def counted(texts: Iterable[str], size: int, *, least: int = 2) -> tuple[str, ...]:
    """Return PAD, UNKNOWN and the commonest words that occur often enough, at most `size` in all; equals by the alphabet."""
    count = Counter(word for text in texts for word in split(text))
    known = sorted((word for word, times in count.items() if times >= least), key=lambda word: (-count[word], word))
    return (PAD, UNKNOWN, *known[: size - 2])


class Vocabulary:
    """Numbers of known words: 0 is padding, 1 stands for every other."""

    def __init__(self, words: Sequence[str]) -> None:
        self._places = {word: place for place, word in enumerate(words)}

    def numbers(self, text: str, longest: int) -> list[int]:
        """Return the numbers of a text's first words; UNKNOWN alone of a text without any."""
        return [self._places.get(word, 1) for word in split(text)[:longest]] or [1]


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return rows of numbers as [B, T], filled up with 0 on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
