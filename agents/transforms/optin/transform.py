"""`optin`: heads and feed-forward units removed in one shot, within a budget of multiply-accumulates.

Khaki and Plataniotis (ICLR 2024, arXiv:2403.17921); importance, search and passes are files of their own. Nothing is trained. Two
habits of the published code are left out: importance that falls with a unit's number (`ramp=true` has it), and heads that stay
masked once their layer has been looked at. Two are kept: the importance of heads is halved, and so is all of the last layer.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from agents.errors import ConfigError, UnknownName
from agents.transforms.calibration import OWN, calibration_rows, check_seed
from agents.transforms.optin.importance import TOKENS, Judge, importances
from agents.transforms.optin.passes import BLOCK, FEATURES, Passes
from agents.transforms.optin.search import search, search_uniform
from agents.transforms.removal import Masks, filled_remarks, kept_remark, removed
from agents.transforms.subject import Outcome, Subject, layers_of, linears
from agents.transforms.units import Shape, shape_of

TRAJECTORY, MAGNITUDE, RANDOM = "trajectory", "magnitude", "random"
SCORES = (TRAJECTORY, MAGNITUDE, RANDOM)
# The code's: of heads, and of the last layer.
HEAD_DECAY = LAST_DECAY = 0.5
HEAD_RAMP, UNIT_RAMP = 10.0, 100.0


def optin(
    subject: Subject,
    *,
    macs: float = 0.6,
    uniform: bool = False,
    score: str = TRAJECTORY,
    features: str = BLOCK,
    group: int = 1,
    rows: int = 16,
    length: int = 128,
    tokens: int = TOKENS,
    calibration: str = OWN,
    seed: int = 0,
    ramp: bool = False,
) -> Outcome:
    """Remove the heads and units that matter least.

    Args:
        subject: the model; its tables stay as they are.
        macs: share of the blocks' multiply-accumulates that stays, over rows of the calibration's mean length; 1 changes nothing.
        uniform: keep as many heads and units in every layer as in the others, so that nothing is filled up with zeros.
        score: `trajectory`, the paper's; as baselines `magnitude`, the length of a unit's weights, and `random`. These two
            keep the same share of heads as of units.
        features: what the trajectory is of: `block` or `ffn` (passes.py).
        group: adjacent units that are masked in one pass and share its importance.
        rows, length, calibration, seed: texts to look at (calibration.py); the seed also chooses the tokens compared.
        tokens: K, the tokens whose features are compared.
        ramp: multiply importance by a factor that falls with a unit's number in its layer, as the published code does.

    Raises:
        ConfigError: a parameter out of range, or a budget too small for one head.
        ModelError: a family whose blocks are not known.
    """
    _check(macs, score, features, group, tokens)
    check_seed(seed)
    shape = shape_of(subject, "optin")
    if macs == 1:
        return Outcome({"macs_kept": 1.0}, ("The budget is the whole model, so nothing was removed.",))
    positions = length
    if score == TRAJECTORY:
        batch = calibration_rows(subject, calibration, rows=rows, length=length, seed=seed)
        positions = max(1, round(int(batch.is_text.sum()) / len(batch.ids)))
        passes = Passes(subject, batch, features=features, tokens=tokens, seed=seed)
        heads, units = scored(passes, shape, group=group, ramp=ramp)
        masks = _searched(subject, shape, heads, units, round(macs * shape.macs(positions)), positions, uniform)
    else:
        heads, units = _baseline(subject, shape, score, seed)
        masks = _share(subject, shape, heads, units, macs, uniform)
    facts = removed(subject, shape, masks, positions)
    remarks = filled_remarks(subject, facts, "uniform=true keeps the same number in every layer and fills nothing up.")
    return Outcome(facts, (kept_remark(facts, "the rest was removed, without training."), *remarks))


def scored(passes: Passes, shape: Shape, *, group: int, ramp: bool) -> tuple[Tensor, Tensor]:
    """Return the importance of every head [L, G] and unit [L, F]; both are positive, and more is better kept."""
    judge = Judge(passes.whole)
    each = shape.head * shape.queries
    of_heads = [
        judge.terms(layer, passes.without_head(layer, head, each))
        for layer in range(shape.layers)
        for head in range(shape.heads)
    ]
    heads = torch.tensor(importances(of_heads), dtype=torch.float64).view(shape.layers, shape.heads)
    slices = list(_slices(shape.units, group))
    of_units = [
        judge.terms(layer, passes.without_units(layer, units)) for layer in range(shape.layers) for units in slices
    ]
    sizes = torch.tensor([units.stop - units.start for units in slices])
    grouped = torch.tensor(importances(of_units), dtype=torch.float64).view(shape.layers, len(slices))
    units = (grouped / sizes).repeat_interleave(sizes, 1)
    return weighed(heads, HEAD_DECAY, HEAD_RAMP if ramp else 1.0), weighed(units, 1.0, UNIT_RAMP if ramp else 1.0)


def weighed(importance: Tensor, decay: float, ramp: float) -> Tensor:
    """Return importance [L, n] with the code's factors: a decay, half for the last layer, and a ramp that falls to 1."""
    factors = torch.logspace(0, 1, importance.shape[1], base=ramp, dtype=torch.float64).flip(0)
    found = importance * factors * decay
    found[-1] *= LAST_DECAY
    return found


