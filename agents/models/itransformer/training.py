"""The recipe: ETTh1's seven hourly series, 96 hours seen and 96 forecast, mean squared error, the paper's splits.

12, 4 and 4 months of 30 days, standardised by the training months; windows of validation and test begin a lookback earlier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.models.checkpoint import CONFIG, load_model, save_model
from agents.models.forecasts.ett import read_ett, read_marks, windows
from agents.models.forecasts.network import covered, error, fit_spread, scale
from agents.models.itransformer.backend import ITransformerBackend
from agents.models.itransformer.config import ITransformerConfig
from agents.models.itransformer.model import ITransformer
from agents.models.seeded import seeded
from agents.pretrained import Progress


@dataclass(frozen=True)
class Recipe:
    """How it is trained.

    Attributes:
        epochs: at most.
        batch: windows in a step.
        learning_rate: of Adam.
        whole: epochs with that rate; it is halved before every other one.
        patience: it ends after so many epochs that were not the best in validation; 0 for never.
    """

    epochs: int = 4
    batch: int = 32
    learning_rate: float = 3e-4
    whole: int = 1
    patience: int = 0


PUBLISHED = Recipe(epochs=10, learning_rate=1e-4, whole=2, patience=3)
"""Of github thuml/iTransformer @ c2426e6, scripts/multivariate_forecasting/ETT/iTransformer_ETTh1.sh and run.py."""
PUBLISHED_CONFIG = ITransformerConfig(width=256, hidden=256, marks=4)
PAPERS_ERROR = 0.386
"""Mean squared error on ETTh1, 96 → 96 (Liu et al., 2024, table 10)."""


def train(
    model: nn.Module,
    values: Tensor,
    config: ITransformerConfig,
    recipe: Recipe,
    *,
    seed: int,
    progress: Progress,
    marks: Tensor | None = None,
) -> nn.Module:
    """Return the model with the weights of the epoch that was best in validation; it reads marks [L, C] of the times if given."""
    generator = torch.Generator().manual_seed(seed)
    seen, next_, *known = windows(values, "train", config.lookback, config.horizon, marks)
    validation = windows(values, "validation", config.lookback, config.horizon, marks)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    best, kept, since = float("inf"), {}, 0
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # dropout has torch's own generator
        for epoch in range(recipe.epochs):
            model.train()
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * 0.5 ** max(epoch - recipe.whole + 1, 0)
            for places in torch.split(torch.randperm(len(seen), generator=generator), recipe.batch):
                loss = functional.mse_loss(model(seen[places], *(part[places] for part in known)), next_[places])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            found = error(model, validation)
            progress(f"epoch {epoch + 1} of {recipe.epochs}: validation {found:.3f}")
            if found < best:
                best, kept, since = found, {name: value.clone() for name, value in model.state_dict().items()}, 0
            elif (since := since + 1) == recipe.patience:
                break
    model.load_state_dict(kept)
    return model.eval()


class TimeTokens(nn.Module):
    """The baseline, not inverted: a token a time step, learnt positions, the same standardising, linear over time."""

    def __init__(self, config: ITransformerConfig, variates: int, width: int = 64) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Linear(variates, width), nn.Parameter(torch.zeros(config.lookback, width))
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 2 * width, config.dropout, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.over_time, self.head = nn.Linear(config.lookback, config.horizon), nn.Linear(width, variates)

    def forward(self, window: Tensor) -> Tensor:
        """Return the forecast [B, H, N] of windows [B, L, N]."""
        mean, deviation = scale(window)
        x = self.encoder(self.embedding((window - mean) / deviation) + self.positions)
        found: Tensor = self.head(self.over_time(x.transpose(1, 2)).transpose(1, 2)) * deviation + mean
        return found


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what of the paper's findings holds on ETTh1, 96 → 96; every model is kept under `out`.

    Args:
        out: models that are there are not trained again, nor are baselines.
        seeds: training seeds, from 0.
        data: folder of ETT.
        progress: told of each step that takes time.
    """
    values, names = read_ett(data)
    config = ITransformerConfig()
    test = windows(values, "test", config.lookback, config.horizon)
    repeated = float(functional.mse_loss(test[0][:, -1:].expand_as(test[1]), test[1]))
    ours: list[float] = []
    theirs: list[float] = []
    inside: list[float] = []
    for seed in range(seeds):
        folder = out / f"etth1-{seed}"
        if not (folder / CONFIG).is_file():
            progress(f"training iTransformer, seed {seed}")
            made = seeded(lambda: ITransformer(config), seed)
            train(made, values, config, Recipe(), seed=seed, progress=progress)
            fit_spread(made, windows(values, "validation", config.lookback, config.horizon))
            ITransformerBackend(made, variate=names[-1]).save_pretrained(folder)
        model = ITransformerBackend.from_pretrained(str(folder)).model
        ours.append(error(model, test))
        inside.append(covered(model, test))
    for seed in range(seeds):
        folder = out / f"time-tokens-{seed}"
        if not (folder / CONFIG).is_file():
            progress(f"training the encoder of time steps, seed {seed}")
            baseline = seeded(lambda: TimeTokens(config, len(names)), seed)
            train(baseline, values, config, Recipe(), seed=seed, progress=progress)
            save_model(folder, baseline, {"variates": len(names)})
        plain, _ = load_model(folder, "encoder of time steps", lambda sizes: TimeTokens(config, **sizes))
        theirs.append(error(plain, test))
        progress(f"seed {seed}: test error {ours[seed]:.3f}, of the encoder of time steps {theirs[seed]:.3f}")
    return [
        Claim("share of the error of time-step tokens that is saved", _saved(ours, theirs), (0.0,) * seeds, least=0.05),
        Claim("times as exact as repeating the last value", tuple(repeated / each for each in ours), (3.0,) * seeds, least=0.0),
        Claim("0.40 − mean squared error", tuple(0.4 - each for each in ours), (0.0,) * seeds, least=0.0),
        Claim("share of values inside 90 % intervals", tuple(inside), (0.9,) * seeds, within=0.05),
    ]  # fmt: skip


def published_claims(
    out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None
) -> list[Claim]:
    """Return whether the published run's width, epochs and marks of time give the paper's error on ETTh1, 96 → 96.

    Args:
        out, seeds, data, progress: as of `claims`; models are `out`/published-etth1-SEED.
    """
    (values, names), marks = read_ett(data), read_marks(data)
    config = PUBLISHED_CONFIG
    test = windows(values, "test", config.lookback, config.horizon, marks)
    ours = []
    for seed in range(seeds):
        folder = out / f"published-etth1-{seed}"
        if not (folder / CONFIG).is_file():
            progress(f"training the published run, seed {seed}")
            made = seeded(lambda: ITransformer(config), seed)
            train(made, values, config, PUBLISHED, seed=seed, progress=progress, marks=marks)
            fit_spread(made, windows(values, "validation", config.lookback, config.horizon, marks))
            ITransformerBackend(made, variate=names[-1]).save_pretrained(folder)
        ours.append(error(ITransformerBackend.from_pretrained(str(folder)).model, test))
        progress(f"seed {seed}: test error {ours[seed]:.3f}")
    return [Claim("mean squared error near the paper's", tuple(ours), (PAPERS_ERROR,) * seeds, within=0.01)]


def _saved(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    return tuple(1 - a / b for a, b in zip(ours, theirs, strict=True))
