"""Merges of neighbouring tokens, each the one that raises the log-likelihood most: BPE's course with another measure.

n(a), n(b) and N are the numbers of two tokens and of all; n(ab) is how often the two stand side by side and are merged.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Pair = tuple[str, str]
Floats = NDArray[np.float64]


def pairs_of(tokens: Sequence[str]) -> Counter[Pair]:
    """Return the pairs of neighbours in a word; of three equal tokens in a row the first two are one, as a merge takes them."""
    found: Counter[Pair] = Counter()
    place = 0
    while place + 1 < len(tokens):
        pair = (tokens[place], tokens[place + 1])
        found[pair] += 1
        is_run = pair[0] == pair[1] and place + 2 < len(tokens) and tokens[place + 2] == pair[0]
        place += 2 if is_run else 1
    return found


def merged(tokens: Sequence[str], pair: Pair) -> list[str]:
    """Return a word's tokens with a pair of neighbours put together, from the left."""
    found: list[str] = []
    place = 0
    while place < len(tokens):
        is_pair = tuple(tokens[place : place + 2]) == pair
        found.append(pair[0] + pair[1] if is_pair else tokens[place])
        place += 2 if is_pair else 1
    return found


def gains(
    together: Floats, first: Floats, second: Floats, alike: NDArray[np.bool_], there: Floats, total: float
) -> Floats:
    """Return by how much merges raise L, exactly, each on its own.

    With f(n) = n log n and m = n(ab) a merge takes m from n(a), n(b) and N, and adds a token of m:
    f(m + n) − f(n) + f(n(a) − m) − f(n(a)) + f(n(b) − m) − f(n(b)) − f(N − m) + f(N), n being what there is of it already; where
    a is b, 2 m are taken from it.

    Args:
        together, first, second: n(ab), n(a), n(b), all [P].
        alike: [P], where a is b.
        there: [P], how many tokens are spelled as the merge would be.
        total: N.
    """

    def change(before: Floats, by: Floats) -> Floats:
        return _xlogx(before + by) - _xlogx(before)

    taken = np.where(alike, change(first, -2 * together), change(first, -together) + change(second, -together))
    found: Floats = change(there, together) + taken + _xlogx(np.float64(total)) - _xlogx(total - together)
    return found


class Merging:
    """Words that are cut into tokens, and every pair of neighbours with what merging it would gain.

    Args:
        cuts: word → its tokens; not changed.
        words: word → its count.
    """

    def __init__(self, cuts: Mapping[str, Sequence[str]], words: Mapping[str, int]) -> None:
        self.cuts = {word: list(tokens) for word, tokens in cuts.items()}
        self.counts: Counter[str] = Counter()
        self._words = words
        self._together: Counter[Pair] = Counter()
        self._where: defaultdict[Pair, set[str]] = defaultdict(set)
        for word in self.cuts:
            self._note(word, 1)

    def best(self) -> tuple[Pair, float] | None:
        """Return the pair that gains most, of equal ones the first in the alphabet, and how many nats; None without a pair."""
        pairs = [pair for pair, count in self._together.items() if count > 0]
        if not pairs:
            return None
        counts = self.counts
        together = np.array([self._together[pair] for pair in pairs], dtype=np.float64)
        first, second, there = (
            np.array([counts[name] for name in names], dtype=np.float64)
            for names in ([a for a, _ in pairs], [b for _, b in pairs], [a + b for a, b in pairs])
        )
        alike = np.array([a == b for a, b in pairs])
        found = gains(together, first, second, alike, there, float(counts.total()))
        most = found.max()
        return min(pairs[place] for place in np.flatnonzero(found == most)), float(most)

    def merge(self, pair: Pair) -> None:
        """Put a pair of neighbours together wherever it stands."""
        for word in self._where.pop(pair):
            self._note(word, -1)
            self.cuts[word] = merged(self.cuts[word], pair)
            self._note(word, 1)
        del self._together[pair]

    def _note(self, word: str, sign: int) -> None:
        count = sign * self._words[word]
        for token in self.cuts[word]:
            self.counts[token] += count
        for pair, times in pairs_of(self.cuts[word]).items():
            self._together[pair] += times * count
            if sign > 0:
                self._where[pair].add(word)


def _xlogx(counts: Floats | np.float64) -> Floats:
    counts = np.asarray(counts, dtype=np.float64)
    found: Floats = counts * np.log(np.maximum(counts, 1.0))
    return found
