"""Fewer positions of a CIPHER message: which are dropped or merged, and the message that is heard in its place.

Token reduction as a choice of the reader, by a criterion and a strategy (Kong et al., 2025, arXiv:2505.18227, a position
paper without an algorithm). Merging neighbours is ours, after the weighted means of token merging (Bolya et al., ICLR 2023,
arXiv:2210.09461), which pairs tokens of an image from anywhere. A mean of expected embeddings, weighted by how many
positions each stands for, is the expected embedding of the mean of their beliefs, so what is heard is a message of the same
kind. Positions keep their order, and no position of another message is looked at. Everything is decided in float64. T
positions, D width, K kept beliefs.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from agents.errors import ConfigError, MessageError, UnknownName
from agents.message import Cipher, Message
from agents.registry import check_parameters, parse_named

if TYPE_CHECKING:
    # Imported where a message has tensors: a config is read without it.
    import torch

Groups = tuple[tuple[int, ...], ...]
"""Positions of the message, by the positions that are heard: those of one group are merged, and those of none are dropped."""
Rule = Callable[[Message], Groups]

BY = ("entropy", "certainty", "similarity", "random")
# What `reduce:` says where a default is not to hold.
NONE = "none"


@dataclass(frozen=True)
class Reduction:
    """What `reduce:` of an edge names.

    Attributes:
        text: its one spelling, e.g. `drop(keep=0.5, by='entropy')`.
        keep: the share of positions that are heard.
    """

    text: str
    keep: float

    def most(self, count: int) -> int:
        """Return how many positions are heard of a message of so many."""
        return kept_of(count, self.keep)

    def groups(self, message: Message) -> Groups:
        """Return which positions of a CIPHER message are heard, in order."""
        return _rule(self.text)(message)


@lru_cache(maxsize=256)
def _rule(text: str) -> Rule:
    # Beside the value, which is pickled and compared by what a config says alone.
    named = parse_named(text, "reduction")
    return RULES[named.name](**named.parameters)


def reduction(text: str, *, where: str = "reduce") -> Reduction | None:
    """Return the reduction that a config names, e.g. `drop(keep=0.5, by=entropy)`; None for `none`.

    Args:
        text: as it was written; the criterion may stand without quotes.
        where: its place in the config, for errors.

    Raises:
        UnknownName: there is no such reduction.
        ConfigError: a parameter that it does not take or lacks, or a value out of range.
    """
    if text.strip() == NONE:
        return None
    named = parse_named(text, "reduction", words=BY)
    if named.name not in RULES:
        raise UnknownName("reduction", named.name, [*RULES, NONE], where=where)
    check_parameters(named, "reduction", RULES[named.name])
    # What is out of range is said now, not when a message is heard.
    RULES[named.name](**named.parameters)
    return Reduction(str(named), float(named.parameters["keep"]))


def drop(*, keep: float, by: str = "entropy", seed: int = 0) -> Rule:
    """Hear the positions that a criterion ranks highest, as they were said.

    Args:
        keep: share of the positions, above 0 and at most 1, rounded up, so that one is left at least.
        by: `entropy` drops the surest positions first, whose belief is nearly one token; `certainty` the least sure;
            `similarity` those whose vector is most like that of the position before; `random` any. Of equals the later are
            dropped.
        seed: seed of `random`; the draw follows from it and the message's nearest tokens, and from nothing else: neither from
            the last bits of vectors nor from settings that leave what was said as it is.
    """
    _check(keep)
    if by not in BY:
        raise UnknownName("criterion", by, BY, where="reduction 'drop', by")

    def rule(message: Message) -> Groups:
        cipher = _cipher(message)
        count = len(cipher)
        left = kept_of(count, keep)
        if left == count:
            return _whole(count)
        scores = score(message)
        ranked = sorted(range(count), key=lambda place: (-scores[place], place))
        return tuple((place,) for place in sorted(ranked[:left]))

    def score(message: Message) -> list[float]:
        cipher = _cipher(message)
        match by:
            case "entropy":
                return [float(nats) for nats in cipher.entropy.double().tolist()]
            case "certainty":
                return [-float(nats) for nats in cipher.entropy.double().tolist()]
            case "similarity":
                rows = _rows(cipher)
                return [math.inf, *(-_cosine(one, two) for one, two in pairwise(rows))]
            case _:
                drawn = random.Random(f"{seed}|{','.join(map(str, message.token_ids))}")
                return [drawn.random() for _ in range(len(cipher))]

    return rule


def merge(*, keep: float) -> Rule:
    """Hear runs of neighbours as one position each, the two that are most alike first.

    Two neighbours become their mean, weighted by the positions that each stands for, until so many are left; of equally
    similar pairs the first.

    Args:
        keep: share of the positions, above 0 and at most 1, rounded up, so that one is left at least.
    """
    _check(keep)

    def rule(message: Message) -> Groups:
        cipher = _cipher(message)
        left = kept_of(len(cipher), keep)
        groups = [[place] for place in range(len(cipher))]
        if left == len(groups):
            return _whole(len(groups))
        # A mean's direction is its sum's.
        sums = list(_rows(cipher))
        alike = [_cosine(one, two) for one, two in pairwise(sums)]
        while len(groups) > left:
            place = max(range(len(alike)), key=alike.__getitem__)
            groups[place : place + 2] = [groups[place] + groups[place + 1]]
            sums[place : place + 2] = [sums[place] + sums[place + 1]]
            del alike[place]
            for pair in (place - 1, place):
                if 0 <= pair < len(alike):
                    alike[pair] = _cosine(sums[pair], sums[pair + 1])
        return tuple(map(tuple, groups))

    return rule


RULES: dict[str, Callable[..., Rule]] = {"drop": drop, "merge": merge}


def kept_of(count: int, keep: float) -> int:
    """Return how many of some positions a share leaves: rounded up, and one at least of whatever was said."""
    # A share such as 0.07 of 100 is 7 and a rounding error.
    return min(count, max(1, math.ceil(keep * count - 1e-9)))


def reduced(message: Message, groups: Groups, *, tokenizer: Any = None) -> Message:
    """Return a CIPHER message of which some positions are heard; the message itself where that is every position by itself.

    A merged position has the mean of its positions' vectors, computed in float64, on every table on which the message is
    rendered; the mean of their kept beliefs, and the likeliest token of that as its nearest; and the mean of their entropies
    and of their largest probabilities, below and above which those of the mean belief cannot be. Kept beliefs are renormalised
    before the mean, so that positions weigh alike, and the mean carries as much probability as that of its positions which
    carries least: where one is too little to be rendered on another table (`agents.rerender`), so is the mean.

    Args:
        message: the part of what was said that is heard: `message.answer`, or `message.whole` with its thinking.
        groups: positions of that part by position heard, each position at most once. What `first_tokens` leaves is the
            beginning of the part, so it need not be cut before.
        tokenizer: the sender's, which reads the tokens that are left; without it the text stays as it was.

    Raises:
        MessageError: the message has its thinking apart, so what positions count is not said.
    """
    cipher = _cipher(message)
    if message.thinking or message.thinking_tokens:
        raise MessageError(
            "positions of a reduced message count in the part that is heard: give message.answer, or message.whole where the "
            "thinking is heard, too"
        )
    if groups == _whole(len(cipher)):
        return message
    left = _part(cipher, groups)
    ids = tuple(left.nearest.tolist())
    text = message.text if tokenizer is None else tokenizer.decode(list(ids))
    return replace(message, text=text, token_ids=ids, cipher=left)


def _part(cipher: Cipher, groups: Groups) -> Cipher:
    import torch

    def mean(tensor: "torch.Tensor") -> "torch.Tensor":
        wide = tensor.double()
        rows = [
            tensor[group[0]] if len(group) == 1 else wide[list(group)].mean(dim=0).to(tensor.dtype) for group in groups
        ]
        return torch.stack(rows) if rows else tensor[:0]

    ids, weights, nearest = [], [], []
    for group in groups:
        tokens, shares = _mean_belief(cipher, group)
        ids.append(tokens)
        weights.append(shares)
        surest = max(group, key=lambda place: float(cipher.max_probability[place]))
        merged = len(group) > 1 and bool(tokens)
        nearest.append(tokens[0] if merged else int(cipher.nearest[surest]))
    width = max((len(tokens) for tokens in ids), default=cipher.top_ids.shape[1])
    return Cipher(
        vectors=mean(cipher.vectors),
        nearest=torch.tensor(nearest, dtype=torch.int64),
        entropy=mean(cipher.entropy),
        max_probability=mean(cipher.max_probability),
        top_ids=torch.tensor(_padded(ids, width, 0), dtype=torch.int64).reshape(len(groups), width),
        top_probabilities=torch.tensor(_padded(weights, width, 0.0), dtype=torch.float32).reshape(len(groups), width),
        rendered={name: mean(vectors) for name, vectors in cipher.rendered.items()},
    )


def _mean_belief(cipher: Cipher, group: Sequence[int]) -> tuple[list[int], list[float]]:
    """Return tokens and weights of the mean of some kept beliefs, the likeliest first, of equals the lowest id.

    The belief of a single position stays as it is. Of several each is renormalised, and the mean carries the least of their
    masses, so that whoever checks what is carried finds the worst position; nothing where one of them kept nothing.
    """
    tokens, shares = cipher.top_ids, cipher.top_probabilities
    if len(group) == 1:
        return tokens[group[0]].tolist(), shares[group[0]].tolist()
    weights = shares[list(group)].double()
    masses = weights.sum(dim=1).tolist()
    if (least := min(masses)) <= 0:
        return [], []
    total: dict[int, float] = {}
    for place, row, mass in zip(group, weights.tolist(), masses, strict=True):
        for token, share in zip(tokens[place].tolist(), row, strict=True):
            if share > 0:
                total[token] = total.get(token, 0.0) + share / mass * least / len(group)
    ordered = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return [token for token, _ in ordered], [share for _, share in ordered]


def _padded(rows: list[list[Any]], width: int, filling: Any) -> list[list[Any]]:
    return [[*row, *[filling] * (width - len(row))] for row in rows]


def _rows(cipher: Cipher) -> "list[torch.Tensor]":
    """Return what neighbours are compared by, in float64: their vectors, or their kept beliefs where they have none."""
    import torch

    if cipher.vectors.shape[1]:
        return list(cipher.vectors.double().cpu())
    kept = cipher.top_ids.tolist()
    columns = {token: column for column, token in enumerate(sorted({token for ids in kept for token in ids}))}
    rows = torch.zeros(len(cipher), max(len(columns), 1), dtype=torch.float64)
    for row, ids, shares in zip(rows, kept, cipher.top_probabilities.double().tolist(), strict=True):
        for token, share in zip(ids, shares, strict=True):
            row[columns[token]] += share
    return list(rows)


def _cosine(one: "torch.Tensor", two: "torch.Tensor") -> float:
    lengths = float(one.norm() * two.norm())
    return float(one @ two) / lengths if lengths > 0 else 0.0


def _whole(count: int) -> Groups:
    return tuple((place,) for place in range(count))


def _cipher(message: Message) -> Cipher:
    assert message.cipher is not None, "only CIPHER messages have positions to reduce"
    return message.cipher


def _check(keep: Any) -> None:
    if not isinstance(keep, int | float) or isinstance(keep, bool):
        raise ConfigError(f"reduction: keep must be a number; got {keep!r}")
    if not 0 < keep <= 1:
        raise ConfigError(f"reduction: keep is a share above 0 and at most 1; got {keep!r}")
