"""A trained program as what it is: predicates, lookup tables and a table of scores; it runs, and is written out as Python.

Nothing here is a tensor. `run` is the definition that the emitted source repeats line by line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch

from agents.models.transformer_programs.config import ProgramConfig
from agents.models.transformer_programs.model import Block, Counting, Selecting, SoftProgram, Table


@dataclass(frozen=True)
class Head:
    """Which variables a head reads, and which key value each query value matches.

    Attributes:
        query, key: variables that are compared.
        predicate: query value → the key value that it matches.
        value: what is selected, or added up; of a head that counts positions nothing.
    """

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

    Attributes:
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
        return self.config.read(text)

    def run(self, words: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Return every variable's value and every count at every position."""
        places = [self._places[word] for word in words]
        values = {f"word_{e}": [self.embeddings[p][e] for p in places] for e in range(self.config.embeddings)}
        values["position"] = list(range(len(words)))
        counts = {"one": [1] * len(words)}
        for number, layer in enumerate(self.layers):
            read, had = dict(values), dict(counts)
            for place, head in enumerate(layer.selecting):
                chosen = select_closest(read[head.query], read[head.key], head.predicate)
                values[f"selected_{number}_{place}"] = [read[head.value][j] for j in chosen]
            for place, head in enumerate(layer.counting):
                wanted = [head.predicate[query] for query in read[head.query]]
                added = had[head.value] if head.value else had["one"]
                counts[f"count_{number}_{place}"] = [
                    sum(count for key, count in zip(read[head.key], added, strict=True) if key == each)
                    for each in wanted
                ]
            seen = dict(values)
            for place, table in enumerate(layer.tables):
                pairs = zip(seen[table.first], seen[table.second], strict=True)
                values[f"table_{number}_{place}"] = [table.table[a][b] for a, b in pairs]
            for place, table in enumerate(layer.count_tables):
                pairs = zip(counts[table.first], counts[table.second], strict=True)
                values[f"count_table_{number}_{place}"] = [table.table[a][b] for a, b in pairs]
        return values, counts

    def label_scores(self, words: Sequence[str]) -> list[float]:
        """Return the score of each label: the mean over positions of what the variables add (see `ProgramConfig.pooled`)."""
        total = [0.0] * len(self.config.labels)
        for _, _, _, added in self._added(words):
            total = [a + b for a, b in zip(total, added, strict=True)]
        return [each / (self.config.pooled or len(words)) for each in total]

    def reasons(self, words: Sequence[str], label: int, count: int = 3) -> list[str]:
        """Return what adds most to a label's score, in words; exactly what is computed, not an approximation of it."""
        ranked = sorted(self._added(words), key=lambda each: -each[3][label])[:count]
        return [
            f"{name} is {value} at {words[place]!r} ({added[label] / (self.config.pooled or len(words)):+.2f})"
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
        selecting = _heads(block.selecting, values, values)
        counting = () if block.counting is None else _heads(block.counting, values, counts)
        values += [f"selected_{number}_{place}" for place in range(config.categorical_heads)]
        counts += [f"count_{number}_{place}" for place in range(config.counting_heads)]
        one_hot = torch.eye(config.values)
        numbers = torch.arange(config.most(number) + 1.0)[:, None]
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


def _heads(heads: Selecting | Counting, names: Sequence[str], read: Sequence[str]) -> tuple[Head, ...]:
    """Return heads that compare the named variables, and read one of others."""
    compared = [heads.query.chosen.tolist(), heads.key.chosen.tolist()]
    values = [None] * len(compared[0]) if heads.value is None else heads.value.chosen.tolist()
    predicates = heads.predicate.chosen.tolist()
    return tuple(
        Head(names[query], names[key], tuple(predicate), "" if value is None else read[value])
        for query, key, value, predicate in zip(*compared, values, predicates, strict=True)
    )


def _lookup(table: Table, names: Sequence[str], inputs: torch.Tensor) -> Lookup:
    size = len(inputs)
    first = inputs[:, None].expand(-1, size, -1)
    second = inputs[None].expand(size, -1, -1)
    found = table.scores(first, second).argmax(-1).tolist()
    return Lookup(names[int(table.first.chosen)], names[int(table.second.chosen)], tuple(map(tuple, found)))
