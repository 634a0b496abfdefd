"""A transformer whose discrete parts are soft while it is trained, and hard afterwards (Friedman et al., 2023, section 3).

The residual stream is a list of named variables: categorical ones (one-hot, `values` values) and counts. Every head and
table reads whole variables through a gate that chooses one; what it writes is appended as a new variable, never added.
Choices are Gumbel-softmax while training, at a temperature that falls, and argmax afterwards. The equations, the fixed bias
to the closest match (itself last, the left before the right) and the default to the beginning follow the paper's code
(github princeton-nlp/TransformerPrograms, src/models/programs.py). Labels are the mean over a text's words of a linear classifier
over all variables; the paper's code divides by the length of the longest text (`pooled`), which scales scores and orders no
labels otherwise.

B texts, N positions, C categorical variables, M counts, d values, H heads.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.transformer_programs.config import ProgramConfig

HIGHEST, LOWEST = 3.0, 0.01
"""Temperatures at which training begins and ends."""


class Choice(nn.Module):
    """A learned choice along the last axis: a sample of a Gumbel-softmax in training, one-hot otherwise."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.randn(*shape) / math.sqrt(shape[-1]))

    def forward(self, temperature: float) -> Tensor:
        """Return weights that sum to 1 along the last axis."""
        return choose(self.scores, temperature, is_training=self.training)

    @property
    def chosen(self) -> Tensor:
        """The place of the best along the last axis."""
        return self.scores.argmax(-1)


def choose(scores: Tensor, temperature: float, *, is_training: bool) -> Tensor:
    """Return weights along the last axis: a sample of a Gumbel-softmax, or the best one-hot."""
    if is_training:
        return functional.gumbel_softmax(scores, tau=temperature, dim=-1)
    return functional.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)


def closeness(positions: int, longest: int) -> Tensor:
    """Return the bias [N, N] of a query (row) to keys: the nearer the higher, left before right, itself last."""
    offset = torch.arange(positions)[None] - torch.arange(positions)[:, None]
    rank = 2 * (offset.abs() - 1) + (offset > 0)
    return torch.where(offset == 0, -2.0, -rank / (2.0 * longest))


class Heads(nn.Module):
    """Attention heads that compare variables by a predicate: each query value matches exactly one key value."""

    def __init__(self, heads: int, variables: int, values: int) -> None:
        super().__init__()
        self.query, self.key = Choice(heads, variables), Choice(heads, variables)
        self.predicate = Choice(heads, values, values)

    def matches(self, categorical: Tensor, is_there: Tensor, temperature: float) -> Tensor:
        """Return how far each query matches each key [B, H, N, N], 0 where no word stands."""
        query = torch.einsum("bncd,hc->bhnd", categorical, self.query(temperature))
        key = torch.einsum("bncd,hc->bhnd", categorical, self.key(temperature))
        found = torch.einsum("bhqd,hde,bhke->bhqk", query, self.predicate(temperature), key)
        return found.masked_fill(~is_there[:, None, None, :], 0.0)


class Selecting(Heads):
    """Heads that select a value: of the closest match, or of the first position where nothing matches."""

    def __init__(self, heads: int, variables: int, values: int) -> None:
        super().__init__(heads, variables, values)
        self.value = Choice(heads, variables)
        self.scale = math.sqrt(values)

    def forward(self, categorical: Tensor, is_there: Tensor, temperature: float) -> Tensor:
        """Return the selected values [B, N, H, d]."""
        found = self.matches(categorical, is_there, temperature)
        total = found.sum(-1)
        missing = functional.relu(1.0 - total / (total + 1e-10))
        found = torch.cat([found[..., :1] + missing[..., None], found[..., 1:]], dim=-1)
        positions, longest = found.shape[-1], categorical.shape[-1]
        scores = (found + 1e-20).log() + closeness(positions, longest)
        scores = scores.masked_fill(~is_there[:, None, None, :], -1e30) / self.scale
        weights = choose(scores, temperature, is_training=self.training)
        value = torch.einsum("bncd,hc->bhnd", categorical, self.value(temperature))
        return torch.einsum("bhqk,bhkd->bqhd", weights, value)


class Counting(Heads):
    """Heads that count their matches, or add up a count that these have: the paper's numerical heads.

    Args:
        heads, variables, values: as of `Heads`.
        counts: how many counts there are to choose from; 0 where the positions are counted (the paper's `selector_width`).
    """

    def __init__(self, heads: int, variables: int, values: int, counts: int = 0) -> None:
        super().__init__(heads, variables, values)
        self.value = Choice(heads, counts) if counts else None

    def forward(self, categorical: Tensor, counts: Tensor, is_there: Tensor, temperature: float) -> Tensor:
        """Return the counts [B, N, H], of counts so far [B, N, M]."""
        found = self.matches(categorical, is_there, temperature)
        if self.value is None:
            return found.sum(-1).transpose(1, 2)
        added = torch.einsum("bnm,hm->bhn", counts, self.value(temperature))
        return torch.einsum("bhqk,bhk->bqh", found, added)


