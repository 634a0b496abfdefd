"""An agent that is a readable program: it tells what a text is about, and what in it says so."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BeliefError, ModelError
from agents.json_text import parse_json
from agents.models.stored import LARGEST_CONFIG
from agents.models.transformer_programs.config import ProgramConfig
from agents.models.transformer_programs.emit import python_source
from agents.models.transformer_programs.program import Head, Layer, Lookup, Program
from agents.observation import Observation
from agents.ordinary_file import read_ordinary_text
from agents.question import Question

STORED, SOURCE = "program.json", "program.py"
FORMAT = 1


class TransformerPrograms(BeliefBackend):
    """A belief over the program's labels, softmax(scores / temperature).

    Texts longer than the program has positions are read to its last position, as in the paper's data.

    Args:
        program: what decides.
        temperature: fitted on a validation split it is calibrated.
    """

    modality = "text"

    def __init__(self, program: Program, *, temperature: float = 1.0) -> None:
        if not (temperature > 0 and math.isfinite(temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {temperature}")
        self.program, self.temperature = program, temperature

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder with program.json."""
        if checkpoint is None:
            raise ModelError("transformer_programs ships no program: give checkpoint: FOLDER, made by `debate train`")
        path = Path(os.path.expanduser(checkpoint)) / STORED
        try:
            stored = parse_json(read_ordinary_text(path, most=LARGEST_CONFIG))
            if stored["format"] != FORMAT:
                raise ValueError(f"format {stored['format']}, and this version reads {FORMAT}")
            program = _read(stored["program"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is no program: {error}") from error
        return cls(program, **{"temperature": stored["temperature"], **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write program.json, from which it is loaded, and program.py, for people."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SOURCE).write_text(python_source(self.program))
        stored = {"format": FORMAT, "temperature": self.temperature, "program": _stored(self.program)}
        (folder / STORED).write_text(json.dumps(stored) + "\n")

    @property
    def name(self) -> str:
        """The backend's name."""
        return "transformer_programs"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the program's."""
        return self.program.config.labels

    def check(self, observation: Observation) -> None:
        """Take any text."""

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [self._one(observation.text) for observation in observations]

    def _one(self, text: str) -> Belief:
        words = self.program.words(text)
        scores = self.program.label_scores(words)
        best = max(scores)
        weights = [math.exp((score - best) / self.temperature) for score in scores]
        reasons = self.program.reasons(words, scores.index(best))
        return Belief.of(self.program.config.labels, weights, grounds="; ".join(reasons))


def _stored(program: Program) -> dict[str, Any]:
    return {
        "config": program.config.sizes,
        "embeddings": program.embeddings,
        "layers": [
            {part: [vars(each) for each in found] for part, found in vars(layer).items()} for layer in program.layers
        ],
        "scores": program.scores,
        "count_scores": program.count_scores,
    }


def _read(stored: dict[str, Any]) -> Program:
    layers = [
        Layer(
            selecting=tuple(_head(each) for each in layer["selecting"]),
            counting=tuple(_head(each) for each in layer["counting"]),
            tables=tuple(_lookup(each) for each in layer["tables"]),
            count_tables=tuple(_lookup(each) for each in layer["count_tables"]),
        )
        for layer in stored["layers"]
    ]
    return Program(
        config=ProgramConfig(**stored["config"]),
        embeddings=tuple(map(tuple, stored["embeddings"])),
        layers=tuple(layers),
        scores={name: tuple(map(tuple, rows)) for name, rows in stored["scores"].items()},
        count_scores={name: tuple(row) for name, row in stored["count_scores"].items()},
    )


def _head(stored: dict[str, Any]) -> Head:
    return Head(**{**stored, "predicate": tuple(stored["predicate"])})


def _lookup(stored: dict[str, Any]) -> Lookup:
    return Lookup(**{**stored, "table": tuple(map(tuple, stored["table"]))})
