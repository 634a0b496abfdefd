"""What is claimed of readers of documents, on SROIE's receipts; predictions and margins were written down before the run.

The test part is a hash's fifth of the receipts. Companies stand in several: `tables.md` has figures of those alone that no
receipt of the training part has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from agents.beliefs.claims import Claim, claims_of
from agents.errors import ModelError
from agents.models.checkpoint import CONFIG
from agents.models.documents.backend import DocumentBackend
from agents.models.documents.config import DocumentConfig
from agents.models.documents.fields import FIELDS, plain_line
from agents.models.documents.measures import (
    asked_of,
    calibration_error,
    common_words,
    fitted_temperatures,
    found_share,
    hidden_words,
    macro_f1,
    order_shares,
)
from agents.models.documents.receipts import PARTS, Receipt, read_receipts
from agents.models.documents.rules import DocumentRules
from agents.models.documents.training import PRETRAINING, Recipe, train, vocabulary
from agents.models.fusion.calibration import shown
from agents.pretrained import Progress

FEW = 75
"""Receipts with labels, where there are few."""
UNIT = (1.0,) * len(FIELDS)
MODELS: Mapping[str, tuple[bool, bool, tuple[str, ...]]] = {
    # Name → whether it is told where lines stand, whether few receipts have labels, and the tasks without labels.
    "text": (False, False, ()),
    "layout": (True, False, ()),
    "documents": (True, False, PRETRAINING),
    "layout-few": (True, True, ()),
    "documents-few": (True, True, PRETRAINING),
}
RULES, ALL = "rules", "all"
ASKED: Mapping[str, tuple[float | None, float | None]] = {
    "F1 of lines, mean of five tags: layout above text alone": (0.03, None),
    f"F1 of lines, {FEW} receipts with labels: with tasks that need none above layout alone": (0.0, None),
    "lines found, all fields: layout above text alone": (0.0, None),
    f"lines found, {FEW} receipts with labels: with tasks that need none above layout alone": (0.0, None),
    "lines found, all receipts with labels: with tasks above regular expressions": (0.0, None),
    "calibration error (negated): with its temperatures below that without": (0.0, None),
    "pairs of lines in the order of reading: told above sorted by height": (0.0, None),
    "words of a hidden line, nats a word: told above how common they are": (0.5, None),
}


@dataclass(frozen=True)
class Fared:
    """How one reader fares on the test part.

    Attributes:
        f1: macro-F1 of lines; None of rules.
        found: field → share of receipts whose best line states it, and `ALL` of all fields together.
        unseen: the same of receipts of companies that no training receipt has, all fields; None where there are none.
        before, after: calibration error at temperature 1 and at the fitted ones.
    """

    f1: float | None
    found: Mapping[str, float]
    unseen: float | None
    before: float
    after: float


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what places and tasks without labels are worth; readers are kept under `out`, tables in `tables.md`.

    Args:
        out: readers that are there are not trained again; `rules` is what the agent of regular expressions loads.
        seeds: training seeds, from 0; of weights, of which receipts have labels where they are few, and of all draws.
        data: folder or zip of the receipts.
        progress: told of each step that takes time.
    """
    parts = {part: read_receipts(data, part) for part in PARTS}
    for part, found in parts.items():
        if not found:
            raise ModelError(f"no receipt is in the {part} part; give more of them")
    rules = DocumentRules()
    rules = DocumentRules(temperatures=fitted_temperatures(asked_of(rules.odds, parts["validation"])))
    rules.save_pretrained(out / RULES)
    fared: dict[str, list[Fared]] = {RULES: [_fared(rules, parts)] * seeds}
    orders, words = [], []
    for seed in range(seeds):
        made = readers(out, parts, Recipe(), seed, progress)
        for name, backend in made.items():
            fared.setdefault(name, []).append(_fared(backend, parts))
            progress(f"seed {seed}: {name}: {fared[name][-1].found[ALL]:.3f} of the lines found")
        orders.append(order_shares(made["documents"].model, parts["test"]))
        model = made["documents"].model
        words.append(
            (hidden_words(model, parts["test"], Recipe().hidden), common_words(model, parts["train"], parts["test"]))
        )
    _write(out, fared)
    return claims_of(_figures(fared, orders, words), ASKED)


