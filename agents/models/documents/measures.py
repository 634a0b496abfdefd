"""How a reader of receipts fares: tags by line, fields by receipt, calibration, order and words. N lines."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.errors import ModelError
from agents.models.blocks.words import padded
from agents.models.documents.fields import FIELDS, TAGS, plain_line
from agents.models.documents.model import DocumentReader
from agents.models.documents.receipts import Receipt
from agents.models.documents.training import batch_of, pretraining_losses
from agents.models.vision.measures import BINS, TEMPERATURES
from agents.observation import Document

Odds = Callable[[Document], Tensor]


@torch.inference_mode()
def macro_f1(model: DocumentReader, receipts: Sequence[Receipt]) -> float:
    """Return the mean over the five tags of F1 by line, 2 tp / (2 tp + fp + fn); 0 of a tag that is neither there nor said."""
    hits, said, there = (Counter[int]() for _ in range(3))
    generator = torch.Generator().manual_seed(0)
    for each in receipts:
        batch = batch_of(model, [each], generator)
        found = model.tags(model(batch.pages)).argmax(-1)[0].tolist()
        wanted = batch.tags[0].tolist()
        said.update(found)
        there.update(wanted)
        hits.update(one for one, other in zip(found, wanted, strict=True) if one == other)
    scores = [2 * hits[tag] / max(said[tag] + there[tag], 1) for tag in range(len(TAGS))]
    return sum(scores) / len(scores)


@dataclass(frozen=True, eq=False)
class Asked:
    """Receipts that are asked for one field.

    Attributes:
        odds: log-odds [Q, N] of their lines, −∞ where none is.
        reads: [Q, N], number of the line, the first that reads like this one.
        right: [Q, N] bool, whether a line that reads like this one states the field.
    """

    odds: Tensor
    reads: Tensor
    right: Tensor

    def said(self, temperature: float) -> tuple[Tensor, Tensor]:
        """Return how probable the best line is believed [Q], those that read alike added up, and whether it is right [Q]."""
        each = torch.softmax(self.odds / temperature, -1)
        sure, best = torch.zeros_like(each).scatter_add(1, self.reads, each).max(-1)
        return sure, self.right.gather(1, best[:, None])[:, 0]


def asked_of(odds: Odds, receipts: Sequence[Receipt]) -> dict[str, Asked]:
    """Return field → what is asked for it, of those receipts of which a line states it; a field that none states is left out.

    Raises:
        ModelError: there is no field at all.
    """
    known = [odds(each.shuffled(range(len(each.lines)))) for each in receipts]
    found = {}
    for place, field in enumerate(FIELDS):
        own = [(each, rows[:, place]) for each, rows in zip(receipts, known, strict=True) if any(each.stated[field])]
        if not own:
            continue
        size = len(own), max(len(each.lines) for each, _ in own)
        table = Asked(torch.full(size, -math.inf).double(), torch.zeros(size).long(), torch.zeros(size).bool())
        for row, (each, column) in enumerate(own):
            lines = [plain_line(line) for line in each.lines]
            stating = {line for line, states in zip(lines, each.stated[field], strict=True) if states}
            table.odds[row, : len(lines)] = column
            table.reads[row, : len(lines)] = torch.tensor([lines.index(line) for line in lines])
            table.right[row, : len(lines)] = torch.tensor([line in stating for line in lines])
        found[field] = table
    if not found:
        raise ModelError(f"no line of {len(receipts)} receipts states a field that their keys have; give more of them")
    return found


def fitted_temperatures(asked: Mapping[str, Asked]) -> tuple[float, ...]:
    """Return the temperature of each field, of a grid from 0.2 to 5, at which the best line is likeliest as right as it says.

    By the log loss of its probability: several lines may state a field, so that the probability of the one that is said is what
    is heard, and what can be held against how often it is right.
    """
    grid: list[float] = torch.logspace(*TEMPERATURES, dtype=torch.float64).tolist()

    def best(table: Asked) -> float:
        def loss(temperature: float) -> float:
            sure, right = table.said(temperature)
            return float(functional.binary_cross_entropy(sure.clamp(0, 1), right.double()))

        return min(grid, key=loss)

    return tuple(best(asked[field]) if field in asked else 1.0 for field in FIELDS)


def calibration_error(asked: Mapping[str, Asked], temperatures: Sequence[float]) -> float:
    """Return the expected calibration error over all fields, in ten bins of equal width (Guo et al., 2017, equation 3)."""
    pairs = zip(FIELDS, temperatures, strict=True)
    parts = [asked[field].said(temperature) for field, temperature in pairs if field in asked]
    sure, right = (torch.cat([part[place] for part in parts]).double() for place in range(2))
    places = (sure * BINS).long().clamp_max(BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64).index_add(0, places, right - sure)
    return float(gaps.abs().sum() / len(sure))


def found_share(asked: Mapping[str, Asked], *fields: str) -> float:
    """Return the share of receipts whose best line states the field, all fields together, or some."""
    right = [asked[field].said(1.0)[1] for field in fields or asked]
    return float(torch.cat(right).double().mean())


@torch.inference_mode()
def order_shares(model: DocumentReader, receipts: Sequence[Receipt]) -> tuple[float, float]:
    """Return the share of pairs of lines told in their order, receipts' mean: by the model, and by the higher middle."""
    generator = torch.Generator().manual_seed(0)
    told, sorted_by_height = [], []
    for each in receipts:
        if len(each.lines) < 2:
            continue
        batch = batch_of(model, [each], generator)
        ranks, boxes = batch.ranks[0], batch.pages.boxes[0]
        first = ranks[:, None] < ranks
        # Each pair once; s_ij and s_ji need not be opposite.
        scores = model.order(model(batch.pages))[0]
        middle = (boxes[:, 1] + boxes[:, 3]) / 2
        upper = torch.ones_like(first).triu(1)
        told.append(((scores - scores.T > 0) == first)[upper].double().mean())
        sorted_by_height.append(((middle[:, None] < middle) == first)[upper].double().mean())
    return float(torch.stack(told).mean()), float(torch.stack(sorted_by_height).mean())


@torch.inference_mode()
def hidden_words(model: DocumentReader, receipts: Sequence[Receipt], hidden: float) -> float:
    """Return the mean log-probability of a word of a hidden line, nats; the same lines are hidden for every model."""
    generator, scale = torch.Generator().manual_seed(0), math.log(len(model.config.words))
    found = [
        pretraining_losses(model, batch_of(model, [each], generator), hidden, generator)["words"] for each in receipts
    ]
    return -scale * float(torch.stack(found).mean())


def common_words(model: DocumentReader, learned: Sequence[Receipt], receipts: Sequence[Receipt]) -> float:
    """Return the mean log-probability of a word of a line, nats, by how common it is in receipts that were learned from.

    Words and the end of a line are counted, one more each; the baseline of `hidden_words`, on all lines.
    """

    def said(each: Sequence[Receipt]) -> Tensor:
        rows = padded([model.vocabulary.numbers(line, model.config.longest) for one in each for line in one.lines])
        wanted = model.wanted(rows)
        return wanted[wanted >= 0]

    counts = torch.bincount(said(learned), minlength=len(model.config.words)).double() + 1
    return float((counts / counts.sum()).log()[said(receipts)].mean())
