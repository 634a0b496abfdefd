"""The recipe: ETTh1's seven hourly series, 96 hours seen and 96 forecast, mean squared error, the paper's splits.

12, 4 and 4 months of 30 days, standardised by the training months; windows of validation and test begin a lookback earlier.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.claims import Claim
from agents.errors import ModelError
from agents.models.checkpoint import CONFIG
from agents.models.itransformer.backend import ITransformerBackend
from agents.models.itransformer.config import ITransformerConfig
from agents.models.itransformer.model import ITransformer, scale
from agents.models.seeded import seeded
from agents.pretrained import Progress

MONTH = 30 * 24
SPLITS = {"train": (0, 12 * MONTH), "validation": (12 * MONTH, 16 * MONTH), "test": (16 * MONTH, 20 * MONTH)}
NINETY = 1.6448536269514722


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the rate is halved after every epoch."""

    epochs: int = 4
    batch: int = 32
    learning_rate: float = 3e-4


def read_ett(data: Path | None) -> tuple[Tensor, tuple[str, ...]]:
    """Return ETTh1 [L, 7], oldest first, and its names, of a folder with ETTh1.csv(.gz), or with such a folder `ett`.

    Raises:
        ModelError: it is not there, or too short.
    """
    files = ("ETTh1.csv", "ETTh1.csv.gz", "ett/ETTh1.csv", "ett/ETTh1.csv.gz")
    path = next((data / name for name in files if (data / name).is_file()), None) if data is not None else None
    if path is None:
        raise ModelError("ETT is not there: give --data with ETTh1.csv or ETTh1.csv.gz (github zhouhaoyi/ETDataset)")
    raw = path.read_bytes()
    heading, *lines = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().split()
    try:
        # A date and an hour begin each line.
        rows = [[float(value) for value in line.split(",")[1:]] for line in lines if "," in line]
        values = torch.tensor(rows, dtype=torch.float64)
    except ValueError as error:
        raise ModelError(f"{path}: not a table of numbers ({error})") from error
    if len(values) < SPLITS["test"][1]:
        raise ModelError(f"{path}: {SPLITS['test'][1]} rows are needed; it has {len(values)}")
    return values, tuple(heading.split(",")[1:])


def windows(values: Tensor, split: str, config: ITransformerConfig) -> tuple[Tensor, Tensor]:
    """Return every window [n, lookback, N] of a split and what came next [n, horizon, N], standardised, float32."""
    first, end = SPLITS[split]
    known = values[slice(*SPLITS["train"])]
    part = ((values - known.mean(0)) / known.std(0, correction=0))[max(first - config.lookback, 0) : end].float()
    both = part.unfold(0, config.lookback + config.horizon, 1).transpose(1, 2)
    return both[:, : config.lookback], both[:, config.lookback :]


def train(
    model: nn.Module, values: Tensor, config: ITransformerConfig, recipe: Recipe, *, seed: int, progress: Progress
) -> nn.Module:
    """Return the model with the weights of the epoch that was best in validation."""
    generator = torch.Generator().manual_seed(seed)
    seen, next_ = windows(values, "train", config)
    validation = windows(values, "validation", config)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    best, kept = float("inf"), {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # dropout has torch's own generator
        for epoch in range(recipe.epochs):
            model.train()
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * 0.5**epoch
            for places in torch.split(torch.randperm(len(seen), generator=generator), recipe.batch):
                loss = functional.mse_loss(model(seen[places]), next_[places])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            found = error(model, validation)
            progress(f"epoch {epoch + 1} of {recipe.epochs}: validation {found:.3f}")
            if found < best:
                best, kept = found, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return model.eval()


@torch.inference_mode()
def forecasts(model: nn.Module, seen: Tensor) -> Tensor:
    """Return the forecasts [n, H, N] of windows."""
    model.eval()
    return torch.cat([model(each) for each in torch.split(seen, 256)])


def error(model: nn.Module, split: tuple[Tensor, Tensor]) -> float:
    """Return the mean squared error over windows, steps and variates."""
    return float(functional.mse_loss(forecasts(model, split[0]), split[1]))


def fit_spread(model: ITransformer, split: tuple[Tensor, Tensor]) -> None:
    """Set the model's spread by step so that nine tenths of a split's errors, in deviations of their windows, are inside 90 %.

    A quantile and no mean square: where a variate stood still and then moves, the error is hundreds of deviations.
    """
    _, deviation = scale(split[0])
    off = ((forecasts(model, split[0]) - split[1]) / deviation).abs()
    model.spread.copy_(off.transpose(0, 1).flatten(1).quantile(0.9, dim=1) / NINETY)


def covered(model: ITransformer, split: tuple[Tensor, Tensor]) -> float:
    """Return the share of a split's values that lie in the model's 90 % intervals."""
    _, deviation = scale(split[0])
    off = (forecasts(model, split[0]) - split[1]).abs()
    return float((off <= NINETY * model.spread[:, None] * deviation).float().mean())


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
        out: models that are there are not trained again; the baseline is.
        seeds: training seeds, from 0.
        data: folder of ETT.
        progress: told of each step that takes time.
    """
    values, names = read_ett(data)
    config = ITransformerConfig()
    test = windows(values, "test", config)
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
            fit_spread(made, windows(values, "validation", config))
            ITransformerBackend(made, variate=names[-1]).save_pretrained(folder)
        model = ITransformerBackend.from_pretrained(str(folder)).model
        ours.append(error(model, test))
        inside.append(covered(model, test))
        progress(f"training the encoder of time steps, seed {seed}")
        plain = train(
            seeded(lambda: TimeTokens(config, len(names)), seed), values, config, Recipe(), seed=seed, progress=progress
        )
        theirs.append(error(plain, test))
    return [
        Claim("share of the error of time-step tokens that is saved", _saved(ours, theirs), (0.0,) * seeds, least=0.05),
        Claim("times as exact as repeating the last value", tuple(repeated / each for each in ours), (3.0,) * seeds, least=0.0),
        Claim("0.40 − mean squared error", tuple(0.4 - each for each in ours), (0.0,) * seeds, least=0.0),
        Claim("share of values inside 90 % intervals", tuple(inside), (0.9,) * seeds, within=0.05),
    ]  # fmt: skip


def _saved(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    return tuple(1 - a / b for a, b in zip(ours, theirs, strict=True))
