"""One attention head as a judge of messages, and the support vector machine that its training tends to (Tarzanagh et al., 2023,
arXiv:2308.16898).

A head f(X, z) = vᵀ Xᵀ softmax(X W z) trained by gradient descent with vanishing regularisation converges in direction to

    argmin ‖W‖  such that  (x_opt − x_t)ᵀ W z ≥ 1  for all tokens t but the one that it selects,

in the Frobenius norm of W itself; in the nuclear norm of W = K Qᵀ, along the path of vanishing penalties. What is selected is
what training picked, perhaps only a local best, so that the machine is built on that (`selected`). The last steps of descent are
rounding: it ends at a gradient of 1e-14.

As a judge: tokens are what agents believe about the options, the query is their mean, and the value of a token is the
probability that it gives the right option, so that the head is an attention-weighted mean of beliefs, trained by its log-loss.

N prompts, T tokens of each, d numbers in a token, C constraints.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agents.beliefs.claims import Claim, claims_of
from agents.errors import MissingDependency, ModelError, first_line
from agents.json_text import parse_json
from agents.models.in_context.bins import LETTERS, letter, probabilities
from agents.models.in_context.claims import FRESH_SEED, Pairs
from agents.models.in_context.families import draw, kinds_of
from agents.models.in_context.posterior import bayes
from agents.models.stored import LARGEST_CONFIG
from agents.ordinary_file import read_ordinary_text
from agents.pretrained import Progress

STOP = 1e-14
PENALTIES = tuple(10.0 ** (-exponent / 2) for exponent in range(6, 26))
PROBLEMS, PROMPTS, TOKENS, WIDTH, STEPS = 3, 6, 8, 10, 1000
"""Sizes of github umich-sota/TF-as-SVM @ 568305a; its notebooks were not at hand to run."""
HEAD = "head.json"
DIMS, SEEN = 4, (2, 3, 5)
"""How many examples each of three agents saw whose beliefs the judge learns on."""


@dataclass(frozen=True)
class Problem:
    """Prompts for one head: x [N, T, d], z [N, d], labels [N] of −1 and 1, v [d]; float64."""

    x: Tensor
    z: Tensor
    labels: Tensor
    v: Tensor


def random_problem(seed: int) -> Problem:
    """Return tokens, queries and values that are random directions; a query is its prompt's first token."""
    generator = torch.Generator().manual_seed(seed)

    def units(*shape: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)

    x = units(PROMPTS, TOKENS, WIDTH)
    labels = torch.randint(0, 2, (PROMPTS,), generator=generator).double() * 2 - 1
    return Problem(x, x[:, 0], labels, units(WIDTH))


def attention(x: Tensor, w: Tensor, z: Tensor) -> Tensor:
    """Return softmax(X W z) [N, T]."""
    return torch.softmax(torch.einsum("ntd,de,ne->nt", x, w, z), -1)


def logistic_loss(problem: Problem, w: Tensor) -> Tensor:
    """Return the mean of log(1 + exp(−Y f(X, z)))."""
    head = (attention(problem.x, w, problem.z) * (problem.x @ problem.v)).sum(-1)
    found: Tensor = torch.nn.functional.softplus(-problem.labels * head).mean()
    return found


def descend(loss: Callable[[Tensor], Tensor], width: int, *, steps: int = STEPS, rate: float = 0.1) -> Tensor:
    """Return W [d, d] after normalised gradient descent from 0."""
    w = torch.zeros(width, width).double()
    for _ in range(steps):
        (slope,) = torch.autograd.grad(loss(w.requires_grad_()), w)
        w = w.detach()
        if float(slope.norm()) < STOP:
            break
        w = w - rate * slope / slope.norm()
    return w


def regularised_path(loss: Callable[[Tensor], Tensor], width: int, seed: int) -> Tensor:
    """Return K Qᵀ [d, d] of the least loss + λ (‖K‖² + ‖Q‖²) / 2 as λ vanishes, each λ starting where the one before ended.

    Plain descent on K and Q grows so fast that the gradient is rounding before the direction has settled.
    """
    generator = torch.Generator().manual_seed(seed)

    def random() -> Tensor:
        return torch.randn(width, width, generator=generator, dtype=torch.float64)

    parts = [random().requires_grad_() for _ in range(2)]
    for penalty in PENALTIES:
        with torch.no_grad():
            # Off the saddles where a direction of both is 0.
            for part in parts:
                part += 0.01 * random()
        optimiser = torch.optim.LBFGS(
            parts, max_iter=60, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
        )

        def closure(penalty: float = penalty, optimiser: torch.optim.LBFGS = optimiser) -> Tensor:
            optimiser.zero_grad()
            size = parts[0].square().sum() + parts[1].square().sum()
            found: Tensor = loss(parts[0] @ parts[1].T) / penalty + 0.5 * size
            found.backward()  # type: ignore[no-untyped-call]
            return found

        optimiser.step(closure)  # type: ignore[no-untyped-call]
    return (parts[0] @ parts[1].T).detach()


