"""Which parts of a model go: one after the other, each for good if held-out losses say so.

Nagarajan, Sen, Stevens and Raghunathan (2020, arXiv:2010.03688), the rule and the order as in their code (github
amrnag/Specialized-Transformers, fa673a9). A change is accepted where the mean loss is below the lowest so far and more than half
of the samples lose no more than they did in the model as it was. First the attention of layers, from the first, is made hard;
then, from the last layer down, the feed-forward block is tried as a whole, and in groups of units where that costs less than a
tenth, and the attention block likewise, in heads.

Other than there: the mean is over samples, and not over batches of which the last may be shorter; and `slack`, which is ours.
L layers, G heads and M groups of units a layer, n samples.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from agents.errors import ConfigError

Kind = Literal["hard", "feed_forward", "units", "attention", "heads"]
BLOCKS: tuple[tuple[Kind, Kind], ...] = (("feed_forward", "units"), ("attention", "heads"))
"""What is tried as a whole, and its parts."""
NEAR = 1.1
"""How many times the lowest loss a model without a whole block may lose, for the parts of the block to be tried."""


@dataclass(frozen=True)
class Switches:
    """What of a model is as it was.

    Attributes:
        hard: [L] bool, whether the attention of a layer is hard.
        attention, feed_forward: [L] bool, which blocks stay.
        heads: [L, G] bool, which of them stay where their block does.
        units: [L, M] bool, which groups of units likewise.
    """

    hard: Tensor
    attention: Tensor
    feed_forward: Tensor
    heads: Tensor
    units: Tensor

    @classmethod
    def whole(cls, layers: int, heads: int, groups: int) -> "Switches":
        """Return those of a model of which nothing was taken."""
        stays = torch.ones(layers, dtype=torch.bool)
        rows = (stays[:, None].expand(layers, count).clone() for count in (heads, groups))
        return cls(torch.zeros(layers, dtype=torch.bool), stays, stays.clone(), *rows)

    def turned(self, kind: Kind, layer: int, part: int | None = None) -> "Switches":
        """Return them with one part the other way round."""
        changed: Tensor = getattr(self, kind).clone()
        place = layer if part is None else (layer, part)
        changed[place] = ~changed[place]
        return replace(self, **{kind: changed})

    @property
    def kept_heads(self) -> Tensor:
        """The heads [L, G] of blocks that stay."""
        return self.heads & self.attention[:, None]

    @property
    def kept_units(self) -> Tensor:
        """The groups [L, M] of blocks that stay."""
        return self.units & self.feed_forward[:, None]

    @property
    def hard_layers(self) -> list[int]:
        """The layers whose attention is there and hard."""
        return (self.hard & self.kept_heads.any(1)).nonzero().flatten().tolist()

    @property
    def removed(self) -> float:
        """The share of all heads and groups that went, a head counting as much as a group."""
        kept = int(self.kept_heads.sum()) + int(self.kept_units.sum())
        return 1 - kept / (self.heads.numel() + self.units.numel())

    def same(self, other: "Switches") -> bool:
        """Whether others say the same."""
        return all(torch.equal(getattr(self, each.name), getattr(other, each.name)) for each in fields(self))


Losses = Callable[[Switches], Tensor]
"""Of each held-out sample [n], by the model with these switches."""


class Accept:
    """The rule by which a change stays.

    Args:
        base: [n], losses of the model as it was.
        share: of the samples, of which more have to lose no more than in the model as it was.
        slack: 0 is the paper's rule. Above it a change stays while the mean loss is below (1 + slack) times that of the model as
            it was, and a sample may lose (1 + slack) times as much: a model that has nothing to gain can so be made smaller.
    """

    def __init__(self, base: Tensor, *, share: float = 0.5, slack: float = 0.0) -> None:
        self._base, self._times = base.double(), 1 + slack
        self._least = int(share * len(base))
        self.base = self.lowest = float(self._base.mean())
        self._slack = slack

    @property
    def limit(self) -> float:
        """What the mean loss of the next change has to be below."""
        return self.base * self._times if self._slack else self.lowest

    def __call__(self, losses: Tensor) -> bool:
        """Return whether losses [n] are accepted; then they are what the next ones are compared with."""
        mean = float(losses.double().mean())
        as_before = int((losses.double() <= self._times * self._base).sum())
        if not (mean < self.limit and as_before > self._least):
            return False
        self.lowest = min(self.lowest, mean)
        return True


@dataclass(frozen=True)
class Trial:
    """One change that was tried.

    Attributes:
        kind: of what.
        layer, part: where; a part is a head or a group of units.
        loss: the mean over samples.
        accepted: whether it stays.
    """

    kind: Kind
    layer: int
    part: int | None
    loss: float
    accepted: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.layer}" if self.part is None else f"{self.kind} {self.layer}.{self.part}"


@dataclass(frozen=True)
class Specialised:
    """What a search found.

    Attributes:
        switches: what stays.
        trials: in their order.
        before, after: mean losses of the samples.
    """

    switches: Switches
    trials: tuple[Trial, ...]
    before: float
    after: float

    @property
    def accepted(self) -> list[str]:
        """What was taken, in its order."""
        return [str(trial) for trial in self.trials if trial.accepted]


def specialise(
    losses: Losses, whole: Switches, *, share: float = 0.5, slack: float = 0.0, near: float = NEAR, hard: bool = True
) -> Specialised:
    """Return what is left of a model.

    Args:
        losses: of each held-out sample by the model with some switches.
        whole: of the model as it is.
        share, slack: see `Accept`.
        near: the parts of a block are tried where the model without it loses less than so many times the lowest loss.
        hard: whether hard attention is tried.

    Raises:
        ConfigError: a parameter out of range, or losses that are no numbers before anything is changed.
    """
    check(share, slack, near)
    base = losses(whole)
    if not bool(base.isfinite().all()):
        raise ConfigError("axformer: the losses of the model as it is are no finite numbers; take other texts")
    accept, now, trials = Accept(base, share=share, slack=slack), whole, []

    def tried(kind: Kind, layer: int, part: int | None = None) -> float:
        nonlocal now
        changed = now.turned(kind, layer, part)
        found = losses(changed)
        trials.append(Trial(kind, layer, part, float(found.double().mean()), accept(found)))
        now = changed if trials[-1].accepted else now
        return -math.inf if trials[-1].accepted else trials[-1].loss

    layers = range(len(whole.hard))
    if hard:
        for layer in layers:
            tried("hard", layer)
    for layer in reversed(layers):
        for block, parts in BLOCKS:
            if -math.inf < tried(block, layer) < near * accept.limit:
                for part in range(getattr(whole, parts).shape[1]):
                    tried(parts, layer, part)
    return Specialised(now, tuple(trials), accept.base, float(losses(now).double().mean()))


def check(share: float, slack: float, near: float) -> None:
    """Raise ConfigError for a rule that is none."""
    if not 0 <= share < 1:
        raise ConfigError(f"axformer: share is of the samples, at least 0 and below 1; got {share:g}")
    if not 0 <= slack < math.inf:
        raise ConfigError(f"axformer: slack is at least 0, which is the paper's rule, and finite; got {slack:g}")
    if not 1 <= near < math.inf:
        raise ConfigError(f"axformer: near is at least 1 and finite; got {near:g}")


def drawn(like: Switches, generator: torch.Generator) -> Switches:
    """Return switches that take as many blocks, heads, groups and hard layers as others do, at random places.

    Heads and groups are taken of blocks that stay, as they are in a search. Where the blocks that stay have fewer, all go.
    """
    layers = len(like.hard)
    found = Switches.whole(layers, like.heads.shape[1], like.units.shape[1])
    for block, parts in BLOCKS:
        stays, rows = getattr(found, block), getattr(found, parts)
        stays[_chosen(layers, int((~getattr(like, block)).sum()), generator)] = False
        count = int((~getattr(like, parts) & getattr(like, block)[:, None]).sum())
        places = stays.nonzero().flatten().repeat_interleave(rows.shape[1])
        columns = torch.arange(rows.shape[1]).repeat(int(stays.sum()))
        chosen = _chosen(len(places), count, generator)
        rows[places[chosen], columns[chosen]] = False
    there = found.attention.nonzero().flatten()
    found.hard[there[_chosen(len(there), len(like.hard_layers), generator)]] = True
    return found


def _chosen(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator)[:wanted]
