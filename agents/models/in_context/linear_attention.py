"""One layer of linear self-attention, and the closed form that its training ends at (Zhang et al., 2024, arXiv:2306.09927).

A prompt is E = [[x_1 … x_N, x_q], [y_1 … y_N, 0]], the layer f(E) = E + W_PV E (Eᵀ W_KQ E) / N, and the answer its last entry.
Trained on y = w · x, w ~ N(0, I), x ~ N(0, Λ), from W_PV = s e eᵀ and W_KQ = s diag(A, 0), gradient flow ends at

    W_KQ = tr(Γ⁻²)^(−1/4) diag(Γ⁻¹, 0),  W_PV = tr(Γ⁻²)^(1/4) e eᵀ,  Γ = (1 + 1/N) Λ + tr(Λ) / N I,

that is at the answer x_q · Γ⁻¹ (1/M Σ y_i x_i) to a prompt of M examples: one step of preconditioned gradient descent, not least
squares. It bears other weights and other questions; inputs of another covariance it does not.

B prompts, N or M examples, d dimensions.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from agents.beliefs.claims import Claim, claims_of
from agents.errors import ConfigError
from agents.models.in_context.claims import FRESH_SEED, Pairs, diabetes
from agents.models.in_context.estimators import Rule, ridge
from agents.models.in_context.training import Recipe, fit
from agents.models.seeded import seeded
from agents.pretrained import Progress

DIMS, EXAMPLES = 5, 20
VARIANCES = (2.0, 1.5, 1.0, 0.7, 0.5)
"""Λ's diagonal."""
START = 0.3
"""s."""
RECIPE = Recipe(steps=1500, batch=128, learning_rate=1e-2, warmup=1)
FRESH = 10_000


