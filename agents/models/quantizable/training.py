"""The recipe: models of characters with a plain softmax, a clipped one and gates, and what rounding them after training costs.

All have the same frozen table of glyphs, so that what they say can be compared number by number, and are trained on the same rows
for as many steps. Predictions and what came of them are in docs/transforms.md.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.claims import Claim, claims_of
from agents.models.glyphs.table import character_tokenizer, glyph_table
from agents.models.glyphs.text import divided_text
from agents.models.glyphs.training import surprise
from agents.models.quantizable.measures import drift, outliers
from agents.models.quantizable.model import QuantizableConfig, QuantizableForCausalLM
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress
from agents.transforms.ptq.transform import quantise

KINDS = ("plain", "clipped", "gated")
# Bits of weights and of activations, as the claims name them.
BITS = {"W8A8": (8, 8), "W8A6": (8, 6), "W4A4": (4, 4)}


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper's models have 6 to 24 blocks and 10^5 to 10^6 steps."""

    width: int = 64
    layers: int = 4
    heads: int = 4
    window: int = 64
    """Characters of a row, in training and where it is measured."""
    alpha: float = 2.0
    gate_start: float = 0.25
    steps: int = 600
    batch: int = 12
    rate: float = 2e-3
    batches: int = 16
    """Batches of training text that ranges are taken from."""
    measured: int = 256
    """Rows of unseen text that are read."""


# Claim → by how much ours is to be above the baseline, or how near the two are to be.
ASKED: Mapping[str, tuple[float | None, float | None]] = {
    "log p of a character, nats: clipped near plain": (None, 0.05),
    "log p of a character, nats: gated near plain": (None, 0.05),
    "largest infinity norm (negated): clipped above plain": (0.0, None),
    "largest infinity norm (negated): gated above plain": (0.0, None),
    "mean kurtosis (negated): clipped above plain": (0.0, None),
    "mean kurtosis (negated): gated above plain": (0.0, None),
    "share of attention that is exactly 0: clipped above plain": (0.1, None),
    **{
        f"loss that rounding adds, nats (negated), {bits}: {kind} above plain": (0.0, None)
        for bits in BITS
        for kind in KINDS[1:]
    },
    **{f"drift of beliefs, nats (negated), W8A8: {kind} above plain": (0.0, None) for kind in KINDS[1:]},
    **{f"drift of messages, share of their spread (negated), W8A8: {kind} above plain": (0.0, None) for kind in KINDS[1:]},
}  # fmt: skip


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what clipping and gates do at our size.

    Args:
        out: models are kept there, and their copies of 8 bits; those that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of tinyshakespeare.
        progress: told of each step that takes time.
    """
    recipe, tokenizer = Recipe(), character_tokenizer()
    learned, unseen = divided_text(data, tokenizer, shares=1)
    pairs: dict[str, list[tuple[float, float]]] = {text: [] for text in ASKED}
    for seed in range(seeds):
        found: dict[str, dict[str, float]] = {}
        for kind in KINDS:
            folder = out / f"{kind}-{seed}"
            if not (folder / "model.safetensors").is_file():
                train(build(kind, recipe, len(tokenizer), seed), learned, recipe, seed).save_pretrained(folder)
                tokenizer.save_pretrained(folder)
            model = QuantizableForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
            found[kind] = figures(model, learned, unseen, recipe, out / f"{kind}-{seed}-int8", tokenizer)
            shown = ", ".join(f"{name} {value:.4g}" for name, value in found[kind].items())
            progress(f"seed {seed}: {kind}: {shown}")
        for text in ASKED:
            what, kind, baseline = text.rpartition(": ")[0], *_compared(text)
            pairs[text].append((found[kind][what], found[baseline][what]))
    return claims_of(pairs, ASKED)


def _compared(text: str) -> tuple[str, str]:
    """Return the two kinds that a claim compares."""
    first, *_, second = text.rpartition(": ")[2].split()
    return first, second


def build(kind: str, recipe: Recipe, rows: int, seed: int) -> QuantizableForCausalLM:
    """Return a model with random weights on the table of glyphs: `plain`, `clipped` or `gated`."""
    config = QuantizableConfig(
        vocab_size=rows, hidden_size=recipe.width, intermediate_size=4 * recipe.width, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, max_position_embeddings=1024, tie_word_embeddings=False, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, alpha=recipe.alpha if kind == "clipped" else 0.0, trained_length=recipe.window,
        gate="linear" if kind == "gated" else "none", gate_start=recipe.gate_start,
    )  # fmt: skip
    model = seeded(lambda: QuantizableForCausalLM(config), seed)
    table = model.get_input_embeddings().weight
    table.data.copy_(glyph_table(recipe.width))
    table.requires_grad_(False)
    return model


def train(model: Any, learned: Tensor, recipe: Recipe, seed: int) -> Any:
    """Return the model trained on rows of a stream of token numbers [N]."""
    generator = torch.Generator().manual_seed(seed)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=0.0)
    model.train()
    for step in range(recipe.steps):
        rows = _drawn(learned, recipe, generator)
        loss = surprise(model(rows[:, :-1], use_cache=False).logits, rows[:, 1:])
        train_step(optimiser, loss, model, recipe.rate, step, recipe.steps)
    return model.eval()


def figures(
    model: Any, learned: Tensor, unseen: Tensor, recipe: Recipe, folder: Path, tokenizer: Any
) -> dict[str, float]:
    """Return what a trained model gives, by the claims' names; its copy of 8 bits goes into a folder."""
    starts = torch.linspace(0, len(unseen) - recipe.window - 1, recipe.measured).long()
    rows = unseen[starts[:, None] + torch.arange(recipe.window + 1)]
    seen = outliers(model, torch.split(rows[:, :-1], 32))
    whole = loss_on(model, rows)
    found = {
        "log p of a character, nats": -whole,
        "largest infinity norm (negated)": -seen.norm,
        "mean kurtosis (negated)": -seen.kurtosis,
        "share of attention that is exactly 0": seen.zeros,
    }
    for name, (weights, activations) in BITS.items():
        rounded, generator = copy.deepcopy(model), torch.Generator().manual_seed(0)
        batches = [_drawn(learned, recipe, generator)[:, :-1] for _ in range(recipe.batches)]
        quantise(rounded, batches, weights=weights, activations=activations)
        found[f"loss that rounding adds, nats (negated), {name}"] = whole - loss_on(rounded, rows)
        if name == "W8A8":
            gone = drift(model, rounded, rows[:, :-1])
            found[f"drift of beliefs, nats (negated), {name}"] = -gone.beliefs
            found[f"drift of messages, share of their spread (negated), {name}"] = -gone.messages
            rounded.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return found


@torch.inference_mode()
def loss_on(model: Any, rows: Tensor) -> float:
    """Return the mean loss in nats a character of rows [B, T + 1]."""
    logits = torch.cat([model(part, use_cache=False).logits for part in torch.split(rows[:, :-1], 32)])
    return float(surprise(logits, rows[:, 1:]))


def _drawn(stream: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    starts = torch.randint(len(stream) - recipe.window, (recipe.batch,), generator=generator)
    return stream[starts[:, None] + torch.arange(recipe.window + 1)]
