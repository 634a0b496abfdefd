"""Parkinson's telemonitoring (Tsanas et al., 2010; UCI 189): 16 measures of a voice, 42 people, their UPDRS in grades.

Three channels of one recording are stand-ins for three modalities: how regular the pitch is (jitter), how regular the loudness
(shimmer), and noise and disorder. Recordings of one person are alike, so that people, never recordings, are divided: by
recordings, neighbours of one voice would stand on both sides, and a classifier would know who speaks.

n recordings, F columns.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from agents.errors import ModelError
from agents.models.fusion.config import FusionConfig

FILE = "parkinsons_updrs.csv"
GRADES = ("1", "2", "3", "4")
BORDERS = (20.0, 28.0, 36.0)
"""Of the total UPDRS, between grades; fixed before anything was trained, by where the 42 people lie."""
CHANNELS = {
    "pitch": ("Jitter(%)", "Jitter(Abs)", "Jitter:RAP", "Jitter:PPQ5", "Jitter:DDP"),
    "loudness": ("Shimmer", "Shimmer(dB)", "Shimmer:APQ3", "Shimmer:APQ5", "Shimmer:APQ11", "Shimmer:DDA"),
    "noise": ("NHR", "HNR", "RPDE", "DFA", "PPE"),
}
PERSON, UPDRS = "subject#", "total_UPDRS"
CONFIG = FusionConfig(GRADES, CHANNELS, ordered=True)
FOLDS = 5
EVERY = 5
"""Every so-manieth person, by number, is asked about in the task, whom no saved model has learned from."""


@dataclass(frozen=True)
class Voices:
    """Recordings: columns [n, F] in the order of `CONFIG.columns`, grades [n] from 0, who speaks [n]."""

    columns: Tensor
    grades: Tensor
    people: Tensor

    def of(self, people: Tensor) -> "Voices":
        """Return the recordings of some people."""
        return self.chosen(torch.isin(self.people, people))

    def chosen(self, places: Tensor) -> "Voices":
        """Return recordings by place, or by a mask."""
        return Voices(self.columns[places], self.grades[places], self.people[places])

    def __len__(self) -> int:
        return len(self.grades)


def read_voices(data: Path | None) -> Voices:
    """Return the recordings of a folder with the file, or with such a folder `parkinsons_telemonitoring`, or of the file itself.

    Raises:
        ModelError: it is not there, cannot be read, or lacks a column or has one twice, has a row of other
            length, or a value that is no number.
    """
    tried = [] if data is None else [data / FILE, data / "parkinsons_telemonitoring" / FILE, data]
    path = next((each for each in tried if each.is_file()), None)
    if path is None:
        raise ModelError(
            f"Parkinson's telemonitoring is not there: give --data with {FILE} (UCI dataset 189, parkinsons_updrs.data)"
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            heading, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    wanted = (*CONFIG.columns, UPDRS, PERSON)
    heading = [name.strip() for name in heading]
    if odd := next((name for name in wanted if heading.count(name) != 1), None):
        raise ModelError(
            f"{path}: not the columns of Parkinson's telemonitoring: {odd} is there {heading.count(odd)} times, and once is right"
        )
    if longer := next((row for row in rows if len(row) != len(heading)), None):
        raise ModelError(
            f"{path}: a row has {len(longer)} values, between commas, for {len(heading)} columns: {','.join(longer)[:60]!r}"
        )
    places = [heading.index(name) for name in wanted]
    try:
        values = torch.tensor([[float(row[place]) for place in places] for row in rows], dtype=torch.float64)
    except ValueError as error:
        raise ModelError(f"{path}: not the columns of Parkinson's telemonitoring: {error}") from error
    if not len(values) or not bool(torch.isfinite(values).all()):
        raise ModelError(f"{path}: it has no rows, or a value that is not finite")
    if bool((values[:, -1] != values[:, -1].long()).any()):
        raise ModelError(f"{path}: {PERSON} is a whole number, by which people are divided; one is not")
    return Voices(values[:, :-2], torch.bucketize(values[:, -2].contiguous(), torch.tensor(BORDERS).double(), right=True),
                  values[:, -1].long())  # fmt: skip


def asked_about(voices: Voices) -> Tensor:
    """Return the people of the task."""
    people: Tensor = torch.unique(voices.people)
    asked: Tensor = people[people % EVERY == 0]
    return asked


def folds(voices: Voices, seed: int) -> list[Tensor]:
    """Return who is tested in each of five folds: everybody once, in an order drawn from a seed."""
    people = torch.unique(voices.people)
    return list(people[torch.randperm(len(people), generator=torch.Generator().manual_seed(seed))].tensor_split(FOLDS))


def divided(voices: Voices, tested: Tensor, seed: int) -> tuple[Voices, Voices, Voices, Voices]:
    """Return recordings to learn from, to fit a pool on, to calibrate it on, and to test on; nobody is in two of them.

    Args:
        voices: all recordings.
        tested: people of the test.
        seed: of how the others are divided, 3 : 1 : 1.
    """
    left = torch.unique(voices.people)
    left = left[~torch.isin(left, tested)]
    order = left[torch.randperm(len(left), generator=torch.Generator().manual_seed(seed))]
    fifth = len(order) // 5
    parts = order[2 * fifth :], order[:fifth], order[fifth : 2 * fifth]
    learned, held, last = (voices.of(part) for part in parts)
    return learned, held, last, voices.of(tested)
