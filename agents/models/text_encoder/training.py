"""How classifiers of texts are trained on SST-2, whatever their encoder. B batch, E experts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from agents.errors import ModelError
from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.layers import Route
from agents.models.blocks.words import counted
from agents.models.checkpoint import CONFIG
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.models.text_encoder.backend import TextEncoderBackend
from agents.models.text_encoder.config import TextEncoderConfig
from agents.models.text_encoder.model import TextEncoder
from agents.models.text_encoder.sst2 import LABELS, read_sst2
from agents.models.vision.measures import fitted_temperature
from agents.pretrained import Progress

WORDS, HELD = 4000, 500
NEAR = 32
"""Batches among which texts of one length are put together, so that little is padding."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained.

    Attributes:
        steps, batch, learning_rate: of AdamW.
        longest: words of a text that are read.
        balance: α, of the loss that shares tokens out among experts, added over layers.
    """

    steps: int = 400
    batch: int = 64
    learning_rate: float = 1e-3
    longest: int = 48
    balance: float = 0.01


@dataclass(frozen=True)
class Sentences:
    """Texts, and which label each has [n]."""

    texts: tuple[str, ...]
    labels: Tensor

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> "Sentences":
        """Return them of (label, text)."""
        return cls(tuple(text for _, text in pairs), torch.tensor([LABELS.index(label) for label, _ in pairs]))


@dataclass(frozen=True)
class Corpus:
    """SST-2: phrases to train on, sentences to fit temperatures on and to test on, and the words of the first."""

    train: Sentences
    held: Sentences
    test: Sentences
    words: tuple[str, ...]


@cache
def read_corpus(data: Path | None) -> Corpus:
    """Return SST-2 of a folder; the last five hundred whole sentences are held out, with all phrases of them.

    Raises:
        ModelError: it is not there, is damaged, or has no sentence to hold out beside others.
    """
    train, held = held_out(read_sst2(data, "train"), HELD)
    if not train or not held:
        raise ModelError(f"SST-2 in {data} has no texts of which none is part of another: give all of its train.tsv")
    words = counted((text for _, text in train), WORDS)
    return Corpus(Sentences.of(train), Sentences.of(held), Sentences.of(read_sst2(data, "test")), words)


def held_out(pairs: Sequence[tuple[str, str]], count: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return (label, text) to train on, and others, at most half, of which no part is among the former.

    SST-2's phrases are parts of its sentences, in any order: of phrases that are drawn most stand in a text that is learnt.

    Args:
        pairs: (label, text).
        count: of whole sentences, which stand in no other text, the last ones.
    """
    everything = "\n".join(text for _, text in pairs)
    held: list[int] = []
    for place in reversed(range(len(pairs))):
        if len(held) == min(count, len(pairs) // 2):
            break
        text = pairs[place][1]
        if everything.find(text, everything.find(text) + 1) < 0:
            held.append(place)
    inside, chosen = "\n".join(pairs[place][1] for place in held), set(held)
    train = [pair for place, pair in enumerate(pairs) if place not in chosen and pair[1] not in inside]
    return train, [pairs[place] for place in sorted(held)]


def train(model: TextEncoder, sentences: Sentences, recipe: Recipe, *, seed: int) -> TextEncoder:
    """Return the trained model, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    # A router's noise is of torch's own generator.
    noise = int(torch.randint(2**62, (), generator=generator))
    return seeded(lambda: _train(model, sentences, recipe, generator), noise)


def _train(model: TextEncoder, sentences: Sentences, recipe: Recipe, generator: torch.Generator) -> TextEncoder:
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    model.train()
    waiting: list[Tensor] = []
    for step in range(recipe.steps):
        if not waiting:
            drawn = torch.randperm(len(sentences.texts), generator=generator)[: recipe.batch * NEAR]
            lengths = torch.tensor([len(sentences.texts[place]) for place in drawn.tolist()])
            batches = torch.split(drawn[lengths.argsort(stable=True)], recipe.batch)
            waiting = [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]
        chosen = waiting.pop()
        routes: list[Route] = []
        scores = model(model.encode([sentences.texts[place] for place in chosen.tolist()]), routes)
        loss = functional.cross_entropy(scores, sentences.labels[chosen])
        for route in routes:
            loss = loss + recipe.balance * route.balance
        train_step(optimiser, loss, model, recipe.learning_rate, step, recipe.steps)
    return model.eval()


@torch.inference_mode()
def scores_of(model: TextEncoder, texts: Sequence[str], routes: list[list[Route]] | None = None) -> Tensor:
    """Return the scores [n, K] of texts; `routes` gets the routes of each batch."""
    found = []
    for start in range(0, len(texts), 100):
        own: list[Route] = []
        found.append(model(model.encode(texts[start : start + 100]), own))
        if routes is not None:
            routes.append(own)
    return torch.cat(found)


def right(model: TextEncoder, sentences: Sentences) -> float:
    """Return the share of texts whose label it gives the highest score."""
    return float((scores_of(model, sentences.texts).argmax(-1) == sentences.labels).float().mean())


def trained(
    folder: Path, encoder: EncoderConfig, corpus: Corpus, recipe: Recipe, *, seed: int, progress: Progress
) -> TextEncoder:
    """Return the model of a folder; trained and calibrated first where there is none."""
    if not (folder / CONFIG).is_file():
        progress(f"training {folder.name}")
        config = TextEncoderConfig(LABELS, corpus.words, recipe.longest, encoder)
        model = train(seeded(lambda: TextEncoder(config), seed), corpus.train, recipe, seed=seed)
        fitted = fitted_temperature(scores_of(model, corpus.held.texts), corpus.held.labels)
        TextEncoderBackend(model, temperature=fitted).save_pretrained(folder)
    return TextEncoderBackend.from_pretrained(str(folder)).model
