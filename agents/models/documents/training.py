"""The recipe of readers of documents: tags of labelled receipts, and beside them, of all receipts, what needs no labels.

Lines are shuffled whenever a receipt is looked at, so that nothing but boxes tells their order.

B pages, N lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from agents.errors import ModelError
from agents.models.blocks.words import counted, split
from agents.models.documents.categories import categories_of
from agents.models.documents.config import SPECIAL, DocumentConfig
from agents.models.documents.fields import TAGS
from agents.models.documents.losses import category_loss, collective, order_loss, tag_loss, words_loss
from agents.models.documents.model import DocumentReader, Pages
from agents.models.documents.receipts import Receipt
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step

PRETRAINING = ("order", "category", "words")


@dataclass(frozen=True)
class Recipe:
    """How it is trained: AdamW, one step of tags and, where there are more tasks, of those too, their losses summed.

    Attributes:
        words: that are known, of the commonest.
        steps, batch, rate: of AdamW; `batch` receipts of each kind a step.
        hidden: share of a page's lines whose words are to be said.
        most: lines of a page that are learned from, drawn where it has more.
        weights: task → what its loss counts, 1 where nothing is said.
    """

    words: int = 2000
    steps: int = 240
    batch: int = 6
    rate: float = 2e-3
    hidden: float = 0.15
    most: int = 90
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Receipts as numbers, in an order of lines that is drawn; -100, and of ranks -1, where no line is.

    Attributes:
        pages: of B receipts and N lines.
        tags, categories: [B, N].
        ranks: [B, N], place of each line in its file.
    """

    pages: Pages
    tags: Tensor
    categories: Tensor
    ranks: Tensor


def vocabulary(receipts: Sequence[Receipt], size: int) -> tuple[str, ...]:
    """Return the special words and the commonest of receipts."""
    return (*SPECIAL, *counted((line for each in receipts for line in each.lines), size - len(SPECIAL) + 2)[2:])


def batch_of(
    model: DocumentReader, receipts: Sequence[Receipt], generator: torch.Generator, *, most: int | None = None
) -> Batch:
    """Return receipts as a batch, the lines of each in an order that is drawn, at most so many of them."""
    orders = [torch.randperm(len(each.lines), generator=generator)[:most] for each in receipts]
    pages = model.encode([each.shuffled(order.tolist()) for each, order in zip(receipts, orders, strict=True)])
    size = pages.there.shape
    tags, categories, ranks = torch.full(size, -100), torch.full(size, -100), torch.full(size, -1)
    for row, (each, order) in enumerate(zip(receipts, orders, strict=True)):
        tags[row, : len(order)] = torch.tensor([TAGS.index(tag) for tag in each.tags])[order]
        categories[row, : len(order)] = torch.tensor(categories_of(each.lines, each.boxes))[order]
        ranks[row, : len(order)] = order
    return Batch(pages, tags, categories, ranks)


def pretraining_losses(
    model: DocumentReader, batch: Batch, hidden: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the losses of what needs no labels, of pages of which a share of lines is hidden, one of each at least."""
    there = batch.pages.there
    draw = torch.rand(there.shape, generator=generator).masked_fill(~there, 2.0)
    hides = ((draw < hidden) | (draw == draw.amin(1, keepdim=True))) & there
    states = model(batch.pages.hiding(hides))
    lines = hides.nonzero()
    words = batch.pages.words[hides]
    return {
        "order": order_loss(model.order(states), batch.ranks),
        "category": category_loss(model.categories(states), batch.categories),
        "words": words_loss(model.said(states, there, lines, words), model.wanted(words)),
    }


def train(
    config: DocumentConfig,
    labelled: Sequence[Receipt],
    every: Sequence[Receipt],
    recipe: Recipe,
    *,
    seed: int,
    tasks: Sequence[str] = (),
) -> DocumentReader:
    """Return a trained reader, in eval mode.

    Args:
        config: sizes.
        labelled: receipts whose tags are known.
        every: receipts that the tasks without labels learn from.
        recipe: how.
        seed: of weights, batches, orders of lines and what is hidden; batches of tags are the same with and without more tasks.
        tasks: of `PRETRAINING`.

    Raises:
        ModelError: no receipts.
    """
    if not labelled or not every:
        raise ModelError(
            f"a reader of documents learns from receipts; got {len(labelled)} with labels and {len(every)}"
        )
    model = seeded(lambda: DocumentReader(config), seed)
    of_tags, of_tasks = (torch.Generator().manual_seed(2 * seed + place) for place in range(2))
    weights = tag_weights(labelled)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.01)
    model.train()
    for step in range(recipe.steps):
        batch = batch_of(model, _drawn(labelled, recipe.batch, of_tags), of_tags, most=recipe.most)
        losses = {"tags": tag_loss(model.tags(model(batch.pages)), batch.tags, weights)}
        if tasks:
            more = batch_of(model, _drawn(every, recipe.batch, of_tasks), of_tasks, most=recipe.most)
            found = pretraining_losses(model, more, recipe.hidden, of_tasks)
            losses |= {name: found[name] for name in tasks}
        train_step(optimiser, collective(losses, recipe.weights), model, recipe.rate, step, recipe.steps)
    return model.eval()


def tag_weights(receipts: Sequence[Receipt]) -> Tensor:
    """Return what each tag counts in the loss: one over the square root of how often it is, of mean 1."""
    counts = torch.tensor([1.0 + sum(each.tags.count(tag) for each in receipts) for tag in TAGS])
    weights = counts.rsqrt()
    return weights / weights.mean()


def long_lines(receipts: Sequence[Receipt], longest: int) -> float:
    """Return the share of lines that have more words than are read."""
    lines = [line for each in receipts for line in each.lines]
    return sum(len(split(line)) > longest for line in lines) / len(lines)


def _drawn(receipts: Sequence[Receipt], count: int, generator: torch.Generator) -> list[Receipt]:
    return [receipts[place] for place in torch.randint(len(receipts), (count,), generator=generator).tolist()]
