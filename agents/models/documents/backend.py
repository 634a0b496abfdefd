"""An agent that reads documents by what their lines say and where they stand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import ModelError
from agents.models.checkpoint import load_model, save_model
from agents.models.documents.candidates import belief_over_lines, check_page, check_temperatures, labels_of
from agents.models.documents.config import DocumentConfig
from agents.models.documents.fields import FIELDS
from agents.models.documents.model import DocumentReader
from agents.models.stored import made_of
from agents.observation import Document, Observation
from agents.question import Question


class DocumentBackend(BeliefBackend):
    """A belief over a page's lines: which is the company, the date, the address or the total?

    Lines are read one page at a time and in an order of their own, so that neither other pages nor the order in which they are
    given change a bit.

    Args:
        model: in eval mode.
        temperatures: of the fields, in the order of `FIELDS`; fitted on a validation part they calibrate the belief.
    """

    modality = "document"

    def __init__(self, model: DocumentReader, *, temperatures: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)) -> None:
        self.model, self.temperatures = model.eval(), check_temperatures(temperatures)

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the agent of a folder that its recipe wrote."""
        if checkpoint is None:
            raise ModelError("documents ships no weights: give checkpoint: FOLDER, made by `debate train documents`")
        model, stored = load_model(
            checkpoint,
            "reader of documents",
            lambda sizes: DocumentReader(made_of(DocumentConfig, sizes)),
            options_of=DocumentBackend,
        )
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.model.config.sizes, temperatures=list(self.temperatures))

    @property
    def name(self) -> str:
        """The backend's name."""
        return "documents"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the case's labels or options, or the lines of its page that read differently."""
        return labels_of(case)

    def check(self, observation: Observation) -> None:
        """Refuse a page of too many lines, or with too long a line."""
        assert isinstance(observation, Document)
        check_page(self.name, observation)

    @torch.inference_mode()
    def odds(self, page: Document) -> Tensor:
        """Return the log-odds [N, fields] that a line has a field, of every line and field, float64."""
        order = sorted(range(len(page.lines)), key=lambda place: (page.lines[place], page.boxes[place].tolist()))
        sorted_page = Document(tuple(page.lines[place] for place in order), page.boxes[torch.tensor(order)])
        scores = self.model.tags(self.model(self.model.encode([sorted_page])))[0].double()
        found = torch.empty(len(order), len(FIELDS), dtype=torch.float64)
        found[torch.tensor(order)] = log_odds(scores)
        return found

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [
            belief_over_lines(case, page, self.odds(page), self.temperatures)
            for case, page in zip(cases, observations, strict=True)
        ]


def log_odds(scores: Tensor) -> Tensor:
    """Return log p_k − log(1 − p_k) of the softmax of scores [..., K], for every k but the last."""
    count = scores.shape[-1]
    others = torch.stack(
        [scores[..., [place for place in range(count) if place != own]].logsumexp(-1) for own in range(count - 1)], -1
    )
    return scores[..., :-1] - others
