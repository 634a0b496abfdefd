"""Rows of packed examples: row number i of a stage depends on (seed, stage, i) alone, so a run can go on anywhere."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from evals.training.recipe import Kind
from evals.training.turns import Drawer, encode

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
        width: of the vectors that prompts may hold, D; 0 where they hold none. With it a row has `vectors` [tokens, D] and
            `heard` [tokens], where one stands in place of a token's embedding.
    """

    def __init__(
        self,
        curriculum: Drawer,
        tokenizer: Any,
        *,
        mixture: Mapping[Kind, float],
        rows: int,
        tokens: int,
        seed: str,
        width: int = 0,
    ) -> None:
        self._curriculum, self._tokenizer, self._mixture = curriculum, tokenizer, mixture
        self._rows, self._tokens, self._seed, self._width = rows, tokens, seed, width

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = random.Random(f"{self._seed}|{index}")
        ids: list[int] = []
        positions: list[int] = []
        labels: list[int] = []
        vectors, heard = torch.zeros(self._tokens, self._width), torch.zeros(self._tokens, dtype=torch.bool)
        while len(ids) < self._tokens:
            example, shown, messages = encode(self._curriculum.draw(rng, self._mixture), self._tokenizer)
            for start, message in messages:
                place = slice(len(ids) + start, len(ids) + start + len(message))
                vectors[place] = message[: max(0, self._tokens - place.start)].float()
                heard[place] = True
            ids += example
            positions += range(len(example))
            labels += [UNSCORED] * shown + example[shown:]
        row = {"input_ids": ids, "position_ids": positions, "labels": labels}
        found = {name: torch.tensor(values[: self._tokens]) for name, values in row.items()}
        return found | ({"vectors": vectors, "heard": heard} if self._width else {})


def embedded(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch for the model: where vectors are heard, they stand in place of the embeddings of tokens."""
    if "heard" not in batch:
        return batch
    rest = {name: tensor for name, tensor in batch.items() if name not in ("input_ids", "vectors", "heard")}
    looked_up = model.get_input_embeddings()(batch["input_ids"])
    return {**rest, "inputs_embeds": torch.where(batch["heard"][..., None], batch["vectors"].to(looked_up), looked_up)}


def collate(rows: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the rows stacked; they are of one length."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
