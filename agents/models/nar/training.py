"""The recipe: lines of Shakespeare without their vowels, and what the lines were, said all at once.

A masked model of characters learns whole lines. Then pairs are learned, two thousand of them, by a model that begins as it, by
one whose encoder alone does, and by one of random weights. Lines to measure on are unseen by all.

Expected before the run: begun as the masked model it gets more characters right, by 5 points or more, since the decoder knows
which letters follow each other before it has learned to listen; most of that is the decoder's, so that it is above the model
whose encoder alone was begun so as well, by 2 points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.encoder import Encoder
from agents.models.blocks.masked import MaskedEncoder
from agents.models.blocks.words import padded
from agents.models.glyphs.table import SPECIAL, character_tokenizer
from agents.models.glyphs.text import HELD_OUT, read_text
from agents.models.nar.model import NonAutoregressive
from agents.models.seeded import seeded
from agents.models.sentences.masking import masked
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress

KINDS = ("masked", "encoder", "scratch")
VOWELS = frozenset("aeiouAEIOU")
START = 1
M = TypeVar("M", bound=nn.Module)
Loss = Callable[[list[str], torch.Generator], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper begins with XLM-R and translates."""

    width: int = 64
    layers: int = 3
    heads: int = 4
    hidden: int = 128
    shortest: int = 12
    longest: int = 40
    """Characters of a line; a source has a start before it."""
    pairs: int = 2000
    masked_steps: int = 700
    steps: int = 300
    batch: int = 32
    rate: float = 2e-3
    measured: int = 400


