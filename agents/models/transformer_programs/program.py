"""A trained program as what it is: predicates, lookup tables and a table of scores; it runs, and is written out as Python.

Nothing here is a tensor. `run` is the definition that the emitted source repeats line by line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch

from agents.models.transformer_programs.config import BOS, UNKNOWN, ProgramConfig
from agents.models.transformer_programs.model import Block, Heads, Selecting, SoftProgram, Table

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Head:
    """Which variables a head reads, and which key value each query value matches."""

    query: str
    key: str
    predicate: tuple[int, ...]
    value: str = ""


@dataclass(frozen=True)
class Lookup:
    """Which two variables a table reads, and what it gives: by value and value, or by count and count."""

    first: str
    second: str
    table: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Layer:
    """The heads and tables of one block, in the order in which their outputs are named."""

    selecting: tuple[Head, ...]
    counting: tuple[Head, ...]
    tables: tuple[Lookup, ...]
    count_tables: tuple[Lookup, ...]


@dataclass(frozen=True)
class Program:
    """Everything that decides.

    Fields:
        config: its sizes, words and labels.
        embeddings: of each word, its values.
        layers: what is computed.
        scores: variable → value → score of each label.
        count_scores: count → score of each label for each one counted.
    """

    config: ProgramConfig
    embeddings: tuple[tuple[int, ...], ...]
    layers: tuple[Layer, ...]
    scores: dict[str, tuple[tuple[float, ...], ...]]
    count_scores: dict[str, tuple[float, ...]]

    def words(self, text: str) -> list[str]:
        """Return a text as the program reads it: BOS and its words, unknown ones as such, no more than it has positions."""
        known = self._places
        said = [BOS, *(word if word in known else UNKNOWN for word in split(text))]
        return said[: self.config.values]

    def run(self, words: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Return every variable's value and every count at every position."""
        places = [self._places[word] for word in words]
        values = {f"word_{e}": [self.embeddings[p][e] for p in places] for e in range(self.config.embeddings)}
        values["position"] = list(range(len(words)))
        counts = {"one": [1] * len(words)}
        for number, layer in enumerate(self.layers):
            read = dict(values)
            for place, head in enumerate(layer.selecting):
                chosen = select_closest(read[head.query], read[head.key], head.predicate)
                values[f"selected_{number}_{place}"] = [read[head.value][j] for j in chosen]
            for place, head in enumerate(layer.counting):
                wanted = [head.predicate[query] for query in read[head.query]]
                counts[f"count_{number}_{place}"] = [read[head.key].count(key) for key in wanted]
            seen = dict(values)
            for place, table in enumerate(layer.tables):
                pairs = zip(seen[table.first], seen[table.second], strict=True)
                values[f"table_{number}_{place}"] = [table.table[a][b] for a, b in pairs]
            for place, table in enumerate(layer.count_tables):
                pairs = zip(counts[table.first], counts[table.second], strict=True)
                values[f"count_table_{number}_{place}"] = [table.table[a][b] for a, b in pairs]
        return values, counts

    def label_scores(self, words: Sequence[str]) -> list[float]:
        """Return the score of each label: the mean over positions of what the variables add."""
        total = [0.0] * len(self.config.labels)
        for _, _, _, added in self._added(words):
            total = [a + b for a, b in zip(total, added, strict=True)]
        return [each / len(words) for each in total]

    def reasons(self, words: Sequence[str], label: int, count: int = 3) -> list[str]:
        """Return what adds most to a label's score, in words; exactly what is computed, not an approximation of it."""
        ranked = sorted(self._added(words), key=lambda each: -each[3][label])[:count]
        return [
            f"{name} is {value} at {words[place]!r} ({added[label] / len(words):+.2f})"
            for name, value, place, added in ranked
        ]

    def _added(self, words: Sequence[str]) -> list[tuple[str, int, int, tuple[float, ...]]]:
        values, counts = self.run(words)
        found = [
            (name, value, place, self.scores[name][value])
            for name, column in values.items()
            for place, value in enumerate(column)
        ]
        for name, column in counts.items():
            for place, value in enumerate(column):
                found.append((name, value, place, tuple(value * score for score in self.count_scores[name])))
        return found

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.config.words)}


def split(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in lower case."""
    return _WORD.findall(text.lower())


def select_closest(queries: Sequence[int], keys: Sequence[int], predicate: Sequence[int]) -> list[int]:
    """Return which position each query selects: the closest match, left before right, itself last; the first of none."""
    chosen = []
    for place, query in enumerate(queries):
        matches = [j for j, key in enumerate(keys) if key == predicate[query]]
        others = [j for j in matches if j != place]
        chosen.append(min(others, key=lambda j: (abs(j - place), j)) if others else place if matches else 0)
    return chosen


@torch.inference_mode()
def harden(model: SoftProgram) -> Program:
    """Return the program of a trained model: every choice by argmax, every network as the table of all its inputs."""
    config = model.config
    values = [*(f"word_{e}" for e in range(config.embeddings)), "position"]
    counts = ["one"]
    layers = []
    for number, block in enumerate(cast(list[Block], list(model.blocks))):
        selecting = _heads(block.selecting, values)
        counting = () if block.counting is None else _heads(block.counting, values)
        values += [f"selected_{number}_{place}" for place in range(config.categorical_heads)]
        counts += [f"count_{number}_{place}" for place in range(config.counting_heads)]
        one_hot = torch.eye(config.values)
        numbers = torch.arange(config.values + 1.0)[:, None]
        tables = tuple(_lookup(cast(Table, table), values, one_hot) for table in block.tables)
        count_tables = tuple(_lookup(cast(Table, table), counts, numbers) for table in block.count_tables)
        values += [f"table_{number}_{place}" for place in range(config.categorical_tables)]
        values += [f"count_table_{number}_{place}" for place in range(config.counting_tables)]
        layers.append(Layer(selecting, counting, tables, count_tables))
    return Program(
        config,
        tuple(map(tuple, model.embedding.chosen.tolist())),
        tuple(layers),
        {name: tuple(map(tuple, rows)) for name, rows in zip(values, model.classifier.tolist(), strict=True)},
        {name: tuple(row) for name, row in zip(counts, model.count_classifier.tolist(), strict=True)},
    )


def _heads(heads: Heads, names: Sequence[str]) -> tuple[Head, ...]:
    read = [heads.query.chosen.tolist(), heads.key.chosen.tolist()]
    read.append(heads.value.chosen.tolist() if isinstance(heads, Selecting) else [None] * len(read[0]))
    predicates = heads.predicate.chosen.tolist()
    return tuple(
        Head(names[query], names[key], tuple(predicate), "" if value is None else names[value])
        for query, key, value, predicate in zip(*read, predicates, strict=True)
    )


def _lookup(table: Table, names: Sequence[str], inputs: torch.Tensor) -> Lookup:
    size = len(inputs)
    first = inputs[:, None].expand(-1, size, -1)
    second = inputs[None].expand(size, -1, -1)
    found = table.scores(first, second).argmax(-1).tolist()
    return Lookup(names[int(table.first.chosen)], names[int(table.second.chosen)], tuple(map(tuple, found)))
