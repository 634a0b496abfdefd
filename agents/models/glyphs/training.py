"""The recipe: two small models of characters a seed, on different halves of a text. Can one hear the other?

Tables: glyphs and random rows, both frozen and the same for everybody, and random rows of the same length that are trained.
Heard are soft messages: at each place of a held-out text the expectation of the speaker's embeddings under its belief.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.models.glyphs.backend import STORED, Glyphs
from agents.models.glyphs.official import find_published, published_table
from agents.models.glyphs.table import CHARACTERS, SPECIAL, character_tokenizer, glyph_table, random_table
from agents.models.glyphs.text import HELD_OUT, read_text
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress

TABLES = ("glyphs", "random", "trained")
KEPT = ("glyphs", "published")


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper's models have 0.2 to 0.5 billion weights and tables 1,024 wide."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    context: int = 256
    steps: int = 300
    batch: int = 16
    window: int = 64
    learning_rate: float = 3e-3
    heard: int = 64
    """Windows of held-out text that are heard."""


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what holds of frozen tables at our size, in nats a character.

    Args:
        out: models on glyphs that are there, drawn or published, are not trained again; the others are.
        seeds: training seeds, from 0; each has a speaker and a hearer of different seeds.
        data: folder of tinyshakespeare; where a published table is in it too, models learn on its rows as well, and are kept.
        progress: told of each step that takes time.
    """
    recipe, tokenizer = Recipe(), character_tokenizer()
    path = find_published(data)
    published = None if path is None else published_table(path, recipe.width)
    stream = torch.tensor(tokenizer(read_text(data))["input_ids"])
    held = stream[-int(HELD_OUT * len(stream)) :]
    first, second = stream[: -len(held)].chunk(2)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        for kind in TABLES if published is None else (*TABLES, "published"):
            pair = []
            for place, half in enumerate((first, second)):
                folder = out / f"{kind}-{seed}-{'ab'[place]}"
                if kind in KEPT and (folder / STORED).is_file():
                    pair.append(Glyphs.from_pretrained(str(folder)).model)
                    continue
                progress(f"seed {seed}: table {kind}, half {place + 1} of the text")
                model = language_model(kind, recipe, seed=2 * seed + place, published=published)
                pair.append(train(model, half, recipe, seed=2 * seed + place))
                if kind in KEPT:
                    Glyphs(pair[-1], tokenizer).save_pretrained(folder)
            speaker, hearer = pair
            losses = hear(speaker, hearer, held, recipe)
            for name, value in zip(("text", "soft, own table", "soft, speaker's table"), losses, strict=True):
                found.setdefault(f"{kind}: {name}", []).append(value)
            progress(
                f"seed {seed}: {kind}: text {losses[0]:.3f}, soft {losses[1]:.3f}, speaker's table {losses[2]:.3f}"
            )
    by = {name: tuple(values) for name, values in found.items()}

    def exchanged(kind: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return by[f"{kind}: soft, speaker's table"], by[f"{kind}: soft, own table"]

    told = [
        Claim(
            "loss on held-out text: frozen glyphs near a trained table",
            by["glyphs: text"],
            by["trained: text"],
            within=0.07,
        ),
        Claim(
            "loss on held-out text: frozen glyphs near frozen random rows",
            by["glyphs: text"],
            by["random: text"],
            within=0.07,
        ),
        Claim(
            "soft messages in the speaker's vectors near one's own: frozen glyphs", *exchanged("glyphs"), within=0.001
        ),
        Claim("the same: frozen random rows, that all share", *exchanged("random"), within=0.001),
        Claim(
            "soft messages in the speaker's vectors worse than one's own: trained tables",
            *exchanged("trained"),
            least=0.5,
        ),
    ]
    if published is None:
        return told
    return [
        *told,
        Claim(
            "loss on held-out text: the published table near frozen random rows",
            by["published: text"],
            by["random: text"],
            within=0.07,
        ),
        Claim("soft messages, the same: the published table", *exchanged("published"), within=0.001),
    ]


def language_model(kind: str, recipe: Recipe, *, seed: int, published: Tensor | None = None) -> Any:
    """Return a LlamaForCausalLM of characters with random weights on a table of a kind, with a head of its own."""
    from transformers import LlamaConfig, LlamaForCausalLM

    rows = len(SPECIAL) + len(CHARACTERS)
    config = LlamaConfig(
        vocab_size=rows, hidden_size=recipe.width, intermediate_size=2 * recipe.width, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, num_key_value_heads=recipe.heads, max_position_embeddings=recipe.context,
        tie_word_embeddings=False, use_cache=False, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = seeded(lambda: LlamaForCausalLM(config), seed)
    # A trained table starts elsewhere with every seed; the frozen ones are the same for all.
    if kind == "published":
        assert published is not None
        made = published
    elif kind == "glyphs":
        made = glyph_table(recipe.width)
    else:
        made = random_table(recipe.width, rows, seed if kind == "trained" else 0)
    table = model.get_input_embeddings().weight
    table.data.copy_(made)
    table.requires_grad_(kind == "trained")
    return model


def train(model: Any, stream: Tensor, recipe: Recipe, *, seed: int) -> Any:
    """Return the model trained on windows of a stream of token numbers [N]."""
    generator = torch.Generator().manual_seed(seed)
    learned = [weights for weights in model.parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=recipe.learning_rate, weight_decay=0.0)
    model.train()
    for step in range(recipe.steps):
        starts = torch.randint(len(stream) - recipe.window, (recipe.batch,), generator=generator)
        windows = stream[starts[:, None] + torch.arange(recipe.window + 1)]
        loss = surprise(model(windows[:, :-1]).logits, windows[:, 1:])
        train_step(optimiser, loss, model, recipe.learning_rate, step, recipe.steps)
    return model.eval()


def surprise(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean loss in nats of logits [B, T, V] for tokens [B, T]."""
    return functional.cross_entropy(logits.flatten(0, -2), wanted.flatten())


@torch.inference_mode()
def hear(speaker: Any, hearer: Any, held: Tensor, recipe: Recipe) -> tuple[float, float, float]:
    """Return the hearer's loss on text, on the speaker's beliefs over its own table, and on the speaker's vectors.

    The speaker reads the text and believes something of each next character; the hearer gets these beliefs' expectations in
    place of the characters, and foretells the one after.
    """
    ends = torch.linspace(0, len(held) - recipe.window - 2, recipe.heard).long()
    windows = held[ends[:, None] + torch.arange(recipe.window + 2)]
    beliefs = torch.softmax(speaker(windows[:, :-2]).logits, -1)
    wanted = windows[:, 2:]
    text = surprise(hearer(windows[:, 1:-1]).logits, wanted)
    own, foreign = (beliefs @ each.get_input_embeddings().weight for each in (hearer, speaker))
    soft, exchanged = (surprise(hearer(inputs_embeds=vectors).logits, wanted) for vectors in (own, foreign))
    return float(text), float(soft), float(exchanged)
