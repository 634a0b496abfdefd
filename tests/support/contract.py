"""What the contract test needs to know of one belief backend."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.cards import create_belief_backend
from agents.observation import Observation, Series
from agents.question import Question


@dataclass(frozen=True)
class Contract:
    """One backend under test.

    Attributes:
        backend: its registered name.
        options: of `create_belief_backend`.
        cases: some that differ, in length too where it takes several.
        empty: an observation of its modality with nothing in it.
        refused: observations of its modality that it does not take, with what it says.
        other: an observation of another modality.
        prepare: makes a checkpoint in a folder, where none is shipped, and returns the options that name it.
    """

    backend: str
    options: dict[str, Any]
    cases: Callable[[], list[Question]]
    empty: Observation
    refused: tuple[tuple[Observation, str], ...]
    other: Observation = field(default_factory=lambda: Series(torch.zeros(4, 1), ("x",)))
    prepare: Callable[[Path], dict[str, Any]] = lambda folder: {}

    def make(self, folder: Path) -> BeliefBackend:
        """Return the backend; what `prepare` makes lies in a folder."""
        return create_belief_backend(self.backend, **{**self.options, **self.prepare(folder)})
