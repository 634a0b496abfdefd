"""Fits a fusion: heads on some cases, their temperatures and the pool on others, in which channels are missing or broken.

What a pool learns about its channels it must not learn where they were fitted: there they are too sure. So heads learn on some
cases, their temperatures and the pool on others, and the pool's own temperature on still others. All problems are small and
smooth, and solved by L-BFGS; what a seed draws is who is held out, and what is missing and broken.

n cases, F columns, M channels, K labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log10

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import ModelError
from agents.models.fusion.config import FusionConfig
from agents.models.fusion.log_linear import LogLinear
from agents.models.fusion.model import FusionModel, Head, broken
from agents.models.fusion.pool import TrainedPool

PENALTY = 1e-2
"""Of the squared weights of a head, against its mean log loss."""
POOL_PENALTY = 1e-3
"""Of how far a pool is from Bayes' rule for independent evidence, squared."""
LEVELS = (1.0, 2.0, 4.0)
"""Deviations of the noise that a channel is broken by in training."""
COPIES = 8
"""How often each case that a pool learns from is drawn: a quarter whole, a quarter with some missing, half with one broken."""
TEMPERATURES = (log10(0.2), log10(20), 161)
ROUNDING = 1e-12
"""Of a mean of equal numbers, as a share of it."""


@dataclass(frozen=True)
class Cases:
    """Columns [n, F] and the number of the right label [n]."""

    columns: Tensor
    right: Tensor

    def __len__(self) -> int:
        return len(self.right)

    def chosen(self, places: Tensor) -> "Cases":
        """Return cases by place."""
        return Cases(self.columns[places], self.right[places])


@dataclass(frozen=True)
class Heard:
    """Beliefs of channels [n, M, K], which of them are heard [n, M], and the number of the right label [n]."""

    beliefs: Tensor
    heard: Tensor
    right: Tensor


def fit(config: FusionConfig, learned: Cases, held: Cases, last: Cases, *, seed: int) -> FusionModel:
    """Return a fitted fusion, in eval mode.

    Args:
        config: labels and channels.
        learned: cases that heads are fitted on, and columns standardised by.
        held: others, that heads' temperatures and the pool are fitted on.
        last: still others, for the pool's temperature.
        seed: of what is missing and broken.

    Raises:
        ModelError: no cases in one of the three, or a column of them that is not finite.
    """
    for name, part in (("heads", learned), ("the pool", held), ("the pool's temperature", last)):
        if not len(part) or not bool(torch.isfinite(part.columns).all()):
            raise ModelError(
                f"a fusion fits {name} to cases whose columns are finite; got {len(part)} cases, or others"
            )
    model = FusionModel(config)
    model.middle.copy_(learned.columns.double().mean(0))
    # A column that never changes says nothing, and is divided by 1; its deviation may be rounding of its mean.
    spread = learned.columns.double().std(0, correction=0)
    model.spread.copy_(torch.where(spread > ROUNDING * model.middle.abs(), spread, torch.ones_like(spread)))
    x = model.standardised(learned.columns)
    seen = model.standardised(held.columns)
    for head, place in zip(model.heads, config.places.values(), strict=True):
        assert isinstance(head, Head)
        fit_head(head, x[:, place], learned.right)
        with torch.no_grad():
            head.temperature.copy_(fitted_temperature(head(seen[:, place]), held.right))
    fit_pool(model.pool, *heard_by_pool(model, held, last, seed))
    return model.eval()


def heard_by_pool(model: FusionModel, held: Cases, last: Cases, seed: int) -> tuple[Heard, Heard]:
    """Return what a pool is fitted on, and what its temperature is; a seed draws what is missing and broken."""
    generator = torch.Generator().manual_seed(seed)
    return heard_in_training(model, held, generator), heard_in_training(model, last, generator)


def fit_head(head: Head, x: Tensor, right: Tensor) -> None:
    """Fit one channel's head to columns [n, F], by its mean log loss and the penalty of its weights."""
    counts = torch.bincount(right, minlength=len(head.offset) + head.ordered).double().clamp_min(0.5)
    shares = counts / counts.sum()
    with torch.no_grad():
        if head.ordered:
            points = torch.logit(shares.cumsum(0)[:-1])
            head.offset.copy_(torch.cat([points[:1], torch.expm1(points[1:] - points[:-1]).clamp_min(1e-6).log()]))
        else:
            head.offset.copy_(shares.log())

    def loss() -> Tensor:
        found: Tensor = functional.nll_loss(head(x), right) + PENALTY / 2 * head.weight.square().sum()
        return found

    _descend(head, loss)


