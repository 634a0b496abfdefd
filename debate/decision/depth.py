"""Statistical depth of messages: how central each is among others, in embedding space (TTE depth, Seegmiller and Preum,
2023, arXiv:2310.15010).

D(x; F) = 2 − mean over y in F of the cosine distance of x and y, x itself left out. With unit vectors that is 1 + x ·
(mean of F), so depths of n messages cost O(n d). The paper embeds texts with a transformer (`text_points`); means of CIPHER
vectors and token counts (`embed`) need none.

N messages, D width.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from agents.beliefs.belief_backend import EmbeddingBackend
from agents.message import Message
from agents.observation import Text

Points = npt.NDArray[np.float64]
# 1.4826 times the median absolute deviation estimates a normal distribution's standard deviation.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Drift:
    """Whether one round's messages lie elsewhere than another's.

    Attributes:
        q: mean rank fraction of the later round's depths among both; 0.5 where nothing moved.
        p: one-sided p-value of the rank-sum test that the earlier round is deeper in itself; normal approximation, so
            meaningless for a handful of messages.
    """

    q: float
    p: float


def embed(messages: Sequence[Message]) -> Points:
    """Return one unit vector a message, [N, D].

    CIPHER messages of one table: the mean of their vectors. Otherwise the counts of their tokens, or, where tokens are
    of several vocabularies or unknown, of their words.
    """
    first = messages[0].model
    if all(m.cipher is not None and len(m.cipher) and m.model.same_table(first) for m in messages):
        rows = [m.cipher.vectors.double().mean(dim=0).cpu().numpy() for m in messages if m.cipher is not None]
        return _units(np.stack(rows))
    if all(m.token_ids and m.model.same_tokenizer(first) for m in messages):
        return _units(_counts([m.token_ids for m in messages]))
    return _units(_counts([m.text.split() for m in messages]))


def text_points(messages: Sequence[Message], embedding: EmbeddingBackend) -> Points:
    """Return one unit vector a message [N, D], of what it reads as; 0 of one without words, which is near to nothing."""
    said = [place for place, message in enumerate(messages) if message.text.strip()]
    if not said:
        return np.zeros((len(messages), 1))
    found = embedding.embed([Text(messages[place].text) for place in said]).double().cpu().numpy()
    points = np.zeros((len(messages), found.shape[1]))
    points[said] = _units(found)
    return points


def depths(points: Points, reference: Points | None = None) -> Points:
    """Return the depth of each point [N] among the others, or among the points of a reference [M, D]; 0 to 2."""
    if reference is not None:
        return np.asarray(1.0 + points @ reference.mean(axis=0))
    if len(points) < 2:
        return np.full(len(points), 2.0)
    own = (points * points).sum(axis=1)
    return np.asarray(1.0 + (points @ points.sum(axis=0) - own) / (len(points) - 1))


def outliers(values: Points, *, threshold: float = 3.0) -> list[int]:
    """Return the places of depths more than `threshold` robust standard deviations below the median; none of < 4."""
    if len(values) < 4:
        return []
    below = np.median(values) - values
    spread = MAD_TO_SIGMA * np.median(np.abs(below))
    return [int(place) for place in np.flatnonzero(below > max(threshold * spread, 1e-9))]


def drift(earlier: Points, later: Points) -> Drift:
    """Return whether later points are less deep in the earlier ones than those are themselves."""
    within, across = depths(earlier), depths(later, earlier)
    pooled = np.concatenate([within, across])
    ranks = _midranks(pooled)
    n, m = len(within), len(across)
    q = float(((ranks[n:] - 0.5) / (n + m)).mean())
    _, ties = np.unique(pooled, return_counts=True)
    total = n + m
    variance = n * m / 12 * (total + 1 - float((ties**3 - ties).sum()) / (total * (total - 1)))
    if variance <= 0:
        return Drift(q, 1.0)
    z = (float(ranks[:n].sum()) - n * (total + 1) / 2) / variance**0.5
    return Drift(q, 1.0 - NormalDist().cdf(z))


def _midranks(values: Points) -> Points:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _units(rows: Points) -> Points:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms == 0, 1.0, norms))


def _counts(bags: Sequence[Sequence[int | str]]) -> Points:
    columns = {token: place for place, token in enumerate(dict.fromkeys(t for bag in bags for t in bag))}
    rows = np.zeros((len(bags), max(len(columns), 1)))
    for place, bag in enumerate(bags):
        for token, count in Counter(bag).items():
            rows[place, columns[token]] = count
    return rows
