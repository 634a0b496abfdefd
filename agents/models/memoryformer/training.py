"""The recipe: models of characters whose blocks look up against ones that multiply, at counted costs.

Each model is trained with the same two learning rates, and the one that is better on a validation text speaks for it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.claims import Claim
from agents.models.glyphs.table import character_tokenizer
from agents.models.glyphs.text import HELD_OUT, read_text
from agents.models.glyphs.training import surprise
from agents.models.memoryformer.model import MemoryFormerConfig, MemoryFormerForCausalLM
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress

RATES = (3e-3, 1e-2)


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper's models have 6 to 24 layers and are 512 to 1,024 wide."""

    width: int = 64
    narrow: int = 24
    """Of a small dense model: 5,760 multiply-adds in its projections where the looking-up one has 3,360 with its hashing."""
    layers: int = 2
    heads: int = 4
    bits: int = 8
    steps: int = 600
    batch: int = 16
    window: int = 48


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what holds of memory layers at our size, in nats a character of unseen text (negated: more is better).

    Args:
        out: the looking-up models are kept there; those that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of tinyshakespeare.
        progress: told of each step that takes time.
    """
    recipe, tokenizer = Recipe(), character_tokenizer()
    stream = torch.tensor(tokenizer(read_text(data))["input_ids"])
    count = int(HELD_OUT * len(stream))
    learned, validation, test = stream[: -2 * count], stream[-2 * count : -count], stream[-count:]
    found: dict[str, list[float]] = {"memory": [], "dense": [], "narrow": []}
    for seed in range(seeds):
        for kind, losses in found.items():
            folder = out / f"{kind}-{seed}"
            tried: list[tuple[float, float, Any]] = []
            if kind == "memory" and (folder / "model.safetensors").is_file():
                kept = MemoryFormerForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
                tried.append((0.0, 0.0, kept))
            for rate in () if tried else RATES:
                model = train(build(kind, recipe, len(tokenizer), seed), learned, recipe, rate, seed=seed)
                tried.append((loss_on(model, validation, recipe), rate, model))
                progress(
                    f"seed {seed}: {kind} ({multiply_adds(model):,} multiply-adds a position and block), rate {rate:g}: "
                    f"{tried[-1][0]:.3f}"
                )
            _, rate, best = min(tried, key=lambda one: one[0])
            losses.append(-loss_on(best, test, recipe))
            progress(f"seed {seed}: {kind}: {-losses[-1]:.3f} on the test text")
            if kind == "memory" and rate:
                best.save_pretrained(folder)
                tokenizer.save_pretrained(folder)
    ours, dense, narrow = (tuple(found[kind]) for kind in ("memory", "dense", "narrow"))
    return [
        Claim("looking up: above a dense model of few multiply-adds", ours, narrow, least=0.066),
        Claim("looking up: near a dense model of its own width", ours, dense, within=0.11),
    ]


def build(kind: str, recipe: Recipe, rows: int, seed: int) -> Any:
    """Return a model with random weights: `memory`, `dense` of its width, or `narrow`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    width = recipe.narrow if kind == "narrow" else recipe.width
    sizes = {
        "vocab_size": rows, "hidden_size": width, "num_hidden_layers": recipe.layers, "num_attention_heads": recipe.heads,
        "max_position_embeddings": 256, "tie_word_embeddings": True, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    if kind == "memory":
        own = MemoryFormerConfig(**sizes, bits=recipe.bits)
        return seeded(lambda: MemoryFormerForCausalLM(own), seed)
    return seeded(lambda: LlamaForCausalLM(LlamaConfig(**sizes, intermediate_size=2 * width)), seed)


def multiply_adds(model: Any) -> int:
    """Return the multiply-adds of the projections of one position and block.

    Attention and the table, narrower in a narrower model, are not counted.
    """
    if isinstance(model, MemoryFormerForCausalLM):
        return model.multiply_adds
    return sum(m.weight.numel() for m in model.model.layers[0].modules() if isinstance(m, torch.nn.Linear))


def train(model: Any, stream: Tensor, recipe: Recipe, rate: float, *, seed: int) -> Any:
    """Return the model trained on windows of a stream of token numbers [N]."""
    generator = torch.Generator().manual_seed(seed)
    # Rows that are rarely picked must not decay meanwhile.
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    model.train()
    for step in range(recipe.steps):
        starts = torch.randint(len(stream) - recipe.window, (recipe.batch,), generator=generator)
        windows = stream[starts[:, None] + torch.arange(recipe.window + 1)]
        loss = surprise(model(windows[:, :-1], use_cache=False).logits, windows[:, 1:])
        train_step(optimiser, loss, model, rate, step, recipe.steps)
    return model.eval()


@torch.inference_mode()
def loss_on(model: Any, text: Tensor, recipe: Recipe, windows: int = 256) -> float:
    """Return the mean loss in nats a character on evenly spaced windows of a text."""
    starts = torch.linspace(0, len(text) - recipe.window - 1, windows).long()
    cut = text[starts[:, None] + torch.arange(recipe.window + 1)]
    return float(surprise(model(cut[:, :-1], use_cache=False).logits, cut[:, 1:]))
