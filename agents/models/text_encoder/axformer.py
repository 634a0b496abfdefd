"""The recipe of AxFormer: a classifier of SST-2 that learnt its phrases too well, and what held-out sentences take from it.

Changes are accepted by whole sentences of the training file, no phrase of which is trained on; what is claimed is of the
development sentences, which no step sees. A model that is only less sure of itself has a lower loss too, so the claim that
matters is made again after a temperature was fitted to each model on the held-out sentences.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean

import torch
from torch.nn import functional

from agents.atomic_file import write_json
from agents.beliefs.claims import Claim, claims_of
from agents.models.blocks.config import EncoderConfig
from agents.models.text_encoder.backend import TextEncoderBackend
from agents.models.text_encoder.model import TextEncoder
from agents.models.text_encoder.specialised import GROUPS, Specialiser, half_of_mean, nats, parameters
from agents.models.text_encoder.training import Corpus, Recipe, Sentences, read_corpus, right, scores_of, trained
from agents.models.vision.measures import fitted_temperature
from agents.pretrained import Progress
from agents.transforms.axformer.search import drawn

ENCODER = EncoderConfig(width=64, layers=4, heads=4, head_width=16, hidden=256)
FIGURES = "axformer.json"


@dataclass(frozen=True)
class AxFormerRecipe:
    """How a model is trained and what is taken from it.

    Attributes:
        phrases: of the training file, drawn by the seed; few, and seen often, so that they are learnt by heart.
        training: steps, batch and rate.
        groups: of a layer's units.
        draws: random removals of the same size.
        margin: share of right answers that may be lost.
        shares: of the sentences, of which more than that have to lose no more; the paper's, and none: the mean alone.
    """

    phrases: int = 20_000
    training: Recipe = field(default_factory=lambda: Recipe(steps=1000))
    groups: int = GROUPS
    draws: int = 5
    margin: float = 0.005
    shares: tuple[float, float] = (0.5, 0.0)


# Claim → by how much ours is to be above the baseline. Losses are negated, so that above is better.
ASKED: Mapping[str, tuple[float | None, float | None]] = {
    "loss of the held-out sentences that decide (negated): specialised above base": (0.0, None),
    "loss of untouched sentences (negated): specialised above base": (0.0, None),
    "the same, each at its own fitted temperature": (0.0, None),
    "untouched sentences right: specialised above base less half a point": (0.0, None),
    "share of the blocks' parameters that went: above 0.15": (0.0, None),
    "loss of untouched sentences (negated): specialised above as many random removals": (0.02, None),
    "untouched sentences right: specialised above as many random removals": (0.01, None),
    "loss of untouched sentences (negated): specialised above the same without hard attention": (0.0, None),
    "what greed fits: loss that the deciding sentences gain above that of untouched ones": (0.0, None),
    "by the mean alone: loss of untouched sentences (negated): specialised above base": (0.0, None),
    "by the mean alone: the same, each at its own fitted temperature": (0.0, None),
    "by the mean alone: untouched sentences right: specialised above base less half a point": (0.0, None),
    "by the mean alone: share of the blocks' parameters that went: above 0.15": (0.0, None),
    "by the mean alone: loss (negated) above as many random removals": (0.02, None),
    "by the mean alone: what greed fits": (0.0, None),
}


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return whether less of a model does no worse; models are kept under `out`, each with the one that is left of it.

    Args:
        out: models and figures that are there are not made again.
        seeds: training seeds, from 0; of weights, phrases, batches and random removals.
        data: folder of SST-2.
        progress: told of each step that takes time, and of what went.
    """
    corpus, recipe = read_corpus(data), AxFormerRecipe()
    found: dict[str, list[tuple[float, float]]] = {text: [] for text in ASKED}
    for seed in range(seeds):
        for text, pair in zip(ASKED, _figures(out, corpus, recipe, seed, progress), strict=True):
            found[text].append(pair)
    return claims_of(found, ASKED)


def _figures(
    out: Path, corpus: Corpus, recipe: AxFormerRecipe, seed: int, progress: Progress
) -> list[tuple[float, float]]:
    """Return ours and the baseline's figure of each claim; those that are there by the same recipe are read."""
    path, made_by = out / f"specialised-{seed}" / FIGURES, json.loads(json.dumps(asdict(recipe)))
    if path.is_file():
        kept = json.loads(path.read_text())
        if kept["recipe"] == made_by:
            return [(ours, baseline) for ours, baseline in kept["figures"]]
    base = _base(out / f"base-{seed}", corpus, recipe, seed, progress)
    pairs, specialised = measured(base, corpus, recipe, seed, progress)
    _save(path.parent, specialised, corpus.held)
    write_json(path, {"recipe": made_by, "figures": [list(pair) for pair in pairs]})
    return pairs