class Table(nn.Module):
    """A network of two variables that becomes a lookup table: reads them, and writes one categorical variable."""

    def __init__(self, variables: int, width: int, values: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = Choice(variables), Choice(variables)
        self.inner, self.outer = nn.Linear(2 * width, hidden), nn.Linear(hidden, values)

    def scores(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the score of each value [..., d] for two inputs [..., width]."""
        found: Tensor = self.outer(functional.relu(self.inner(torch.cat([first, second], -1)))).log_softmax(-1)
        return found

    def forward(self, variables: Tensor, temperature: float) -> Tensor:
        """Return the value [B, N, d] for variables [B, N, variables, width]."""
        first = torch.einsum("bncd,c->bnd", variables, self.first(temperature))
        second = torch.einsum("bncd,c->bnd", variables, self.second(temperature))
        return choose(self.scores(first, second), temperature, is_training=self.training)


class Block(nn.Module):
    """Selecting and counting heads, then tables over values and over counts; everything is appended."""

    def __init__(self, config: ProgramConfig, categorical: int, counts: int) -> None:
        super().__init__()
        self.selecting = Selecting(config.categorical_heads, categorical, config.values)
        self.counting = (
            Counting(config.counting_heads, categorical, config.values, counts if config.sums else 0)
            if config.counting_heads
            else None
        )
        read = categorical + config.categorical_heads
        self.tables = nn.ModuleList(
            Table(read, config.values, config.values, config.hidden) for _ in range(config.categorical_tables)
        )
        self.count_tables = nn.ModuleList(
            Table(counts + config.counting_heads, 1, config.values, config.hidden)
            for _ in range(config.counting_tables)
        )

    def forward(
        self, categorical: Tensor, counts: Tensor, is_there: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Return both kinds of variables [B, N, C, d] and [B, N, M] with what was appended."""
        selected = self.selecting(categorical, is_there, temperature)
        if self.counting is not None:
            counts = torch.cat([counts, self.counting(categorical, counts, is_there, temperature)], 2)
        categorical = torch.cat([categorical, selected], 2)
        written = [table(categorical, temperature) for table in self.tables]
        written += [table(counts[..., None], temperature) for table in self.count_tables]
        return torch.cat([categorical, *(each[:, :, None] for each in written)], 2), counts


class SoftProgram(nn.Module):
    """What is trained; in eval mode it computes exactly what its program does."""

    def __init__(self, config: ProgramConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Choice(len(config.words), config.embeddings, config.values)
        per_block = config.categorical_heads + config.categorical_tables + config.counting_tables
        self.blocks = nn.ModuleList(
            Block(config, config.embeddings + 1 + i * per_block, 1 + i * config.counting_heads)
            for i in range(config.layers)
        )
        categorical = config.embeddings + 1 + config.layers * per_block
        counts = 1 + config.layers * config.counting_heads
        self.classifier = nn.Parameter(
            torch.randn(categorical, config.values, len(config.labels)) / math.sqrt(categorical)
        )
        self.count_classifier = nn.Parameter(
            torch.randn(counts, len(config.labels)) / math.sqrt(counts) / config.values
        )
        self.temperature = LOWEST

    def forward(self, words: Tensor) -> Tensor:
        """Return the scores of the labels [B, K] for words [B, N], padded with 0."""
        is_there = words != 0
        embedded = functional.embedding(words, self.embedding(self.temperature).flatten(1))
        categorical = embedded.reshape(*words.shape, self.config.embeddings, self.config.values)
        places = functional.one_hot(torch.arange(words.shape[1]), self.config.values).to(categorical.dtype)
        categorical = torch.cat([categorical, places[None, :, None].expand(len(words), -1, -1, -1)], 2)
        counts = torch.ones(*words.shape, 1, dtype=categorical.dtype)
        for block in self.blocks:
            categorical, counts = block(categorical, counts, is_there, self.temperature)
        scores = torch.einsum("bncd,cdk->bnk", categorical, self.classifier)
        scores = scores + torch.einsum("bnm,mk->bnk", counts, self.count_classifier)
        there = is_there[..., None].to(scores.dtype)
        return (scores * there).sum(1) / (self.config.pooled or there.sum(1))
