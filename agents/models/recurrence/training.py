"""The recipe: models of characters with windows of 32, with and without a vector of what came before, and with windows of 64.

All are trained on the same rows of several windows, for as many steps, and measured on unseen text where two windows of 64 at
least lie before, so that nobody stands at the beginning of a text.

Expected before the run: the vector is worth some hundredths of a nat a character, since a mean of states says what kind of text
this is and little of its last words; windows twice as long are worth about twice as much. Asked for: 0.005 nats, and a tenth of
the gap; of a vector of another text's windows that it is no better than none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.claims import Claim
from agents.models.glyphs.table import character_tokenizer
from agents.models.glyphs.text import divided_text
from agents.models.glyphs.training import surprise
from agents.models.recurrence.model import RecurrenceConfig, RecurrenceForCausalLM
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress

KINDS = ("recurrent", "short", "long")


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper goes on from GPT-2 with windows of hundreds of tokens."""

    width: int = 64
    layers: int = 3
    heads: int = 4
    window: int = 32
    inserted: int = 1
    pooled: int = 1
    truncated: int = 4
    steps: int = 600
    batch: int = 6
    row: int = 192
    """Characters of a row, a multiple of two windows."""
    rate: float = 4e-3
    measured: int = 400
    """Rows of unseen text that are read."""


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what the vector is worth at our size, in nats a character of unseen text (negated: more is better).

    Args:
        out: models are kept there; those that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of tinyshakespeare.
        progress: told of each step that takes time.
    """
    recipe, tokenizer = Recipe(), character_tokenizer()
    learned, unseen = divided_text(data, tokenizer)
    found: dict[str, list[float]] = {name: [] for name in (*KINDS, "strange", "share", "nothing")}
    for seed in range(seeds):
        for kind in KINDS:
            folder = out / f"{kind}-{seed}"
            if not (folder / "model.safetensors").is_file():
                train(build(kind, recipe, len(tokenizer), seed), learned, recipe, seed).save_pretrained(folder)
                tokenizer.save_pretrained(folder)
            model = RecurrenceForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
            found[kind].append(-loss_on(model, unseen, recipe))
            if kind == "recurrent":
                found["strange"].append(-loss_on(model, unseen, recipe, strange=True))
        recurrent, short, long = (found[kind][-1] for kind in KINDS)
        found["share"].append((recurrent - short) / (long - short))
        found["nothing"].append(0.0)
        progress(f"seed {seed}: " + ", ".join(f"{name} {values[-1]:.4f}" for name, values in found.items()))
    rows = {name: tuple(values) for name, values in found.items()}
    window = recipe.window
    return [
        Claim(f"windows of {window} and a vector: above windows of {window}", rows["recurrent"], rows["short"], least=0.005),
        Claim(f"share of the gap to windows of {2 * window} that it takes", rows["share"], rows["nothing"], least=0.1),
        Claim("its own text's vector: above that of another text", rows["recurrent"], rows["strange"], least=0.005),
    ]  # fmt: skip


def build(kind: str, recipe: Recipe, rows: int, seed: int) -> RecurrenceForCausalLM:
    """Return a model with random weights: `recurrent`, `short` without a vector, or `long`, with windows twice as long."""
    config = RecurrenceConfig(
        vocab_size=rows, hidden_size=recipe.width, intermediate_size=2 * recipe.width, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, max_position_embeddings=1024, tie_word_embeddings=True, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, window=recipe.window * (2 if kind == "long" else 1), recurrent=kind == "recurrent",
        inserted=recipe.inserted, pooled=recipe.pooled, truncated=recipe.truncated,
    )  # fmt: skip
    return seeded(lambda: RecurrenceForCausalLM(config), seed)


def train(model: Any, learned: Tensor, recipe: Recipe, seed: int) -> Any:
    """Return the model trained on rows of a stream of token numbers [N]."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.0)
    model.train()
    for step in range(recipe.steps):
        starts = torch.randint(len(learned) - recipe.row, (recipe.batch,), generator=generator)
        rows = learned[starts[:, None] + torch.arange(recipe.row + 1)]
        loss = surprise(model(rows[:, :-1], use_cache=False).logits, rows[:, 1:])
        train_step(optimiser, loss, model, recipe.rate, step, recipe.steps)
    return model.eval()


@torch.inference_mode()
def loss_on(model: Any, text: Tensor, recipe: Recipe, *, strange: bool = False) -> float:
    """Return the mean loss in nats a character on the last two windows' characters of rows that are spread over a text.

    `strange` puts those behind the beginning of another row, of which the vector then tells.
    """
    starts = torch.linspace(0, len(text) - recipe.row - 1, recipe.measured).long()
    rows = text[starts[:, None] + torch.arange(recipe.row + 1)]
    scored = 2 * recipe.window
    if strange:
        rows = torch.cat([rows.roll(recipe.measured // 2, 0)[:, : -scored - 1], rows[:, -scored - 1 :]], 1)
    logits = torch.cat([model(part, use_cache=False).logits[:, -scored:] for part in torch.split(rows[:, :-1], 50)])
    return float(surprise(logits, rows[:, -scored:]))
