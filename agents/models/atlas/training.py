"""The recipes: what a memory recalls of pairs, untrained; and byte models that look pairs up, against attention with a window.

What was expected is the claims themselves, written before either was run at its seeds: capacity from a pilot of the same
table, and the byte models from the capacity. Settings were tried out at seeds from 100 on.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.atomic_file import write_json
from agents.beliefs.claims import Claim
from agents.models.atlas.model import AtlasConfig, AtlasForCausalLM
from agents.models.atlas.recall import Rule, recall
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress

RULES = {
    "delta raw": Rule(),
    "Omega c=8 raw": Rule(window=8),
    "delta phi2": Rule(degree=2),
    "Omega c=8 phi2": Rule(degree=2, window=8),
    "Omega c=n phi2": Rule(degree=2, window=0),
    "Muon c=1 phi2": Rule(degree=2, rate=0.3, muon=True),
    "Muon c=8 phi2": Rule(degree=2, window=8, rate=0.3, muon=True),
    "Muon c=n phi2": Rule(degree=2, window=0, rate=0.3, muon=True),
}
PAIRS = (64, 128)


def capacity_claims(
    out: Path, *, seeds: int = 5, data: Path | None = None, progress: Progress = lambda _: None
) -> list[Claim]:
    """Return what holds of the recall of random pairs, keys and values 16 wide; no weights are trained.

    Args:
        out: the figures are kept there, as `recall.json`.
        seeds: of the pairs, from 0.
        data: unused.
        progress: told of each rule and number of pairs.
    """
    found: dict[str, tuple[float, ...]] = {}
    for pairs in PAIRS:
        for name, rule in RULES.items():
            found[f"{name}, {pairs}"] = tuple(recall(rule, pairs, seed=seed) for seed in range(seeds))
            progress(f"{pairs} pairs, {name}: {sum(found[f'{name}, {pairs}']) / seeds:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "recall.json", found)

    def above(ours: str, baseline: str, pairs: int, least: float) -> Claim:
        return Claim(
            f"{pairs} pairs: {ours} above {baseline}",
            found[f"{ours}, {pairs}"],
            found[f"{baseline}, {pairs}"],
            least=least,
        )

    return [
        above("delta phi2", "delta raw", 64, 0.3),
        above("Omega c=8 phi2", "Omega c=8 raw", 64, 0.3),
        above("delta phi2", "delta raw", 128, 0.3),
        above("Omega c=n phi2", "delta phi2", 64, 0.2),
        above("Omega c=n phi2", "delta phi2", 128, 0.2),
        above("delta phi2", "Muon c=1 phi2", 64, 0.05),
        above("Omega c=8 phi2", "Muon c=8 phi2", 64, 0.05),
        above("Omega c=n phi2", "Muon c=n phi2", 64, 0.05),
    ]


@dataclass(frozen=True)
class Recipe:
    """How byte models are trained to look up; a text is pairs of bytes, and then keys of some of them, each with its value."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    head: int = 8
    pairs: int = 16
    asked: int = 8
    symbols: int = 32
    """Bytes that are keys, and as many others that are values."""
    window: int = 22
    """Of attention, of a text of 48: its keys and values are as many numbers, 1,408 a block, as a memory has."""
    steps: int = 900
    batch: int = 16
    rate: float = 5e-3
    texts: int = 512
    """Of the test."""


