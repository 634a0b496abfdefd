"""Conditional beam search: the likeliest text that is complete, as long as asked, and not a loop.

Yoshida, Goyal and Gimpel, MAP's not dead yet (2024, arXiv 2311.08817), attribute-conditional beam search: prefixes are ranked
by log p(y | x) + α log q(a | y, x), where q is the probability that a text which begins so will have the attribute a. A
finished text has it or has not, so that texts are chosen by log p alone: nothing is divided by a length. The equations are
our reading.

q comes from whoever calls, e.g. a classifier on the model's states (agents/decoding/attributes.py). Without one the search knows
of a prefix only what is certain: that it is too short to end, too long to go on, or loops already.

V vocabulary, n prefixes.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from agents.errors import ConfigError

TIMES = 3
AHEAD, MOST_CONSIDERED = 4, 256


@dataclass(frozen=True)
class ConditionalBeam:
    """What is searched for, and how widely.

    Attributes:
        width: prefixes that are kept at each step.
        least: fewest tokens of the text.
        most: maximum number of tokens; 0 for the request's own limit, which is never passed.
        loop: a text in which one run of this many tokens or more stands three times on end is none; 0 allows it.
        weight: α.
        classifier: file of the classifier that q comes from; empty for none.
        considered: continuations that go through the model at each step before q decides which are kept; 0 for four times
            the width with a classifier, and for the width without.

    Raises:
        ConfigError: a number out of range.
    """

    width: int = 4
    least: int = 1
    most: int = 0
    loop: int = 0
    weight: float = 1.0
    classifier: str = ""
    considered: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 64:
            raise ConfigError(f"decoding acbs: width lies between 1 and 64; got {self.width}")
        if self.least < 0 or self.loop < 0 or not 0 <= self.weight < float("inf"):
            raise ConfigError(
                f"decoding acbs: least, loop and weight are at least 0; got {self.least}, {self.loop} and {self.weight}"
            )
        if self.considered and not self.width <= self.considered <= MOST_CONSIDERED:
            raise ConfigError(
                f"decoding acbs: considered is 0, or lies between the width and {MOST_CONSIDERED}; got {self.considered} and "
                f"{self.width}"
            )
        if self.most and self.most < max(self.least, 1):
            raise ConfigError(
                f"decoding acbs: most is 0 (the message's own limit), or at least 1 and not below least; got {self.most} and "
                f"{self.least}"
            )

    @property
    def wide(self) -> int:
        """Prefixes that go through the model at each step."""
        return self.considered or self.width * (AHEAD if self.classifier else 1)

    def to_come(self, written: int, limit: int) -> tuple[int, int]:
        """Return how many tokens may still come behind so many, at least and at most, of a message of `limit` with its end."""
        return self.least - written, min(self.most or limit, limit - 1) - written


@dataclass(frozen=True)
class Found:
    """A text that was found.

    Attributes:
        tokens: with its end, where it has one.
        kept: tokens of them that are the text.
        finish: `stop` where it is complete, `length` where the limit cut it off: then no complete text was found.
        steps: log-likelihood of each token in nats.
        decoded: prefixes that went through the model.
    """

    tokens: tuple[int, ...]
    kept: int
    finish: Literal["stop", "length"]
    steps: tuple[float, ...]
    decoded: int = 0

    @property
    def log_probability(self) -> float:
        """Of all its tokens."""
        return sum(self.steps)


@dataclass(frozen=True)
class _Prefix:
    tokens: tuple[int, ...] = ()
    steps: tuple[float, ...] = ()
    place: int = 0
    score: float = field(default=0.0)


Asked = tuple[Sequence[int], Sequence[int]]
"""Places of prefixes of the last step, and a token that follows each."""
Behind = tuple[torch.Tensor, torch.Tensor | None]
"""log p(next token) [n, V] behind each of them, and log q [n] of each, or None where nothing tells."""
Advance = Callable[[Sequence[int], Sequence[int]], Behind]


def conditional_beam(
    first: torch.Tensor,
    advance: Advance,
    settings: ConditionalBeam,
    *,
    ends: Collection[int],
    limit: int,
    cut: Callable[[Sequence[int]], int | None] = lambda tokens: None,
    considered: int | None = None,
) -> Found:
    """Return the likeliest text found that has what is asked for.

    At each step the likeliest continuations of all prefixes are looked at, and those kept that are best by log p + α log q;
    equals stay in the order of prefix and token. The search ends when no prefix is likelier than the best complete text.

    Args:
        first: [V], log p(first token).
        advance: places of prefixes of the last step, and a token that follows each → log p(next token) [n, V] behind each, and
            log q [n] of each, or None where nothing tells. The new prefixes have the places 0 … n−1.
        settings: what is asked for.
        ends: tokens that end a text.
        limit: most tokens of a message, its end included.
        cut: tokens → how many of them are the text, where a stop string is complete in them; else None.
        considered: continuations that are looked at before q decides; what the settings say by default.
    """
    steps = beam_steps(first, settings, ends=ends, limit=limit, cut=cut, considered=considered)
    try:
        asked = next(steps)
        while True:
            asked = steps.send(advance(*asked))
    except StopIteration as done:
        found: Found = done.value
        return found


def beam_steps(
    first: torch.Tensor,
    settings: ConditionalBeam,
    *,
    ends: Collection[int],
    limit: int,
    cut: Callable[[Sequence[int]], int | None] = lambda tokens: None,
    considered: int | None = None,
) -> Generator[Asked, Behind, Found]:
    """Yield what `conditional_beam` would ask `advance`, and take the answer; return what it found.

    Whoever drives it may stop after any step.
    """
    # A model's settings may name an end that it cannot say: -1, or a token behind its vocabulary.
    ends = [end for end in ends if 0 <= end < len(first)]
    most = min(limit, settings.most or limit)
    wide = max(considered or settings.wide, settings.width)
    kept, likely = [_Prefix()], first[None].double()
    best: Found | None = None
    decoded = 0
    for step in range(1, most + 2):
        scores = torch.tensor([one.score for one in kept], dtype=torch.float64)[:, None] + likely.cpu()
        if step - 1 >= settings.least and step <= limit:
            for row, one in enumerate(kept):
                end = max(ends, key=lambda token: (float(scores[row, token]), -token), default=None)
                if end is not None and float(scores[row, end]) > _score(best):
                    best = _whole(one, end, float(likely[row, end]), len(one.tokens), "stop")
        if step > most:
            break
        for end in ends:
            scores[:, end] = -float("inf")
        open_, texts = _continued(kept, scores, likely, settings, cut, wide, floor=_score(best))
        best = max([*texts, *([best] if best else [])], key=_score, default=None)
        open_ = [one for one in open_ if one.score > _score(best)]
        # Behind the last token that a message may have, nothing is left to be said.
        if not open_ or step == limit:
            kept = open_ or kept
            break
        likely, log_q = yield [one.place for one in open_], [one.tokens[-1] for one in open_]
        likely = likely.double()
        decoded += len(open_)
        ranks = [one.score for one in open_]
        if log_q is not None and settings.weight:
            ranks = [rank + settings.weight * q for rank, q in zip(ranks, log_q.tolist(), strict=True)]
        order = sorted(range(len(open_)), key=lambda place: -ranks[place])[: settings.width]
        kept = [_Prefix(open_[at].tokens, open_[at].steps, at, open_[at].score) for at in order]
        likely = likely[order]
    if best is None:
        longest = max(kept, key=lambda one: (len(one.tokens), one.score))
        best = Found(longest.tokens, len(longest.tokens), "length", longest.steps)
    return Found(best.tokens, best.kept, best.finish, best.steps, decoded)


def loops(tokens: Sequence[int], shortest: int) -> bool:
    """Whether tokens end in one run of at least `shortest`, three times on end; never with 0."""
    return shortest > 0 and any(
        tokens[-period:] == tokens[-2 * period : -period] == tokens[-3 * period : -2 * period]
        for period in range(shortest, len(tokens) // TIMES + 1)
    )


def _continued(
    kept: Sequence[_Prefix],
    scores: torch.Tensor,
    likely: torch.Tensor,
    settings: ConditionalBeam,
    cut: Callable[[Sequence[int]], int | None],
    wide: int,
    floor: float,
) -> tuple[list[_Prefix], list[Found]]:
    """Return the `wide` likeliest continuations that may go on, and the complete texts among those before them."""
    going: list[_Prefix] = []
    texts: list[Found] = []
    for score, at in _descending(scores.flatten(), wide):
        if len(going) == wide or score <= floor:
            break
        row, token = divmod(at, scores.shape[1])
        one = kept[row]
        tokens = (*one.tokens, token)
        if settings.loop and loops(tokens, settings.loop):
            continue
        length = cut(tokens)
        if length is None:
            going.append(_Prefix(tokens, (*one.steps, float(likely[row, token])), one.place, score))
        elif length >= settings.least:
            texts.append(_whole(one, token, float(likely[row, token]), length, "stop"))
    return going, texts


def _descending(scores: torch.Tensor, first: int) -> Iterator[tuple[float, int]]:
    """Yield scores and their places, the largest first, equals by their place; few are looked at where few are taken."""
    count, done = 2 * first, 0
    while done < len(scores):
        count = min(count, len(scores))
        # All that are as large as the smallest of the largest: which of equals `topk` takes is not said.
        floor = torch.topk(scores, count).values[-1]
        places = torch.nonzero(scores >= floor)[:, 0]
        order = torch.sort(scores[places], descending=True, stable=True)
        yield from list(zip(order.values.tolist(), places[order.indices].tolist(), strict=True))[done:]
        done, count = len(places), 8 * count


def _whole(one: _Prefix, token: int, likely: float, kept: int, finish: Literal["stop", "length"]) -> Found:
    return Found((*one.tokens, token), kept, finish, (*one.steps, likely))


def _score(found: Found | None) -> float:
    return -float("inf") if found is None else found.log_probability