def _base(folder: Path, corpus: Corpus, recipe: AxFormerRecipe, seed: int, progress: Progress) -> TextEncoder:
    chosen = torch.randperm(len(corpus.train.texts), generator=torch.Generator().manual_seed(seed))[: recipe.phrases]
    few = Sentences(tuple(corpus.train.texts[place] for place in chosen.tolist()), corpus.train.labels[chosen])
    limited = Corpus(few, corpus.held, corpus.test, corpus.words)
    return trained(folder, ENCODER, limited, recipe.training, seed=seed, progress=progress)


def measured(
    base: TextEncoder, corpus: Corpus, recipe: AxFormerRecipe, seed: int, progress: Progress
) -> tuple[list[tuple[float, float]], TextEncoder]:
    """Return ours and the baseline's figure of each claim, and the model that the paper's rule leaves."""
    rule, mean = (_taken(base, corpus, recipe, seed, share, progress) for share in recipe.shares)
    pairs = [
        rule.held, rule.untouched, rule.tempered, rule.right, rule.removed, rule.random, rule.random_right, rule.soft, rule.greed,
        mean.untouched, mean.tempered, mean.right, mean.removed, mean.random, mean.greed,
    ]  # fmt: skip
    return pairs, rule.model


@dataclass(frozen=True)
class _Taken:
    """What one rule leaves of a model, and ours and the baseline's figure of what is claimed of it."""

    model: TextEncoder
    held: tuple[float, float]
    untouched: tuple[float, float]
    tempered: tuple[float, float]
    right: tuple[float, float]
    removed: tuple[float, float]
    random: tuple[float, float]
    random_right: tuple[float, float]
    soft: tuple[float, float]
    greed: tuple[float, float]


def _taken(
    base: TextEncoder, corpus: Corpus, recipe: AxFormerRecipe, seed: int, share: float, progress: Progress
) -> _Taken:
    specialiser = Specialiser(base, keys=half_of_mean(base, corpus.held.texts), groups=recipe.groups)
    search = specialiser.specialised(corpus.held, share=share)
    switches = search.switches
    ours, soft = specialiser.made(switches), specialiser.made(replace(switches, hard=torch.zeros_like(switches.hard)))
    generator = torch.Generator().manual_seed(seed)
    others = [specialiser.made(drawn(switches, generator)) for _ in range(recipe.draws)]
    held, test = corpus.held, corpus.test
    before, after, without = (_loss(model, test) for model in (base, ours, soft))
    by_chance = fmean(_loss(model, test) for model in others)
    removed = 1 - parameters(ours) / parameters(base)
    told = f"seed {seed}, {'by the mean alone' if share == 0 else 'by the rule'}"
    progress(
        f"{told}: {len(search.accepted)} of {len(search.trials)} changes accepted, K {specialiser.keys}, hard in "
        f"{switches.hard_layers}, {removed:.1%} of the parameters went: {', '.join(search.accepted)}"
    )
    progress(
        f"{told}: held-out loss {search.before:.4f} to {search.after:.4f}, untouched {before:.4f} to {after:.4f}, "
        f"{without:.4f} without hard attention, {by_chance:.4f} by chance; right {right(base, test):.4f} to "
        f"{right(ours, test):.4f}"
    )
    return _Taken(
        model=ours,
        held=(-search.after, -search.before),
        untouched=(-after, -before),
        tempered=(-_tempered(ours, held, test), -_tempered(base, held, test)),
        right=(right(ours, test), right(base, test) - recipe.margin),
        removed=(removed, 0.15),
        random=(-after, -by_chance),
        random_right=(right(ours, test), fmean(right(model, test) for model in others)),
        soft=(-after, -without),
        greed=(search.before - search.after, before - after),
    )


def _save(folder: Path, model: TextEncoder, held: Sentences) -> None:
    fitted = fitted_temperature(scores_of(model, held.texts), held.labels)
    TextEncoderBackend(model, temperature=fitted).save_pretrained(folder)


def _loss(model: TextEncoder, sentences: Sentences) -> float:
    return float(nats(model, sentences).double().mean())


def _tempered(model: TextEncoder, held: Sentences, test: Sentences) -> float:
    """Return the mean loss of test sentences at the temperature that held-out ones say."""
    fitted = fitted_temperature(scores_of(model, held.texts), held.labels)
    return float(functional.cross_entropy(scores_of(model, test.texts) / fitted, test.labels))