def fit_pool(pool: TrainedPool, cases: Heard, others: Heard) -> None:
    """Fit a pool to what channels believe, and to the labels that they would merely say; its temperatures on other cases.

    The prior is how often each label is right among the cases as they were drawn, one more each.
    """
    k = len(pool.labels)
    counts = torch.bincount(cases.right, minlength=k).double() + 1
    said = cases.beliefs.argmax(-1)
    with torch.no_grad():
        for part in (pool.of_beliefs, pool.of_labels):
            part.log_prior.copy_((counts / counts.sum()).log())
        for channel in range(len(pool.channels)):
            is_heard = cases.heard[:, channel]
            table = torch.zeros(k, k, dtype=torch.float64) + counts / counts.sum()
            ones = torch.ones(int(is_heard.sum()), dtype=torch.float64)
            table.index_put_((said[is_heard, channel], cases.right[is_heard]), ones, accumulate=True)
            pool.meant[channel] = table / table.sum(1, keepdim=True)
    _fit_weights(pool.of_beliefs, cases, others)
    _fit_weights(
        pool.of_labels,
        Heard(pool.heard_labels(said), cases.heard, cases.right),
        Heard(pool.heard_labels(others.beliefs.argmax(-1)), others.heard, others.right),
    )


def heard_in_training(model: FusionModel, cases: Cases, generator: torch.Generator) -> Heard:
    """Return what is heard of cases, each drawn `COPIES` times: whole, with channels missing, or with one broken."""
    config = model.config
    channels = list(config.places.values())
    standard = model.standardised(cases.columns)
    beliefs, heard = [], []
    for copy in range(COPIES):
        there = torch.ones(len(cases), len(channels), dtype=torch.bool)
        seen = standard
        if copy % 4 == 1 and len(channels) > 1:
            there = torch.rand(there.shape, generator=generator) < 0.5
            # Somebody is heard.
            there[torch.arange(len(cases)), torch.randint(len(channels), (len(cases),), generator=generator)] = True
        elif copy % 4 > 1:
            seen = one_broken(standard, channels, generator)
        with torch.no_grad():
            beliefs.append(model.beliefs(seen))
        heard.append(there)
    return Heard(torch.cat(beliefs), torch.cat(heard), cases.right.repeat(COPIES))


def fitted_temperature(logs: Tensor, right: Tensor) -> Tensor:
    """Return the temperature, of a grid from 0.2 to 20, at which log beliefs [n, K] are likeliest to be right [n]."""
    grid = torch.logspace(*TEMPERATURES, dtype=torch.float64)
    losses = torch.stack([functional.cross_entropy(logs / temperature, right) for temperature in grid])
    return grid[losses.argmin()]


def one_broken(standard: Tensor, channels: Sequence[slice], generator: torch.Generator) -> Tensor:
    """Return columns of which each case has one channel broken, at a level that is drawn."""
    which = torch.randint(len(channels), (len(standard),), generator=generator)
    level = torch.tensor(LEVELS)[torch.randint(len(LEVELS), (len(standard),), generator=generator)]
    found = standard
    for channel, place in enumerate(channels):
        for each in LEVELS:
            changed = broken(found, place, each, generator)
            found = torch.where(((which == channel) & (level == each))[:, None], changed, found)
    return found


def _fit_weights(part: LogLinear, cases: Heard, others: Heard) -> None:
    start = [parameter.detach().clone() for parameter in part.parameters()]

    def loss() -> Tensor:
        gone = sum((now - then).square().sum() for now, then in zip(part.parameters(), start, strict=True))
        found: Tensor = functional.cross_entropy(part(cases.beliefs, cases.heard), cases.right) + POOL_PENALTY * gone
        return found

    _descend(part, loss)
    with torch.no_grad():
        part.temperature.copy_(fitted_temperature(part(others.beliefs, others.heard), others.right))


def _descend(module: nn.Module, loss: Callable[[], Tensor]) -> None:
    optimiser = torch.optim.LBFGS(
        module.parameters(), max_iter=200, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=1e-7
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        found = loss()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimiser.step(closure)  # type: ignore[no-untyped-call]