class LinearAttention(nn.Module):
    """The layer, with its query in the last column."""

    def __init__(self, dims: int, start: Tensor) -> None:
        """Start at s diag(A, 0) and s e eᵀ, `start` being s A [d, d], with s as large as its norm."""
        super().__init__()
        key_query, value = torch.zeros(dims + 1, dims + 1).double(), torch.zeros(dims + 1, dims + 1).double()
        key_query[:dims, :dims], value[dims, dims] = start, start.norm()
        self.key_query, self.value = nn.Parameter(key_query), nn.Parameter(value)

    def forward(self, x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        """Return answers [B] to prompts x [B, M, d], y [B, M] and questions [B, d], all float64."""
        tokens = torch.cat([x, asked[:, None]], 1)
        labels = torch.cat([y, torch.zeros_like(y[:, :1])], 1)
        e = torch.cat([tokens, labels[..., None]], -1).transpose(1, 2)
        # Of f(E) only the column that is asked for.
        scores = e.transpose(1, 2) @ (e[..., -1] @ self.key_query.T)[..., None]
        attended = e[..., -1] + (e @ scores)[..., 0] @ self.value.T / x.shape[1]
        found: Tensor = attended[:, -1]
        return found

    @property
    def effective(self) -> Tensor:
        """The matrix [d, d] between label-weighted inputs and question: what of the two matrices the answer shows."""
        found: Tensor = self.value[-1, -1] * self.key_query[:-1, :-1]
        return found.detach()


def gamma(covariance: Tensor, examples: int) -> Tensor:
    """Return Γ [d, d] of a covariance Λ [d, d] and N examples."""
    found: Tensor = (1 + 1 / examples) * covariance + covariance.trace() / examples * torch.eye(
        len(covariance)
    ).double()
    return found


def limit(covariance: Tensor, examples: int) -> tuple[Tensor, Tensor]:
    """Return W_KQ and W_PV [d + 1, d + 1] that gradient flow ends at."""
    dims = len(covariance)
    inverse = torch.linalg.inv(gamma(covariance, examples))
    scale = (inverse @ inverse).trace() ** 0.25
    key_query, value = torch.zeros(dims + 1, dims + 1).double(), torch.zeros(dims + 1, dims + 1).double()
    key_query[:dims, :dims], value[dims, dims] = inverse / scale, scale
    return key_query, value


def population_loss(a: Tensor, v: Tensor, covariance: Tensor, examples: int) -> Tensor:
    """Return ½ E (answer − w · x_q)² of W_KQ = diag(A, 0), W_PV = v e eᵀ, exactly.

    With B = v A it is ½ (tr Bᵀ Λ Γ B Λ − 2 tr B Λ² + tr Λ), since E h hᵀ = Λ Γ and E h wᵀ = Λ for h = 1/N Σ y_i x_i.
    """
    b = v * a
    first = (b.T @ covariance @ gamma(covariance, examples) @ b @ covariance).trace()
    found: Tensor = 0.5 * (first - 2 * (b @ covariance @ covariance).trace() + covariance.trace())
    return found


def gradient_flow(
    covariance: Tensor, examples: int, *, start: Tensor, step: float = 0.03, steps: int = 1600
) -> tuple[Tensor, Tensor]:
    """Return A [d, d] and v after gradient flow on the exact loss, from A = `start` and v its norm.

    By Runge and Kutta's method of fourth order: plain descent loses the balance ‖A‖ = v that decides where it ends.
    """

    def slope(a: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        a, v = a.requires_grad_(), v.requires_grad_()
        da, dv = torch.autograd.grad(population_loss(a, v, covariance, examples), (a, v))
        return -da, -dv

    a, v = start.clone(), start.norm()
    for _ in range(steps):
        slopes = [slope(a.detach(), v.detach())]
        for part in (step / 2, step / 2, step):
            slopes.append(slope(a.detach() + part * slopes[-1][0], v.detach() + part * slopes[-1][1]))
        (a1, v1), (a2, v2), (a3, v3), (a4, v4) = slopes
        a, v = a.detach() + step / 6 * (a1 + 2 * a2 + 2 * a3 + a4), v.detach() + step / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
    return a, v


def trained_rule(*, trained: int = 10) -> Rule:
    """The limit of training on inputs of variance 1 and so many examples, as a rule."""
    if trained < 1:
        raise ConfigError(f"trained must be at least 1; got {trained}")

    def rule(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        step = torch.linalg.inv(gamma(torch.eye(x.shape[-1]).double(), trained))
        moment = (x.double() * y.double()[..., None]).mean(1)
        found: Tensor = (asked.double() @ step @ moment[..., None])[..., 0]
        return found

    return rule


def prompts(
    covariance: Tensor, functions: int, examples: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x [B, M, d], y [B, M], asked [B, d] and the asked one's label [B]; no noise."""
    dims = len(covariance)
    root = torch.linalg.cholesky(covariance)
    x = torch.randn(functions, examples + 1, dims, generator=generator, dtype=torch.float64) @ root.T
    w = torch.randn(functions, dims, 1, generator=generator, dtype=torch.float64)
    y = (x @ w)[..., 0]
    return x[:, :-1], y[:, :-1], x[:, -1], y[:, -1]


def random_start(dims: int, seed: int) -> Tensor:
    """Return s Θ Θᵀ of norm s for a random Θ."""
    theta = torch.randn(dims, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    square = theta @ theta.T
    found: Tensor = START * square / square.norm()
    return found


def trained_layer(seed: int, progress: Progress) -> LinearAttention:
    """Return the layer after training on drawn prompts, all of both matrices free."""
    covariance = torch.diag(torch.tensor(VARIANCES)).double()

    def loss(layer: LinearAttention, generator: torch.Generator) -> Tensor:
        x, y, asked, label = prompts(covariance, RECIPE.batch, EXAMPLES, generator)
        found: Tensor = 0.5 * (layer(x, y, asked) - label).square().mean()
        return found

    layer = seeded(lambda: LinearAttention(DIMS, random_start(DIMS, seed)), seed)
    return fit(layer, loss, RECIPE, seed=seed, progress=progress)


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return whether training ends at the closed form, and what that bears.

    Args:
        out: not needed; training takes seconds.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del out, data
    covariance = torch.diag(torch.tensor(VARIANCES)).double()
    inverse, plain = torch.linalg.inv(gamma(covariance, EXAMPLES)), torch.linalg.inv(covariance)
    figures: Pairs = {}
    for seed in range(seeds):
        progress(f"training one layer, seed {seed}")
        layer = trained_layer(seed, progress)
        near, far = (float((layer.effective - each).norm() / each.norm()) for each in (inverse, plain))
        figures.setdefault(CLOSED, []).append((near, 0.0))
        figures.setdefault(NOT_INVERSE, []).append((far, near))
        a, v = gradient_flow(covariance, EXAMPLES, start=random_start(DIMS, seed))
        key_query, value = limit(covariance, EXAMPLES)
        off = float((a - key_query[:-1, :-1]).norm() / key_query.norm() + (v - value[-1, -1]).abs() / value[-1, -1])
        figures.setdefault(FLOW, []).append((off, 0.0))
        fresh = FRESH_SEED + seed
        inside = _error(layer, covariance, fresh)
        formula = 2 * float(
            population_loss(inverse, torch.tensor(1.0).double(), covariance, EXAMPLES) / covariance.trace()
        )
        figures.setdefault(FORMULA, []).append((inside, formula))
        figures.setdefault(TASKS, []).append((_error(layer, covariance, fresh, weights=3.0), inside))
        figures.setdefault(QUERIES, []).append((_error(layer, covariance, fresh, asked=3.0), inside))
        figures.setdefault(INPUTS, []).append((_error(layer, 9 * covariance, fresh) / inside, 10.0))
        figures.setdefault(REAL, []).append(_real(seed))
    return claims_of(figures, ASKED)


FLOW = "gradient flow on the exact loss: relative distance of both matrices to the closed form"
CLOSED = "trained on drawn prompts: relative distance of their product to Γ⁻¹"
NOT_INVERSE = "the same to Λ⁻¹: above that to Γ⁻¹"
FORMULA = "error over the label's variance: the closed form's"
TASKS = "weights three times as large, the same prompts: the same share of the variance"
QUERIES = "questions three times as far out, the same prompts: the same share"
INPUTS = "all inputs three times as far out: error, over that inside, above 10"
REAL = "diabetes, standardised, 12 rows: squared error above ridge regression's"
ASKED: dict[str, tuple[float | None, float | None]] = {
    FLOW: (None, 1e-6),
    CLOSED: (None, 0.05),
    NOT_INVERSE: (0.05, None),
    FORMULA: (None, 0.02),
    TASKS: (None, 0.02),
    QUERIES: (None, 0.02),
    INPUTS: (0.0, None),
    REAL: (0.0, None),
}


@torch.inference_mode()
def _error(
    layer: LinearAttention,
    covariance: Tensor,
    seed: int,
    *,
    weights: float = 1.0,
    asked: float = 1.0,
) -> float:
    """Return the mean squared error over the labels' mean square, of labels and questions scaled so."""
    x, y, question, label = prompts(covariance, FRESH, EXAMPLES, torch.Generator().manual_seed(seed))
    found = layer(x, weights * y, asked * question)
    label = weights * asked * label
    return float((found - label).square().mean() / label.square().mean())


def _real(seed: int) -> tuple[float, float]:
    points = diabetes(DIMS, functions=2000, points=13, seed=FRESH_SEED + seed)
    x, y, asked, label = points.x[:, :12], points.y[:, :12], points.x[:, 12:], points.y[:, 12]
    found = [
        (rule(x, y, asked)[:, 0] - label).square().mean() for rule in (trained_rule(trained=12), ridge(penalty=5.0))
    ]
    return float(found[0]), float(found[1])
