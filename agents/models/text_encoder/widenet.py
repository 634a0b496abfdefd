"""The recipe of WideNet: one block for all layers, with experts and norms of each layer's own, against what it is made of.

All have the same operations a token but for the router: of E experts K serve a token, each of d_ff / K units. An ALBERT-like
model of equal parameters has one feed-forward layer as wide as all experts together, and so more operations.
"""

from dataclasses import replace
from pathlib import Path

import torch

from agents.beliefs.claims import Claim
from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.cost import cost_of
from agents.models.blocks.layers import Route
from agents.models.text_encoder.model import TextEncoder
from agents.models.text_encoder.training import Recipe, read_corpus, right, scores_of, trained
from agents.pretrained import Progress

HIDDEN, EXPERTS, CHOSEN = 128, 4, 2
ALBERT = EncoderConfig(width=64, layers=6, heads=4, head_width=16, hidden=HIDDEN, shared=True, own_norms=False)
MIXED = replace(ALBERT, hidden=HIDDEN // CHOSEN, experts=EXPERTS, chosen=CHOSEN)
MODELS = {
    "albert": ALBERT,
    "own-norms": replace(ALBERT, own_norms=True),
    "experts": MIXED,
    "widenet": replace(MIXED, own_norms=True),
    "albert-large": replace(ALBERT, hidden=HIDDEN // CHOSEN * EXPERTS),
}
TOKENS = 20
"""Of the texts for which costs are told."""


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what experts and norms of each layer's own are worth in a block that all layers share; models are kept under `out`.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of SST-2.
        progress: told of each step that takes time, and of each model's cost.
    """
    corpus, recipe = read_corpus(data), Recipe()
    for name, config in MODELS.items():
        cost = cost_of(config, TOKENS)
        progress(f"{name}: {cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds of {TOKENS} words")
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        for name, config in MODELS.items():
            model = trained(out / f"{name}-{seed}", config, corpus, recipe, seed=seed, progress=progress)
            found.setdefault(name, []).append(right(model, corpus.test))
            progress(f"{name}-{seed}: {found[name][-1]:.3f} right")
            if config.experts > 1:
                found.setdefault(f"{name} moved", []).append(moved(model, corpus.test.texts))
    rows = {name: tuple(values) for name, values in found.items()}
    return [
        Claim(
            "SST-2: WideNet above an ALBERT-like model of equal operations", rows["widenet"], rows["albert"], least=0.0
        ),
        Claim(
            "SST-2: WideNet above an ALBERT-like model of equal parameters",
            rows["widenet"],
            rows["albert-large"],
            least=0.0,
        ),
        Claim("SST-2: experts, norms shared, above an ALBERT-like model", rows["experts"], rows["albert"], least=0.0),
        Claim("SST-2: experts, own norms above shared ones", rows["widenet"], rows["experts"], least=0.0),
        Claim("SST-2: one feed-forward, own norms above shared ones", rows["own-norms"], rows["albert"], least=0.0),
        Claim(
            "use of experts, distance between layers: WideNet above 0.1",
            rows["widenet moved"],
            (0.1,) * seeds,
            least=0.0,
        ),
        Claim("the same: above experts with shared norms", rows["widenet moved"], rows["experts moved"], least=0.0),
    ]


def moved(model: TextEncoder, texts: tuple[str, ...]) -> float:
    """Return the mean total-variation distance between the shares of experts of any two layers, over texts; 0 to 1."""
    routes: list[list[Route]] = []
    scores_of(model, texts, routes)
    layers = range(len(routes[0]))
    counts = torch.stack(
        [torch.stack([batch[layer].chosen.sum((0, 1)) for batch in routes]).sum(0) for layer in layers]
    )
    shares = counts / counts.sum(-1, keepdim=True)
    pairs = [(i, j) for i in range(len(shares)) for j in range(i)]
    return float(torch.stack([(shares[i] - shares[j]).abs().sum() / 2 for i, j in pairs]).mean())
