"""What is claimed of the fusion on spoken digits, whose channels know something; `voice_claims.py` has voices of Parkinson's.

Written before the test was looked at; margins are from clips of the training split alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from agents.beliefs.claims import Claim, claims_of, over_seeds
from agents.models.fusion.calibration import save_calibration, shown
from agents.models.fusion.digits import (
    FUSED,
    LABELS,
    LEVELS,
    MEAN,
    MISSING,
    OTHER,
    PRODUCT,
    RULES,
    SINGLE,
    STRONGEST,
    SWAPPED,
    TOLD,
    TREES,
    VOTE,
    WHOLE,
    Fared,
    Measured,
    measured,
    read_cases,
    trained,
)  # fmt: skip
from agents.pretrained import Progress

BROKEN, UNSEEN = "noise 4", "noise 8"


def _accuracy(condition: str, ours: str, baseline: str) -> Callable[[Measured], tuple[float, float]]:
    return lambda found: (found.fared[condition][ours].accuracy, found.fared[condition][baseline].accuracy)


def _nats(condition: str, ours: str, baseline: str) -> Callable[[Measured], tuple[float, float]]:
    return lambda found: (found.fared[condition][ours].nats, found.fared[condition][baseline].nats)


OF_DIGITS: dict[str, tuple[Callable[[Measured], tuple[float, float]], float | None, float | None]] = {
    "digits, whole, nats: fused above the mean": (_nats(WHOLE, FUSED, MEAN), 0.1, None),
    "digits, whole, nats: fused near Bayes' rule": (_nats(WHOLE, FUSED, PRODUCT), None, 0.05),
    "digits, whole, right: fused above the strongest channel": (_accuracy(WHOLE, FUSED, SINGLE), 0.03, None),
    "digits, strongest in noise 4, right: fused above Bayes' rule": (_accuracy(BROKEN, FUSED, PRODUCT), 0.03, None),
    "the same: fused above the mean": (_accuracy(BROKEN, FUSED, MEAN), 0.03, None),
    "the same: fused above a majority vote": (_accuracy(BROKEN, FUSED, VOTE), 0.03, None),
    "the same: fused above the best channel that is whole": (_accuracy(BROKEN, FUSED, OTHER), 0.03, None),
    "the same: fused near Bayes' rule without the broken channel": (_accuracy(BROKEN, FUSED, TOLD), None, 0.05),
    "digits, noise 8, none so strong in training, right: fused above Bayes' rule": (
        _accuracy(UNSEEN, FUSED, PRODUCT), 0.03, None,
    ),
    "digits, strongest hears another clip, not in training, right: fused above Bayes' rule": (
        _accuracy(SWAPPED, FUSED, PRODUCT), 0.0, None,
    ),
    "digits, strongest missing, right: fused near Bayes' rule": (_accuracy(MISSING, FUSED, PRODUCT), None, 0.02),
    "digits, whole, right: beliefs above labels, both fused": (_accuracy(WHOLE, FUSED, LABELS), 0.02, None),
    "digits, strongest in noise 4, right: beliefs above labels, both fused": (_accuracy(BROKEN, FUSED, LABELS), 0.02, None),
    "digits, share of the weights: the strongest whole above the same in noise 4": (
        lambda found: (found.weight[WHOLE], found.weight[BROKEN]), 0.1, None,
    ),
    "digits, nats that the strongest adds: whole above noise 4": (
        lambda found: (found.added[WHOLE], found.added[BROKEN]), 0.3, None,
    ),
    "digits, calibration error of fused (negated): with its temperature below that without": (
        lambda found: (-found.calibration["fused"][1], -found.calibration["fused"][0]), 0.0, None,
    ),
    "the same: fused below Bayes' rule": (
        lambda found: (-found.calibration["fused"][1], -found.calibration["product"][1]), 0.0, None,
    ),
}  # fmt: skip
OF_TREES: dict[str, tuple[Callable[[Measured], tuple[float, float]], float | None, float | None]] = {
    "digits, whole, nats: fused above boosted trees on all columns": (_nats(WHOLE, FUSED, TREES), 0.0, None),
    "digits, strongest in noise 4, right: fused above boosted trees": (_accuracy(BROKEN, FUSED, TREES), 0.0, None),
}


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what the pool is worth against others, by what is wrong with a channel; all is kept under `out`.

    `by_noise.md` has every rule, `calibration.md` each belief's error, `nats.json` log-probabilities; `digits-SEED` are agents,
    and `digits-SEED/pool` is what the decision `fused` reads.

    Args:
        out: fusions that are there are not fitted again.
        seeds: from 0.
        data: folder of the spoken digits.
        progress: told of each step that takes time.
    """
    learned, test = read_cases(data, "train"), read_cases(data, "test")
    found = []
    for seed in range(seeds):
        made = trained(out / f"digits-{seed}", learned, seed, progress)
        progress(f"rules of seed {seed}")
        found.append(measured(made, learned, test, seed, progress))
    wanted = {**OF_DIGITS, **(OF_TREES if TREES in found[0].fared[WHOLE] else {})}
    figures: dict[str, Sequence[tuple[float, float]]] = {
        text: [take(each) for each in found] for text, (take, *_) in wanted.items()
    }
    _write(out, found)
    save_calibration(out, {name: [each.calibration[name] for each in found] for name in found[0].calibration})
    return claims_of(figures, {text: (least, within) for text, (_, least, within) in wanted.items()})


def _write(out: Path, found: Sequence[Measured]) -> None:
    conditions = [WHOLE, *(f"noise {level:g}" for level in LEVELS if level), SWAPPED, MISSING]
    lines = [f"| {STRONGEST} channel | {' | '.join(conditions)} |", f"|---|{'---|' * len(conditions)}"]
    for rule in (rule for rule in RULES if rule in found[0].fared[WHOLE]):
        cells = [shown([100 * each.fared[name][rule].accuracy for each in found if rule in each.fared[name]], "{:.1f}")
                 for name in conditions]  # fmt: skip
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    pairs = {"fused, beliefs − labels": LABELS, "fused − strongest": SINGLE, "fused − Bayes' rule": PRODUCT}
    for text, other in pairs.items():
        cells = [_points([each.fared[name] for each in found], other) for name in conditions]
        lines.append(f"| {text}, points | {' | '.join(cells)} |")
    cells = [f"{fmean(each.weight[name] for each in found):.2f}" for name in conditions]
    lines.append(f"| its share of the weights | {' | '.join(cells)} |")
    cells = [f"{fmean(each.added[name] for each in found):+.2f}" for name in conditions]
    lines.append(f"| nats that it adds | {' | '.join(cells)} |")
    (out / "by_noise.md").write_text("\n".join(lines).replace("-", "−").replace("−−−", "---") + "\n")
    nats = {
        name: {rule: [each.fared[name][rule].nats for each in found] for rule in rules}
        for name, rules in found[0].fared.items()
    }
    (out / "nats.json").write_text(json.dumps(nats, indent=1) + "\n")


def _points(found: Sequence[Mapping[str, Fared]], other: str) -> str:
    if other not in found[0]:
        return ""
    each = [100 * (rules[FUSED].accuracy - rules[other].accuracy) for rules in found]
    low, high = over_seeds(each)
    text = f"{fmean(each):+.1f} ({low:+.1f} to {high:+.1f})"
    return f"**{text}**" if low > 0 or high < 0 else text