def selected(x: Tensor, w: Tensor, z: Tensor) -> Tensor:
    """Return which token [N] a head attends to most."""
    return attention(x, w, z).argmax(-1)


def constraints(x: Tensor, z: Tensor, chosen: Tensor) -> Tensor:
    """Return (x_opt − x_t) zᵀ [C, d, d] for each prompt and each token but the chosen one."""
    rows = []
    for tokens, query, best in zip(x, z, chosen.tolist(), strict=True):
        for place, token in enumerate(tokens):
            if place != best:
                rows.append(torch.outer(tokens[best] - token, query))
    return torch.stack(rows)


def margins(x: Tensor, w: Tensor, z: Tensor) -> Tensor:
    """Return by how much each prompt's selected token is ahead of the next, over ‖W‖ [N]: its distance from another choice."""
    scores = torch.einsum("ntd,de,ne->nt", x, w, z)
    best = scores.topk(2, dim=-1).values
    found: Tensor = (best[:, 0] - best[:, 1]) / w.norm().clamp(min=1e-300)
    return found


def hard_margin(x: Tensor, z: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return W [d, d] of the least Frobenius norm that selects the chosen tokens with margin 1, and the multipliers [C].

    By non-negative least squares on the dual (Lawson and Hanson, 1974, chapter 23: least distance programming); constraints
    with a multiplier above 0 are the support vectors.

    Raises:
        ModelError: no W selects these tokens.
    """
    try:
        from scipy.optimize import nnls
    except ModuleNotFoundError as error:
        raise MissingDependency("the hard-margin solution", "scipy", "convex") from error
    rows = constraints(x, z, chosen)
    g = rows.flatten(1).numpy()
    e = np.vstack([g.T, np.ones(len(g))])
    target = np.zeros(len(e))
    target[-1] = 1.0
    multipliers, left = nnls(e, target, maxiter=50 * len(g))
    residual = e @ multipliers - target
    if left < 1e-9:
        raise ModelError("no attention weights select these tokens: they are not separable")
    w = -residual[:-1] / residual[-1]
    found = torch.from_numpy(w).reshape(rows.shape[1:])
    return found, torch.from_numpy(-multipliers / residual[-1])


def nuclear_margin(x: Tensor, z: Tensor, chosen: Tensor) -> Tensor:
    """Return W [d, d] of the least nuclear norm that selects the chosen tokens with margin 1, by a convex solver (cvxpy, SCS)."""
    try:
        import cvxpy
    except ModuleNotFoundError as error:
        raise MissingDependency("the solution of least nuclear norm", "cvxpy", "convex") from error
    rows = constraints(x, z, chosen)
    w = cvxpy.Variable(tuple(rows.shape[1:]))
    wanted = [cvxpy.sum(cvxpy.multiply(row.numpy(), w)) >= 1 for row in rows]
    cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(w)), wanted).solve(solver=cvxpy.SCS, eps=1e-6)
    return torch.from_numpy(np.asarray(w.value))


def correlation(one: Tensor, two: Tensor) -> float:
    """Return the cosine of two matrices."""
    return float((one * two).sum() / (one.norm() * two.norm()))


# --- the judge


def beliefs(functions: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return exact beliefs over letters [N, 3, 12] of three agents that saw different examples, and what is right [N].

    The order of the agents is another in every prompt, so that a judge goes by what is said and not by who says it.
    """
    generator = torch.Generator().manual_seed(seed)
    kinds = kinds_of("noisy", DIMS)
    points = draw(kinds, functions, sum(SEEN) + 1, generator)
    at, rows, start = points.x[:, -1], [], 0
    for count in SEEN:
        part = slice(start, start + count)
        rows.append(probabilities(bayes(kinds, points.x[:, part], points.y[:, part], at)))
        start += count
    order = torch.rand(functions, len(SEEN), generator=generator).argsort(-1)
    stacked = torch.stack(rows, 1).gather(1, order[..., None].expand(-1, -1, len(LETTERS)))
    return stacked, torch.tensor([LETTERS.index(letter(value)) for value in points.y[:, -1].tolist()])


def pooled_loss(x: Tensor, right: Tensor, w: Tensor) -> Tensor:
    """Return the mean negative log-probability of the right option under the attention-weighted mean of beliefs [N, T, d]."""
    given = x.gather(-1, right[:, None, None].expand(-1, x.shape[1], 1))[..., 0]
    found: Tensor = -(attention(x, w, x.mean(1)) * given).sum(-1).clamp(min=1e-9).log().mean()
    return found


def trained_head(seed: int) -> Tensor:
    """Return W [12, 12] of a judge of beliefs over letters."""
    x, right = beliefs(2000, seed)
    return descend(lambda w: pooled_loss(x, right, w), len(LETTERS), steps=400, rate=0.5)


def save_head(folder: Path, w: Tensor) -> None:
    """Write head.json: the options, and W row by row."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEAD).write_text(json.dumps({"options": list(LETTERS), "weights": w.tolist()}) + "\n")


def load_head(path: Path) -> tuple[tuple[str, ...], Tensor]:
    """Return the options and W of a file, or of head.json in a folder.

    Raises:
        ModelError: no such head there.
    """
    file = path / HEAD if path.is_dir() else path
    try:
        stored = parse_json(read_ordinary_text(file, most=LARGEST_CONFIG))
        options = tuple(str(option) for option in stored["options"])
        w = torch.tensor(stored["weights"], dtype=torch.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"no attention head in {file}: {first_line(error)[:200]}") from error
    if w.shape != (len(options), len(options)) or not bool(torch.isfinite(w).all()):
        raise ModelError(f"{file}: weights are a square of finite numbers, one row an option; got {list(w.shape)}")
    return options, w


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return whether heads end at the machine's solution, and what one is worth as a judge; judges are written under `out`.

    Args:
        out: a folder a seed, `judge-SEED`, for the decision `attended`.
        seeds: training seeds, from 0.
        data: not needed; prompts are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: Pairs = {}
    for seed in range(seeds):
        progress(f"heads of seed {seed}")
        found = [_directions(1000 * seed + place) for place in range(PROBLEMS)]
        whole, nuclear, frobenius = (float(np.mean(column)) for column in zip(*found, strict=True))
        figures.setdefault(WHOLE, []).append((whole, 0.98))
        figures.setdefault(NUCLEAR, []).append((nuclear, 0.98))
        figures.setdefault(NOT_FROBENIUS, []).append((nuclear, frobenius))
        judge = trained_head(seed)
        save_head(out / f"judge-{seed}", judge)
        x, right = beliefs(4000, FRESH_SEED + seed)
        mean, ours = pooled_loss(x, right, torch.zeros_like(judge)), pooled_loss(x, right, judge)
        figures.setdefault(JUDGES, []).append((-float(ours), -float(mean)))
        alone = x[torch.arange(len(x)), selected(x, judge, x.mean(1))]
        single = -alone.gather(-1, right[:, None]).clamp(min=1e-9).log().mean()
        figures.setdefault(MIXES, []).append((-float(ours), -float(single)))
    return claims_of(figures, ASKED)


WHOLE = "W after descent, cosine with the machine's solution in the Frobenius norm: above 0.98"
NUCLEAR = "K Qᵀ as its penalty vanishes, cosine with the solution in the nuclear norm: above 0.98"
NOT_FROBENIUS = "the same, above its cosine with the one in the Frobenius norm"
JUDGES = "three beliefs, log-probability of the right interval: attended above the plain mean (nats)"
MIXES = "the same: attended above the selected belief alone"
ASKED: dict[str, tuple[float | None, float | None]] = {
    WHOLE: (0.0, None),
    NUCLEAR: (0.0, None),
    NOT_FROBENIUS: (0.05, None),
    JUDGES: (0.02, None),
    MIXES: (0.0, None),
}


def _directions(seed: int) -> tuple[float, float, float]:
    """Return cosines: W with Frobenius, K Qᵀ with nuclear, K Qᵀ with Frobenius."""
    problem = random_problem(seed)

    def loss(w: Tensor) -> Tensor:
        return logistic_loss(problem, w)

    whole, factored = descend(loss, WIDTH), regularised_path(loss, WIDTH, seed)
    found = []
    for made in (whole, factored):
        chosen = selected(problem.x, made, problem.z)
        found.append((made, chosen, hard_margin(problem.x, problem.z, chosen)[0]))
    nuclear = nuclear_margin(problem.x, problem.z, found[1][1])
    return correlation(whole, found[0][2]), correlation(factored, nuclear), correlation(factored, found[1][2])