KINDS: dict[str, dict[str, Any]] = {
    "omega": {"rule": "omega", "degree": 2, "omega": 8, "chunk": 4, "rate": 0.25},
    "delta": {"rule": "omega", "degree": 1, "omega": 1, "chunk": 4, "rate": 0.25},
    "muon": {"rule": "atlas", "degree": 2, "omega": 8, "chunk": 4, "rate": 0.3},
}


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what holds of byte models that look pairs up, in shares of right answers to unseen texts.

    Args:
        out: models are kept there, and what was found of them; those that are there are not trained again.
        seeds: training seeds, from 0.
        data: unused: texts are drawn.
        progress: told of each step that takes time.
    """
    recipe = Recipe()
    found: dict[str, list[float]] = {kind: [] for kind in (*KINDS, "window", "attention")}
    for seed in range(seeds):
        for kind, shares in found.items():
            folder = out / f"{kind}-{seed}"
            if not (folder / "recall.json").is_file():
                model = train(build(kind, recipe, seed), recipe, seed=seed)
                model.save_pretrained(folder)
                write_json(folder / "recall.json", share_right(model, recipe))
            shares.append(float(json.loads((folder / "recall.json").read_text())))
            progress(f"seed {seed}: {kind}: {shares[-1]:.3f} of the keys that are asked for")
    by = {kind: tuple(shares) for kind, shares in found.items()}
    return [
        Claim("a memory (OmegaNet) above attention with a window", by["omega"], by["window"], least=0.3),
        Claim("a memory (OmegaNet) near attention to everything", by["omega"], by["attention"], within=0.1),
        Claim("Omega and features above the delta rule", by["omega"], by["delta"], least=0.1),
        Claim("momentum and Muon, with learned gates, above plain steps", by["muon"], by["omega"], least=0.02),
    ]


def build(kind: str, recipe: Recipe, seed: int) -> Any:
    """Return a byte model with random weights: one of KINDS, or with attention: `window`, or `attention` to everything."""
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {
        "vocab_size": 256, "hidden_size": recipe.width, "intermediate_size": 2 * recipe.width,
        "num_hidden_layers": recipe.layers, "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.heads, "head_dim": recipe.head,
        "max_position_embeddings": 4096, "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    if kind in KINDS:
        own = AtlasConfig(**sizes, **KINDS[kind])
        return seeded(lambda: AtlasForCausalLM(own), seed)
    window = recipe.window if kind == "window" else None
    other = MistralConfig(**sizes, sliding_window=window)
    return seeded(lambda: MistralForCausalLM(other), seed)


def texts(recipe: Recipe, seed: int, *, easier: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of texts [B, 2 (pairs + asked)] and of the positions of the keys that are asked for [asked], without end.

    Args:
        recipe: sizes.
        seed: of the texts.
        easier: in three batches of four a half, a quarter or an eighth of the pairs, as texts in training are.
    """
    generator = torch.Generator().manual_seed(seed)

    def chosen(among: int, count: int) -> Tensor:
        return torch.rand(recipe.batch, among, generator=generator).argsort(1)[:, :count]

    while True:
        share = 2 ** int(torch.randint(4, (), generator=generator)) if easier else 1
        pairs = max(1, recipe.pairs // share)
        count = min(recipe.asked, pairs)
        keys = chosen(recipe.symbols, pairs)
        values = recipe.symbols + torch.randint(recipe.symbols, keys.shape, generator=generator)
        told = torch.stack([keys, values], 2)
        again = told.gather(1, chosen(pairs, count)[..., None].expand(-1, -1, 2))
        yield torch.cat([told, again], 1).flatten(1), 2 * (pairs + torch.arange(count))


def train(model: Any, recipe: Recipe, *, seed: int) -> Any:
    """Return the model trained to say the value of each key that is asked for."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.0)
    drawn = texts(recipe, seed, easier=True)
    model.train()
    for step in range(recipe.steps):
        text, asked = next(drawn)
        logits = model(text, use_cache=False).logits[:, asked]
        loss = functional.cross_entropy(logits.flatten(0, 1), text[:, asked + 1].flatten())
        train_step(optimiser, loss, model, recipe.rate, step, recipe.steps)
    return model.eval()


@torch.inference_mode()
def share_right(model: Any, recipe: Recipe) -> float:
    """Return the share of keys of unseen texts whose value is the likeliest byte."""
    drawn, right = texts(recipe, 1_000_000), []
    for _ in range(max(1, recipe.texts // recipe.batch)):
        text, asked = next(drawn)
        said = model(text, use_cache=False).logits[:, asked].argmax(-1)
        right.append((said == text[:, asked + 1]).float().mean())
    return float(torch.stack(right).mean())