@dataclass(frozen=True)
class Measured:
    """What was found of unseen lines.

    Attributes:
        log_probability: of a character, in nats, where the length is given.
        right: share of characters that are right, where the length is given.
        lengths: share of lengths that are right.
    """

    log_probability: float
    right: float
    lengths: float


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what it is worth to begin as a masked language model at our size; models are kept under `out`.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of tinyshakespeare.
        progress: told of each step that takes time.
    """
    recipe, tokenizer = Recipe(), character_tokenizer()
    text = read_text(data)
    held = int(HELD_OUT * len(text))
    learned, unseen = (lines_of(part, recipe) for part in (text[:-held], text[-held:]))
    found: dict[str, list[Measured]] = {kind: [] for kind in KINDS}
    for seed in range(seeds):
        how = {"lines": learned, "tokenizer": tokenizer, "recipe": recipe, "seed": seed}
        plain = masked_model(recipe, len(tokenizer), seed)
        begun = of_folder(out / f"mlm-{seed}", plain, partial(train_masked, **how))
        for kind, measures in found.items():
            model = build(kind, recipe, len(tokenizer), begun, seed)
            model = of_folder(out / f"{kind}-{seed}", model, partial(train, **how))
            measures.append(measured(model, unseen[:: max(1, len(unseen) // recipe.measured)], tokenizer))
            progress(f"seed {seed}: {kind}: {measures[-1]}")

    def rows(kind: str, name: str) -> tuple[float, ...]:
        return tuple(getattr(one, name) for one in found[kind])

    return [
        Claim("characters right: begun as a masked model, above random weights", rows("masked", "right"),
              rows("scratch", "right"), least=0.05),
        Claim("the same: above an encoder alone that was begun so", rows("masked", "right"), rows("encoder", "right"),
              least=0.02),
        Claim("log p of a character, nats: begun as a masked model, above random weights", rows("masked", "log_probability"),
              rows("scratch", "log_probability"), least=0.1),
        Claim("lengths right: begun as a masked model, above random weights", rows("masked", "lengths"),
              rows("scratch", "lengths"), least=0.0),
    ]  # fmt: skip


def lines_of(text: str, recipe: Recipe) -> list[str]:
    """Return the lines of a text that are as long as asked for, with a consonant in each."""
    lines = (line.strip() for line in text.split("\n"))
    return [line for line in lines if recipe.shortest <= len(line) <= recipe.longest and set(line) - VOWELS]


def masked_model(recipe: Recipe, rows: int, seed: int) -> MaskedEncoder:
    """Return a masked model with random weights; the row behind the tokenizer's is the mask's."""
    return seeded(lambda: MaskedEncoder(rows + 1, recipe.longest + 1, Encoder(_blocks(recipe))), seed)


def build(kind: str, recipe: Recipe, rows: int, begun: MaskedEncoder, seed: int) -> NonAutoregressive:
    """Return a model that begins as a masked one, whose encoder alone does, or that has random weights."""
    model = seeded(lambda: NonAutoregressive(rows + 1, recipe.longest + 1, _blocks(recipe)), seed)
    if kind == "masked":
        model.begin_with(begun)
    elif kind == "encoder":
        model.source.load_state_dict(begun.state_dict())
    return model


def of_folder(folder: Path, model: M, train: Callable[[M], M]) -> M:
    """Return a model with the weights of a folder, trained first where there are none."""
    path = folder / "model.safetensors"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        save_file(train(model).state_dict(), path)
    model.load_state_dict(load_file(path))
    return model.eval()


def train_masked(model: MaskedEncoder, lines: list[str], tokenizer: Any, recipe: Recipe, seed: int) -> MaskedEncoder:
    """Return a masked model trained on lines."""
    special, mask = torch.arange(len(SPECIAL)), len(tokenizer)

    def loss(chosen: list[str], generator: torch.Generator) -> Tensor:
        tokens, there = encoded(chosen, tokenizer)
        shown, wanted = masked(tokens, special, mask, len(tokenizer), generator)
        asked = wanted != -100
        return functional.cross_entropy(model.scores(model.states(shown, there)[asked]), wanted[asked])

    _learn(model, lines, loss, recipe, recipe.masked_steps, seed)
    return model.eval()


def train(model: NonAutoregressive, lines: list[str], tokenizer: Any, recipe: Recipe, seed: int) -> NonAutoregressive:
    """Return a model trained on pairs, lines spread over those that a masked model learned."""

    def loss(chosen: list[str], generator: torch.Generator) -> Tensor:
        return model.loss(*paired(chosen, tokenizer))

    few = lines[:: max(1, len(lines) // recipe.pairs)]
    _learn(model, few, loss, recipe, recipe.steps, seed)
    return model.eval()


def _learn(model: nn.Module, lines: list[str], loss: Loss, recipe: Recipe, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.01)
    model.train()
    for step in range(steps):
        chosen = [lines[place] for place in torch.randint(len(lines), (recipe.batch,), generator=generator).tolist()]
        train_step(optimiser, loss(chosen, generator), model, recipe.rate, step, steps)


def without_vowels(line: str) -> str:
    """Return what is left of a line."""
    return "".join(letter for letter in line if letter not in VOWELS)


def encoded(lines: list[str], tokenizer: Any, *, starts: bool = False) -> tuple[Tensor, Tensor]:
    """Return token numbers [B, T] of lines, a start before each if asked, and which are no padding."""
    tokens = padded([[*([START] if starts else []), *tokenizer(line)["input_ids"]] for line in lines])
    return tokens, tokens != 0


def paired(lines: list[str], tokenizer: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return sources [B, S], which of their tokens are there, targets [B, T] and their lengths [B]."""
    targets, there = encoded(lines, tokenizer)
    return *encoded([without_vowels(line) for line in lines], tokenizer, starts=True), targets, there.sum(1)


@torch.inference_mode()
def measured(model: NonAutoregressive, lines: list[str], tokenizer: Any) -> Measured:
    """Return what is found of lines; in the figures of characters their own lengths are given."""
    sources, there, targets, lengths = paired(lines, tokenizer)
    memory, foretold = model.read(sources, there)
    scores = model.believe(memory, there, lengths)
    own = torch.arange(targets.shape[1]) < lengths[:, None]
    right = (scores.argmax(-1) == targets)[own].double().mean()
    surprise = functional.cross_entropy(scores[own], targets[own])
    return Measured(-float(surprise), float(right), float((foretold.argmax(-1) == lengths).double().mean()))


def _blocks(recipe: Recipe) -> EncoderConfig:
    return EncoderConfig(recipe.width, recipe.layers, recipe.heads, recipe.width // recipe.heads, recipe.hidden)
