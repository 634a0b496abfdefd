"""The recipe: models of characters, trained on texts of 64, that read texts of up to 512. What is a longer text worth to them?

All have the same sizes and read the same texts in the same order; they differ in how they are told of positions, and SeqPE once
goes without its two regularisers. The measure is the perplexity of all characters of texts of 512 over that of texts of 64,
both cut from one unseen stream: below 1, a longer text helps; above it, it is not read. Rows of learned positions are
interpolated to the longer text; the others are asked for positions that they were never trained at.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.claims import Claim
from agents.models.glyphs.table import character_tokenizer
from agents.models.glyphs.text import divided_text
from agents.models.glyphs.training import surprise
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.models.seqpe.model import SeqPEConfig, SeqPEForCausalLM
from agents.models.seqpe.positions import LearnedPositions
from agents.models.seqpe.regularisers import (
    contrastive_loss,
    distillation_loss,
    draw_candidates,
    draw_moved,
    draw_starts,
    nearest_of,
)
from agents.pretrained import Progress

KINDS = ("seqpe", "unregularised", "learned", "sinusoidal", "alibi", "rotary")


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper's GPT-2 has 12 layers, texts of 512 and positions up to 20,000."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    window: int = 64
    longest: int = 512
    """Of the texts that are read, a multiple of the window by a power of two."""
    reach: int = 1024
    steps: int = 600
    batch: int = 16
    rate: float = 4e-3
    weight: float = 0.1
    """Of each regulariser; 0 leaves them out."""
    regularised: int = 4
    """Positions of a step whose candidates are drawn, and starts that are distilled."""
    stretch: int = 160
    measured: int = 64
    """Texts of the greatest length that are read."""


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return how much a longer text costs at our size: perplexity at 512 over that at 64, negated, so that more is better.

    Args:
        out: models are kept there; those that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of tinyshakespeare.
        progress: told of each step that takes time.
    """
    recipe, tokenizer = Recipe(), character_tokenizer()
    learned, unseen = divided_text(data, tokenizer)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for seed in range(seeds):
        for kind, ratios in found.items():
            folder = out / f"{kind}-{seed}"
            if not (folder / "model.safetensors").is_file():
                model = train(build(kind, recipe, len(tokenizer), seed), learned, weighed(kind, recipe), seed)
                model.save_pretrained(folder)
                tokenizer.save_pretrained(folder)
            model = SeqPEForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
            by_length = perplexities(model, unseen, recipe)
            ratios.append(-by_length[recipe.longest] / by_length[recipe.window])
            told = ", ".join(f"{perplexity:.2f} at {length}" for length, perplexity in by_length.items())
            progress(f"seed {seed}: {kind}: perplexity {told}; ratio {-ratios[-1]:.3f}")
    by = {kind: tuple(ratios) for kind, ratios in found.items()}
    return [
        Claim("ratio: SeqPE below learned positions, interpolated", by["seqpe"], by["learned"], least=0.05),
        Claim("ratio: SeqPE below sinusoidal positions", by["seqpe"], by["sinusoidal"], least=0.05),
        Claim("ratio: SeqPE below SeqPE without its regularisers", by["seqpe"], by["unregularised"], least=0.02),
        Claim("ratio: ALiBi below SeqPE", by["alibi"], by["seqpe"], least=0.02),
        Claim("ratio: SeqPE below rotary positions", by["seqpe"], by["rotary"], least=0.05),
    ]


def weighed(kind: str, recipe: Recipe) -> Recipe:
    """Return the recipe of a kind: but for `seqpe` there are no regularisers."""
    return recipe if kind == "seqpe" else replace(recipe, weight=0.0)


def build(kind: str, recipe: Recipe, rows: int, seed: int) -> SeqPEForCausalLM:
    """Return a model of a kind with random weights."""
    positions = "seqpe" if kind == "unregularised" else kind
    reach = recipe.window if positions == "learned" else recipe.reach
    config = SeqPEConfig(
        vocab_size=rows, hidden_size=recipe.width, intermediate_size=2 * recipe.width, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, max_position_embeddings=reach, tie_word_embeddings=True, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, positions=positions, reach=reach,
    )  # fmt: skip
    return seeded(lambda: SeqPEForCausalLM(config), seed)


def train(model: Any, learned: Tensor, recipe: Recipe, seed: int) -> Any:
    """Return the model trained on windows of a stream of token numbers [N]."""
    generator = torch.Generator().manual_seed(seed)
    # Other draws than those of texts, so that all kinds read the same ones; dropout's are of torch's own generator.
    positions = torch.Generator().manual_seed(1000 + seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.0)
    model.train()
    is_sequential = model.config.positions == "seqpe"

    def learn() -> None:
        for step in range(recipe.steps):
            starts = torch.randint(len(learned) - recipe.window, (recipe.batch,), generator=generator)
            texts = learned[starts[:, None] + torch.arange(recipe.window + 1)]
            loss = (step_loss if is_sequential else plain_loss)(model, texts, recipe, positions)
            train_step(optimiser, loss, model, recipe.rate, step, recipe.steps)

    seeded(learn, seed)
    return model.eval()


def plain_loss(model: Any, texts: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return the loss of texts [B, T + 1] at positions from 0 on."""
    return surprise(model(texts[:, :-1], use_cache=False).logits, texts[:, 1:])


def step_loss(model: Any, texts: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return SeqPE's loss of texts [B, T + 1], some of which stand at other positions, with its regularisers."""
    starts, moved = draw_starts(len(texts), recipe.window, recipe.reach, generator)
    at = starts + torch.arange(recipe.window)
    loss = surprise(model(texts[:, :-1], position_ids=at, use_cache=False).logits, texts[:, 1:])
    if not recipe.weight:
        return loss
    encoder, count = model.model.rotary_emb.encoder, recipe.regularised
    pivots = torch.randint(recipe.reach, (count,), generator=generator)
    candidates = draw_candidates(pivots.tolist(), recipe.reach, recipe.stretch, generator)
    vectors = encoder(torch.cat([pivots, candidates.flatten()]))
    among = vectors[count:].unflatten(0, candidates.shape)
    loss = loss + recipe.weight * contrastive_loss(vectors[:count], among, nearest_of(pivots, candidates))
    if not moved:
        # A batch that is moved itself has no positions in use to learn from.
        places, away = draw_moved(recipe.window, recipe.reach, count, generator)
        in_use, student = encoder(torch.arange(recipe.window)), encoder(away.flatten())
        taught = distillation_loss(in_use[places], student.unflatten(0, away.shape), model.config.num_attention_heads)
        loss = loss + recipe.weight * taught
    return loss


@torch.inference_mode()
def perplexities(model: Any, text: Tensor, recipe: Recipe) -> dict[int, float]:
    """Return the perplexity of the same characters of a text [N] in pieces of 64, 128, …, by the length of a piece."""
    found = {}
    count = min(recipe.measured, (len(text) - 1) // recipe.longest)
    cut = text[: count * recipe.longest + 1]
    for doubled in range(int(math.log2(recipe.longest / recipe.window)) + 1):
        length = recipe.window << doubled
        if isinstance(model.model.rotary_emb, LearnedPositions):
            model.model.rotary_emb.stretched = length
        read, wanted = cut[:-1].view(-1, length), cut[1:].view(-1, length)
        rows = max(1, 4096 // length)
        logits = torch.cat([model(part, use_cache=False).logits for part in torch.split(read, rows)])
        found[length] = math.exp(float(surprise(logits, wanted)))
    return found