def readers(
    out: Path, parts: Mapping[str, Sequence[Receipt]], recipe: Recipe, seed: int, progress: Progress
) -> dict[str, DocumentBackend]:
    """Return the readers of a seed by name, each trained and calibrated where its folder has none."""
    known = vocabulary(parts["train"], recipe.words)
    order = torch.randperm(len(parts["train"]), generator=torch.Generator().manual_seed(seed)).tolist()
    drawn = [parts["train"][place] for place in order]
    found = {}
    for name, (layout, few, tasks) in MODELS.items():
        folder = out / f"{name}-{seed}"
        if not (folder / CONFIG).is_file():
            labelled = drawn[:FEW] if few else parts["train"]
            progress(f"training {folder.name} on {len(labelled)} receipts with labels")
            config = DocumentConfig(known, layout=layout)
            model = train(config, labelled, parts["train"], recipe, seed=seed, tasks=tasks)
            fitted = fitted_temperatures(asked_of(DocumentBackend(model).odds, parts["validation"]))
            DocumentBackend(model, temperatures=fitted).save_pretrained(folder)
        found[name] = DocumentBackend.from_pretrained(str(folder))
    return found


def _fared(backend: DocumentBackend | DocumentRules, parts: Mapping[str, Sequence[Receipt]]) -> Fared:
    asked = asked_of(backend.odds, parts["test"])
    known = {plain_line(each.values.get("company", "")) for each in parts["train"]}
    unseen = [each for each in parts["test"] if plain_line(each.values.get("company", "")) not in known]
    stating = [each for each in unseen if any(map(any, each.stated.values()))]
    return Fared(
        macro_f1(backend.model, parts["test"]) if isinstance(backend, DocumentBackend) else None,
        {**{field: found_share(asked, field) for field in asked}, ALL: found_share(asked, *asked)},
        found_share(asked_of(backend.odds, stating)) if stating else None,
        calibration_error(asked, UNIT),
        calibration_error(asked, backend.temperatures),
    )


def _figures(
    fared: Mapping[str, Sequence[Fared]],
    orders: Sequence[tuple[float, float]],
    words: Sequence[tuple[float, float]],
) -> dict[str, Sequence[tuple[float, float]]]:
    def f1(ours: str, baseline: str) -> list[tuple[float, float]]:
        return [(one.f1 or 0.0, other.f1 or 0.0) for one, other in zip(fared[ours], fared[baseline], strict=True)]

    def found(ours: str, baseline: str) -> list[tuple[float, float]]:
        return [(one.found[ALL], other.found[ALL]) for one, other in zip(fared[ours], fared[baseline], strict=True)]

    figures = (
        f1("layout", "text"),
        f1("documents-few", "layout-few"),
        found("layout", "text"),
        found("documents-few", "layout-few"),
        found("documents", RULES),
        [(-each.after, -each.before) for each in fared["documents"]],
        orders,
        words,
    )
    return dict(zip(ASKED, figures, strict=True))


def _write(out: Path, fared: Mapping[str, Sequence[Fared]]) -> None:
    lines = [f"| reader | F1 | {' | '.join(FIELDS)} | all | all, companies unseen | calibration error | after |"]
    lines.append(f"|---|{'---|' * (len(FIELDS) + 5)}")
    for name, seeds in fared.items():
        f1 = [100 * each.f1 for each in seeds if each.f1 is not None]
        found = [[100 * each.found[field] for each in seeds] for field in (*FIELDS, ALL)]
        unseen = [100 * each.unseen for each in seeds if each.unseen is not None]
        shares = [shown(values, "{:.1f}") for values in (f1, *found, unseen)]
        errors = [
            shown(values, "{:.3f}") for values in ([each.before for each in seeds], [each.after for each in seeds])
        ]
        lines.append(f"| {name} | {' | '.join([*shares, *errors])} |")
    (out / "tables.md").write_text("\n".join(lines) + "\n")
