"""What is claimed of a pool with BatchFormer's layer over agents: spoken digits, one band in noise or of another clip.

Ours, written before the test was looked at. The pools are fitted to the same beliefs of the same cases; the heads are those of
`debate train fusion`.
"""

from collections.abc import Sequence
from pathlib import Path

from agents.beliefs.claims import Claim, claims_of
from agents.models.checkpoint import CONFIG as WRITTEN
from agents.models.fusion.backend import FusionBackend
from agents.models.fusion.digits import (
    FUSED,
    MEAN,
    PRODUCT,
    SWAPPED,
    WHOLE,
    Fared,
    divided,
    fared,
    harmed,
    read_cases,
    trained,
)  # fmt: skip
from agents.models.fusion.pool import NONE, TrainedPool, load_pool, save_pool
from agents.models.fusion.training import Cases, fit_pool, heard_by_pool
from agents.models.seeded import seeded
from agents.pretrained import Progress

BROKEN = "noise 4"
RELATED, ALONE = "batchformer", "alone"
ASKED: tuple[tuple[str, str, float], ...] = (
    (WHOLE, PRODUCT, 0.0), (WHOLE, MEAN, 0.0), (WHOLE, NONE, 0.0), (WHOLE, ALONE, 0.0),
    (BROKEN, PRODUCT, 0.03), (BROKEN, MEAN, 0.03), (BROKEN, NONE, 0.0), (BROKEN, ALONE, 0.0),
    (SWAPPED, PRODUCT, 0.0), (SWAPPED, MEAN, 0.0), (SWAPPED, NONE, 0.0), (SWAPPED, ALONE, 0.0),
)  # fmt: skip
"""What is wrong with the strongest channel; the rule that ours is to be above; by what share of clips."""
IN_WORDS = {PRODUCT: "Bayes' rule", MEAN: "the mean of beliefs", NONE: "the pool without a layer", ALONE: "its control"}


def claims(out: Path, *, seeds: int = 5, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what the layer is worth; `batchformer-SEED` and `alone-SEED` under `out` are pools for the decision `fused`.

    Args:
        out: what is there is not fitted again.
        seeds: from 0.
        data: folder of the spoken digits.
        progress: told of each step that takes time.
    """
    learned, test = read_cases(data, "train"), read_cases(data, "test")
    found: list[dict[str, dict[str, Fared]]] = []
    for seed in range(seeds):
        made = trained(out / f"digits-{seed}", learned, seed, progress)
        found.append(_measured(made, learned, test, out, seed, progress))
    figures = {
        f"digits, {condition}, right: above {IN_WORDS[rule]}": [
            (each[condition][RELATED].accuracy, each[condition][rule].accuracy) for each in found
        ]
        for condition, rule, _ in ASKED
    }
    asked: dict[str, tuple[float | None, float | None]] = {
        text: (least, None) for text, (_, _, least) in zip(figures, ASKED, strict=True)
    }
    return claims_of(figures, asked)


def _measured(
    made: FusionBackend, learned: Cases, test: Cases, out: Path, seed: int, progress: Progress
) -> dict[str, dict[str, Fared]]:
    """Return what is wrong → rule or pool → what it came to."""
    pools = {name: related(out / f"{name}-{seed}", made, learned, name, seed, progress) for name in (RELATED, ALONE)}
    found: dict[str, dict[str, Fared]] = {}
    for condition, (beliefs, heard) in harmed(made, test, seed).items():
        rules = fared(made.model.pool, beliefs, heard, test.right)
        found[condition] = {rule: rules[rule] for rule in (PRODUCT, MEAN)} | {NONE: rules[FUSED]}
        found[condition] |= {name: fared(pool, beliefs, heard, test.right)[FUSED] for name, pool in pools.items()}
        told = ", ".join(
            f"{rule} {each.accuracy:.3f} ({each.nats:.3f} nats)" for rule, each in found[condition].items()
        )
        progress(f"seed {seed}, {condition}: {told}")
    return found


def related(
    folder: Path, made: FusionBackend, learned: Cases, relation: str, seed: int, progress: Progress
) -> TrainedPool:
    """Return the pool of a folder; fitted first where there is none, to what the pool of a fusion was fitted to."""
    if not (folder / WRITTEN).is_file():
        progress(f"fitting {folder.name}")
        config = made.config
        channels: Sequence[str] = tuple(config.channels)
        pool = seeded(lambda: TrainedPool(channels, config.labels, ordered=config.ordered, relation=relation), seed)
        fit_pool(pool, *heard_by_pool(made.model, *divided(learned, seed)[1:], seed))
        save_pool(folder, pool)
    return load_pool(folder)
