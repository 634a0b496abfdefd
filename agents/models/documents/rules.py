"""An agent that knows receipts by regular expressions alone: it looks at a page's lines, one by one, and at no place of any."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.models.checkpoint import CONFIG, explained, located
from agents.models.documents.candidates import belief_over_lines, check_page, check_temperatures, labels_of
from agents.models.documents.fields import FIELDS
from agents.models.stored import read_stored, typed
from agents.observation import Document, Observation
from agents.question import Question

# Field → a pattern, and what a line's log-odds gain where it is found; written by hand, looking at receipts of the training part.
PATTERNS: Mapping[str, Sequence[tuple[str, float]]] = {
    "company": (
        (r"\b(?:sdn|bhd|s/b|enterprise|trading|restoran|restaurant|holdings?|supermarket|mart|hardware|stationery)\b", 4.0),
        (r"\(\w*\d{4,}-\w\)", 1.0),
        (r"\b(?:jalan|jln|taman|lorong|tel|fax|total|cash|thank|invoice|receipt|gst|date|cashier)\b", -3.0),
        (r"\d+\.\d{2}\b", -3.0),
        (r":", -1.0),
    ),
    "date": (
        (r"(?<!\d)\d{1,2}\s?[-/.]\s?(?:\d{1,2}|[a-z]{3,9})\s?[-/.]\s?(?:20)?\d{2}(?!\d)", 6.0),
        (r"(?<!\d)\d{1,2}\s?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?,?\s?'?(?:20)?\d{2}(?!\d)", 6.0),
        (r"(?<!\d)20\d{2}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)", 6.0),
        (r"\bdate\b|\d{1,2}:\d{2}", 1.0),
    ),
    "address": (
        (r"\b(?:jalan|jln|lorong|persiaran|taman|lot|kawasan|bandar|kampung|kg|ground floor|block)\b", 4.0),
        (r"\b\d{5}\b", 2.0),
        (r"\b(?:selangor|johor|kuala lumpur|kl|wilayah|penang|melaka|perak|negeri sembilan|pahang|shah alam)\b", 3.0),
        (r"\bno\s?[.:,]?\s?\d", 1.0),
        (r"\b(?:tel|fax|gst|invoice|total|cash|sdn|bhd)\b|\d+\.\d{2}\b", -3.0),
    ),
    "total": (
        (r"\d\.\d{2}(?!\d)", 3.0),
        (r"\b(?:grand |nett? )?total\b", 2.0),
        (r"\b(?:grand|nett?|round(?:ed|ing)?|inclusive|payable|due|sales)\b", 1.0),
        (r"\b(?:sub|tax|qty|quantity|items?|disc(?:ount)?|change|saving|excluding|excl)\b", -2.0),
        (r"\brm|\$", 0.5),
    ),
}  # fmt: skip
_PATTERNS = {
    field: [(re.compile(pattern, re.IGNORECASE), weight) for pattern, weight in patterns]
    for field, patterns in PATTERNS.items()
}


class DocumentRules(BeliefBackend):
    """A belief over a page's lines: softmax of the sum of weights of the patterns that are found in each / temperature.

    Args:
        temperatures: of the fields, in the order of `FIELDS`.
    """

    modality = "document"

    def __init__(self, *, temperatures: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)) -> None:
        self.temperatures = check_temperatures(temperatures)

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the agent, with the temperatures of a folder where one is given."""
        if checkpoint is None:
            return cls(**options)
        folder = located(checkpoint)
        with explained(f"no rules of documents in {folder}"):
            stored = typed(DocumentRules, read_stored(folder / CONFIG))
        return cls(**{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json; the rules themselves are code."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(json.dumps({"temperatures": list(self.temperatures)}, indent=1) + "\n")

    @property
    def name(self) -> str:
        """The backend's name."""
        return "document_rules"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the case's labels or options, or the lines of its page that read differently."""
        return labels_of(case)

    def check(self, observation: Observation) -> None:
        """Refuse a page of too many lines, or with too long a line."""
        assert isinstance(observation, Document)
        check_page(self.name, observation)

    def odds(self, page: Document) -> Tensor:
        """Return the sum of weights [N, fields] of the patterns that are found in each line, float64."""
        rows = [
            [sum(weight for pattern, weight in _PATTERNS[field] if pattern.search(line)) for field in FIELDS]
            for line in page.lines
        ]
        return torch.tensor(rows, dtype=torch.float64)

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [
            belief_over_lines(case, page, self.odds(page), self.temperatures)
            for case, page in zip(cases, observations, strict=True)
        ]
