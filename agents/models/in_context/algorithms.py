"""Which rule does a network follow that learns linear functions in context? (Akyürek et al., 2023, arXiv:2211.15661)

Two predictors are compared by what they say, not by their errors: least squares has an error with a peak where examples and
dimensions are equal, which says nothing of who follows it. SPD is the mean squared difference of predictions over prompts and
questions, divided by d; ILWD that of the weights which the predictions imply, fitted to each predictor's answers over many
questions to one prompt. What lies in the network's states is probed as in the paper: a learned average over positions, then
a linear map or a network of one hidden layer.

B prompts, K examples of each, Q questions to each, d dimensions, D width.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from agents.beliefs.claims import Claim
from agents.models.in_context.claims import FRESH_SEED, Pairs, diabetes
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.estimators import Rule, gradient_descent, least_squares, neighbours, ols, ridge
from agents.models.in_context.families import NOISE, draw, kinds_of
from agents.models.in_context.model import Learner
from agents.models.in_context.training import Recipe, learner
from agents.models.seeded import seeded
from agents.pretrained import Progress

LINEAR = LearnerConfig(("linear",), loss="squared", noise=0.0)
SHALLOW = LearnerConfig(("linear",), layers=1, loss="squared", noise=0.0)
WITH_NOISE = LearnerConfig(("linear",))
RECIPE = Recipe(steps=1500)
PROMPTS, QUESTIONS = 500, 16
EXAMPLES = 12
"""Three times the dimensions, where least squares has no peak."""
RATES = tuple(0.1 * step for step in range(1, 16))
PENALTIES = tuple(10 ** (exponent / 4) for exponent in range(-12, 9))
PROBED, PROBE_STEPS, PROBE_HIDDEN = 4000, 300, 64


def network(made: Learner) -> Rule:
    """Return a learner as a rule: each question is asked alone after the same examples."""

    @torch.inference_mode()
    def rule(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        prompts, questions = asked.shape[:2]
        whole = torch.cat([x[:, None].expand(-1, questions, -1, -1), asked[:, :, None]], 2).flatten(0, 1).float()
        labels = torch.cat([y, torch.zeros(prompts, 1)], 1)[:, None].expand(-1, questions, -1).flatten(0, 1).float()
        found: Tensor = made(whole, labels).mean[:, -1].double().reshape(prompts, questions)
        return found

    return rule


def prediction_distance(one: Tensor, two: Tensor, dims: int) -> float:
    """Return SPD of predictions [B, Q]."""
    return float((one - two).square().mean() / dims)


def implied_weights(predictions: Tensor, asked: Tensor) -> Tensor:
    """Return the weights [B, d] that come nearest to predictions [B, Q] at questions [B, Q, d]; Q is at least d."""
    return least_squares(asked, predictions)


def weight_distance(one: Tensor, two: Tensor, asked: Tensor) -> float:
    """Return ILWD of predictions [B, Q] at questions [B, Q, d]."""
    off = implied_weights(one, asked) - implied_weights(two, asked)
    return float(off.square().sum(-1).mean() / asked.shape[-1])


class Probe(nn.Module):
    """A learned average over positions, and a map from it to what is looked for."""

    def __init__(self, positions: int, width: int, out: int, *, is_linear: bool) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(positions))
        self.read = (
            nn.Linear(width, out)
            if is_linear
            else nn.Sequential(nn.Linear(width, PROBE_HIDDEN), nn.GELU(), nn.Linear(PROBE_HIDDEN, out))
        )

    def forward(self, states: Tensor) -> Tensor:
        """Return [B, out] of states [B, T, D]."""
        found: Tensor = self.read((torch.softmax(self.scores, 0)[:, None] * states).sum(1))
        return found


def probed(states: Tensor, wanted: Tensor, *, is_linear: bool, seed: int) -> float:
    """Return the share of variance of `wanted` [B, out] that a probe explains on the last quarter, trained on the others."""
    # Of one scale in every layer, so that none is learnt faster for its size.
    states = ((states - states.mean(0)) / states.std(0).clamp(min=1e-6)).detach()
    wanted = (wanted - wanted.mean(0)) / wanted.std(0)
    kept = len(states) * 3 // 4
    probe = seeded(lambda: Probe(states.shape[1], states.shape[2], wanted.shape[1], is_linear=is_linear), seed)
    optimiser = torch.optim.Adam(probe.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(seed)
    for step in range(PROBE_STEPS):
        batch = torch.randint(kept, (256,), generator=generator)
        loss = (probe(states[batch]) - wanted[batch]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / PROBE_STEPS)
        optimiser.step()
    with torch.inference_mode():
        left = (probe(states[kept:]) - wanted[kept:]).square().mean()
    return 1 - float(left / wanted[kept:].var(0).mean())


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return which rules learners of our size follow; every learner is kept under `out`.

    Args:
        out: learners that are there are not trained again.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: Pairs = {}
    for seed in range(seeds):
        deep, shallow, noisy = (
            learner(out, config, RECIPE, seed=seed, progress=progress) for config in (LINEAR, SHALLOW, WITH_NOISE)
        )
        _rules(figures, deep, shallow, seed)
        _penalties(figures, deep, noisy, seed)
        progress(f"probing the network of seed {seed}")
        _states(figures, deep, seed)
        if find_spec("sklearn") is not None:
            _real(figures, deep, seed)
        else:
            progress("without scikit-learn (extra series) nothing is claimed about the table of diabetes")
    return [
        Claim(text, tuple(a for a, _ in pairs), tuple(b for _, b in pairs), *ASKED[text])
        for text, pairs in figures.items()
    ]


STEP = "distance to one step of descent, over that to least squares, 12 examples (SPD): above 2"
NEAREST = "distance to the nearest neighbour, over that to least squares, 12 examples (SPD): above 2"
WEIGHTS = "the same to one step of descent, of implied weights (ILWD): above 2"
SHALLOW_STEP = "one layer: nearer to one step of descent than to least squares (SPD, both negated)"
MOVES = "log10 of the penalty of the ridge regression that is nearest: with noise above without"
BAYES = "log10 of that penalty with noise: near the one of Bayes' rule"
LATE = "variance of least squares' weights that a probe explains: last layer above what enters the first"
UNTRAINED = "the same, last layer: above an untrained network's"
CURVED = "the same, last layer: by a hidden layer above by a linear map"
DRIFT = "distance to least squares on diabetes above that on its own prompts (SPD)"
ASKED: dict[str, tuple[float | None, float | None]] = {
    STEP: (0.0, None),
    NEAREST: (0.0, None),
    WEIGHTS: (0.0, None),
    SHALLOW_STEP: (0.0, None),
    MOVES: (0.5, None),
    BAYES: (None, 0.5),
    LATE: (0.1, None),
    UNTRAINED: (0.1, None),
    CURVED: (0.05, None),
    DRIFT: (0.0, None),
}


def _prompts(noise: float, seed: int, dims: int) -> tuple[Tensor, Tensor, Tensor]:
    points = draw(
        kinds_of("linear", dims, noise=noise),
        PROMPTS,
        EXAMPLES + QUESTIONS,
        torch.Generator().manual_seed(FRESH_SEED + seed),
    )
    return points.x[:, :EXAMPLES], points.y[:, :EXAMPLES], points.x[:, EXAMPLES:]


def nearest_step(made: Tensor, x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
    """Return the predictions of one step of descent, at the rate that brings them nearest to those of a network [B, Q]."""
    tried = [gradient_descent(steps=1, rate=rate)(x, y, asked) for rate in RATES]
    return min(tried, key=lambda each: float((each - made).square().mean()))


def nearest_penalty(made: Tensor, x: Tensor, y: Tensor, asked: Tensor) -> float:
    """Return the penalty of the ridge regression whose predictions are nearest to those of a network [B, Q]."""
    return min(PENALTIES, key=lambda each: float((ridge(penalty=each)(x, y, asked) - made).square().mean()))


def _rules(figures: Pairs, deep: Learner, shallow: Learner, seed: int) -> None:
    dims = deep.config.dims
    x, y, asked = _prompts(0.0, seed, dims)
    best = ols()(x, y, asked)
    said, flat = network(deep)(x, y, asked), network(shallow)(x, y, asked)
    step, near = nearest_step(said, x, y, asked), neighbours(count=1)(x, y, asked)
    ours = prediction_distance(said, best, dims)
    figures.setdefault(STEP, []).append((prediction_distance(said, step, dims) / ours, 2.0))
    figures.setdefault(NEAREST, []).append((prediction_distance(said, near, dims) / ours, 2.0))
    ratio = weight_distance(said, step, asked) / weight_distance(said, best, asked)
    figures.setdefault(WEIGHTS, []).append((ratio, 2.0))
    one = nearest_step(flat, x, y, asked)
    figures.setdefault(SHALLOW_STEP, []).append(
        (-prediction_distance(flat, one, dims), -prediction_distance(flat, best, dims))
    )


def _penalties(figures: Pairs, deep: Learner, noisy: Learner, seed: int) -> None:
    dims = deep.config.dims
    found = []
    for made, noise in ((noisy, NOISE), (deep, 0.0)):
        x, y, asked = _prompts(noise, seed, dims)
        found.append(float(torch.tensor(nearest_penalty(network(made)(x, y, asked), x, y, asked)).log10()))
    figures.setdefault(MOVES, []).append((found[0], found[1]))
    # w ~ N(0, I / d): Bayes' penalty is d σ².
    figures.setdefault(BAYES, []).append((found[0], float(torch.tensor(dims * NOISE**2).log10())))


def _states(figures: Pairs, deep: Learner, seed: int) -> None:
    points = draw(deep.config.kinds(), PROBED, EXAMPLES + 1, torch.Generator().manual_seed(FRESH_SEED + seed))
    x, y = points.x.float(), points.y.float()
    wanted = least_squares(points.x[:, :-1], points.y[:, :-1]).float()
    plain = seeded(lambda: Learner(deep.config), seed + 1)
    with torch.no_grad():
        states, untrained = deep.states(x, y), plain.states(x, y)[-1]
    last = probed(states[-1], wanted, is_linear=False, seed=seed)
    figures.setdefault(LATE, []).append((last, probed(states[0], wanted, is_linear=False, seed=seed)))
    figures.setdefault(UNTRAINED, []).append((last, probed(untrained, wanted, is_linear=False, seed=seed)))
    figures.setdefault(CURVED, []).append((last, probed(states[-1], wanted, is_linear=True, seed=seed)))


def _real(figures: Pairs, deep: Learner, seed: int) -> None:
    dims = deep.config.dims
    real = diabetes(dims, functions=PROMPTS, points=EXAMPLES + QUESTIONS, seed=FRESH_SEED + seed)
    distances = []
    for x, y, asked in (
        (real.x[:, :EXAMPLES], real.y[:, :EXAMPLES], real.x[:, EXAMPLES:]),
        _prompts(0.0, seed, dims),
    ):
        distances.append(prediction_distance(network(deep)(x, y, asked), ols()(x, y, asked), dims))
    figures.setdefault(DRIFT, []).append((distances[0], distances[1]))
