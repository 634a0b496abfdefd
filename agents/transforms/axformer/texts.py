"""Texts by which a change is accepted, others by which it is told, and which of their tokens count. B rows, T positions."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.errors import ConfigError
from agents.transforms.calibration import OWN, Rows, calibration_rows, drawn_texts, filled
from agents.transforms.subject import Subject


@dataclass(frozen=True)
class Texts:
    """Texts, and what of them is to be foretold.

    Attributes:
        ids: [B, T] int64.
        is_text: [B, T] bool, False where a row is filled up.
        counted: [B, T] bool, a token at least in each row, and never the first.
    """

    ids: Tensor
    is_text: Tensor
    counted: Tensor

    def at(self, places: Tensor) -> "Texts":
        """Return some of them."""
        return Texts(self.ids[places], self.is_text[places], self.counted[places])


def split_texts(
    subject: Subject, source: str, *, rows: int, untouched: int, length: int, seed: int, after: str
) -> tuple[Texts, Texts]:
    """Return texts that changes are accepted by, and others, none of which is among the former.

    Args:
        subject: the model whose tokenizer reads them.
        source, length, seed: see `calibration_rows`.
        rows: of the former.
        untouched: of the latter, those that are among the former left out.
        after: only tokens behind the last of these words in a text count; empty: all but the first.

    Raises:
        ConfigError: texts that cannot be had, in which nothing counts, or of which none is left untouched.
    """
    if untouched < 1:
        raise ConfigError(f"axformer: untouched is how many texts tell what a search fits, at least 1; got {untouched}")
    made = _texts(subject, source, rows + untouched, length, seed, after)
    if bool((empty := ~made.counted.any(1)).any()):
        raise ConfigError(
            f"axformer: {int(empty.sum())} of {len(empty)} texts of {source} have nothing to foretell in their first {length} "
            "tokens; raise length, or take other texts"
        )
    seen = {tuple(row.tolist()) for row in made.ids[:rows]}
    others = [row for row in range(rows, len(made.ids)) if tuple(made.ids[row].tolist()) not in seen]
    if not others:
        raise ConfigError(f"axformer: every untouched text of {source} is among those that changes are accepted by")
    return made.at(torch.arange(rows)), made.at(torch.tensor(others))


def _texts(subject: Subject, source: str, rows: int, length: int, seed: int, after: str) -> Texts:
    if not after:
        found = calibration_rows(subject, source, rows=rows, length=length, seed=seed)
        return _counting(found, torch.ones(rows, dtype=torch.long))
    if source == OWN:
        raise ConfigError(
            f"axformer: after is of given texts; a model's own have no {after!r}. Leave it out, or name other texts"
        )
    # What a source, its size and a seed may be is said there.
    calibration_rows(subject, source, rows=rows, length=length, seed=seed)
    encoded, first = [], []
    for text in drawn_texts(source, rows=rows, seed=seed):
        start = text.rfind(after)
        if start < 0:
            raise ConfigError(f"axformer: a text of {source} has no {after!r}: {text[:60]!r}")
        ids, places = _with_places(subject.tokenizer, text)
        if subject.tokenizer.eos_token_id is not None:
            ids, places = [*ids, subject.tokenizer.eos_token_id], [*places, len(text)]
        encoded.append(ids[:length])
        behind = start + len(after)
        first.append(max(1, next((number for number, place in enumerate(places) if place >= behind), len(ids))))
    return _counting(filled(subject, encoded, source), torch.tensor(first))


def _counting(rows: Rows, first: Tensor) -> Texts:
    """Return texts whose tokens count from one on [B]."""
    return Texts(rows.ids, rows.is_text, rows.is_text & (torch.arange(rows.ids.shape[1]) >= first[:, None]))


def _with_places(tokenizer: Any, text: str) -> tuple[list[int], list[int]]:
    """Return a text's tokens, and where in it each begins."""
    if not tokenizer.is_fast:
        raise ConfigError(
            "axformer: after needs a tokenizer that says where its tokens stand (tokenizer.json); leave it out"
        )
    found = tokenizer(text, return_offsets_mapping=True)
    return list(found.input_ids), [start for start, _ in found.offset_mapping]