def _check(macs: float, score: str, features: str, group: int, tokens: int) -> None:
    if not 0 < macs <= 1:
        raise ConfigError(f"optin: macs is the share that stays, above 0 and at most 1; got {macs:g}")
    if score not in SCORES:
        raise UnknownName("score", score, SCORES, where="optin")
    if features not in FEATURES:
        raise UnknownName("features", features, FEATURES, where="optin")
    for name, given in (("group", group), ("tokens", tokens)):
        if given < 1:
            raise ConfigError(f"optin: {name} must be at least 1; got {given}")


def _searched(
    subject: Subject, shape: Shape, heads: Tensor, units: Tensor, budget: int, positions: int, uniform: bool
) -> Masks:
    cost: dict[str, Any] = {
        "head_macs": shape.head_macs(positions),
        "unit_macs": shape.unit_macs(positions),
        "budget": budget,
    }
    if uniform:
        return search_uniform(heads, units, **cost, allowed=lambda count: _is_standard(subject, shape, count))
    return search(heads, units, **cost)


def _is_standard(subject: Subject, shape: Shape, heads: int) -> bool:
    """Whether a config can have so many heads."""
    return subject.model.config.model_type != "llama" or shape.width % (heads * shape.queries) == 0


def _share(subject: Subject, shape: Shape, heads: Tensor, units: Tensor, macs: float, uniform: bool) -> Masks:
    """Return masks that keep one share of all heads and of all units, at least one of each."""
    if not uniform:
        return Masks(*(_top(each.flatten(), macs).view(each.shape) for each in (heads, units)))
    allowed = [count for count in range(1, shape.heads + 1) if _is_standard(subject, shape, count)]
    num_heads = max((count for count in allowed if count <= macs * shape.heads), default=allowed[0])
    return Masks(
        torch.stack([_top(row, num_heads / shape.heads) for row in heads]),
        torch.stack([_top(row, macs) for row in units]),
    )


def _top(importance: Tensor, share: float) -> Tensor:
    kept = torch.zeros(len(importance), dtype=torch.bool)
    kept[importance.argsort(descending=True, stable=True)[: max(1, int(share * len(importance) + 1e-9))]] = True
    return kept


def _baseline(subject: Subject, shape: Shape, score: str, seed: int) -> tuple[Tensor, Tensor]:
    if score == RANDOM:
        generator = torch.Generator().manual_seed(seed)
        return (
            torch.rand(shape.layers, shape.heads, generator=generator),
            torch.rand(shape.layers, shape.units, generator=generator),
        )
    squares = [
        {name: linear.weight.square() for name, linear in linears(layer).items()}
        for layer in layers_of(subject, "optin")
    ]
    heads = torch.stack([_by_head(layer, shape) for layer in squares])
    units = torch.stack(
        [
            layer["mlp.gate_proj"].sum(1) + layer["mlp.up_proj"].sum(1) + layer["mlp.down_proj"].sum(0)
            for layer in squares
        ]
    )
    return heads.sqrt(), units.sqrt()


def _by_head(squares: dict[str, Tensor], shape: Shape) -> Tensor:
    """Return the summed squares of each head's weights in the four maps of a layer."""
    rows = [squares[f"self_attn.{name}"].sum(1) for name in ("q_proj", "k_proj", "v_proj")]
    rows.append(squares["self_attn.o_proj"].sum(0))
    return torch.stack([each.view(shape.heads, -1).sum(1) for each in rows]).sum(0)


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
