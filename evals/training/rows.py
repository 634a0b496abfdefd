"""Rows of packed examples: row number i of a stage depends on (seed, stage, i) alone, so a run can go on anywhere."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from evals.training.recipe import Kind
from evals.training.turns import Curriculum, encode

# What the loss leaves out (torch's default).
UNSCORED = -100


class PackedRows(Dataset[dict[str, torch.Tensor]]):
    """Examples one after the other, each with positions from 0, so that transformers keeps their attention apart.

    Only solutions are learned; the last example of a row may be cut.

    Args:
        curriculum: where examples come from.
        tokenizer: the debaters'.
        mixture: kind → weight.
        rows: how many there are.
        tokens: of a row.
        seed: a text that names the run and stage.
    """

    def __init__(
        self,
        curriculum: Curriculum,
        tokenizer: Any,
        *,
        mixture: Mapping[Kind, float],
        rows: int,
        tokens: int,
        seed: str,
    ) -> None:
        self._curriculum, self._tokenizer, self._mixture = curriculum, tokenizer, mixture
        self._rows, self._tokens, self._seed = rows, tokens, seed

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = random.Random(f"{self._seed}|{index}")
        ids: list[int] = []
        positions: list[int] = []
        labels: list[int] = []
        while len(ids) < self._tokens:
            example, shown = encode(self._curriculum.draw(rng, self._mixture), self._tokenizer)
            ids += example
            positions += range(len(example))
            labels += [UNSCORED] * shown + example[shown:]
        row = {"input_ids": ids, "position_ids": positions, "labels": labels}
        return {name: torch.tensor(values[: self._tokens]) for name, values in row.items()}


def collate(rows: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the rows stacked; they are of one length."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
