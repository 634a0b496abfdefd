"""What a vocabulary of sub-words is worth: the log-likelihood of words, each cut into sub-words that are drawn independently.

Of words w with counts c(w), cut into tokens of which n(t) are t and N are all, the likeliest probabilities are n(t) / N, and

    L = Σ_t n(t) log n(t) − N log N        [nats]

is the log-likelihood of the training text. All that is chosen here, a merge, a sub-word to leave out, a cut, is chosen by L.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

# Of a symbol that the text has not: half an occurrence, so that every text has a probability.
UNSEEN = 0.5


def log_likelihood(counts: Mapping[str, int]) -> float:
    """Return L in nats of tokens with counts; 0 of none."""
    return sum(map(xlogx, counts.values())) - xlogx(sum(counts.values()))


def xlogx(count: float) -> float:
    """Return n log n, 0 where n is 0."""
    return count * math.log(count) if count > 0 else 0.0


def log_probabilities(counts: Mapping[str, int], vocabulary: Iterable[str]) -> dict[str, float]:
    """Return log p of each token of a vocabulary by its count; what does not occur counts as half an occurrence."""
    floored = {token: max(counts.get(token, 0), UNSEEN) for token in vocabulary}
    total = sum(floored.values())
    return {token: math.log(count / total) for token, count in floored.items()}


def cut(word: str, log_p: Mapping[str, float], longest: int) -> list[str]:
    """Return the likeliest tokens that spell a word (Viterbi), of equally likely ones those whose last token is longest.

    Args:
        word: its every symbol is a token.
        log_p: token → log probability.
        longest: symbols of the longest token.
    """
    best = [0.0] + [-math.inf] * len(word)
    since = [0] * (len(word) + 1)
    for start in range(len(word)):
        here = best[start]
        for end in range(start + 1, min(len(word), start + longest) + 1):
            score = log_p.get(word[start:end])
            if score is not None and here + score > best[end]:
                best[end], since[end] = here + score, start
    found, end = [], len(word)
    while end:
        found.append(word[since[end] : end])
        end = since[end]
    return found[::-1]


def counted(cuts: Mapping[str, Sequence[str]], words: Mapping[str, int]) -> Counter[str]:
    """Return how often each token occurs in words that are cut.

    Args:
        cuts: word → its tokens.
        words: word → its count.
    """
    found: Counter[str] = Counter()
    for word, tokens in cuts.items():
        for token in tokens:
            found[token] += words[word]
    return found
