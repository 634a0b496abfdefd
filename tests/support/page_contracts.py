"""Contracts of belief backends that look at a page: random readers of documents, and cases for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from support.contract import Contract

from agents.observation import Document
from agents.question import Question


def small_documents(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random reader of documents over a few words."""
    from agents.models.blocks.config import EncoderConfig
    from agents.models.documents.backend import DocumentBackend
    from agents.models.documents.config import SPECIAL, DocumentConfig
    from agents.models.documents.model import DocumentReader

    torch.manual_seed(seed)
    encoder = EncoderConfig(8, 1, 2, 4, 8)
    words = (*SPECIAL, *"0123456789.:", "total", "date", "shop", "tea")
    model = DocumentReader(DocumentConfig(words, 6, 10, encoder, encoder))
    for weights in model.parameters():
        # So large that pages differ.
        weights.data += 0.3 * torch.randn(weights.shape)
    DocumentBackend(model, temperatures=(0.7, 1.0, 1.3, 2.0)).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def document_cases() -> list[Question]:
    """Return pages of several sizes that are asked for their fields: of all lines, of some, and of lines that read alike."""
    lines = ("Shop of tea", "DATE: 1.2.2018", "tea 3.00", "TOTAL", "3.00", "total 3.00", "3.00")
    edges = torch.rand(len(lines), 4, generator=torch.Generator().manual_seed(1))
    boxes = torch.cat([edges[:, :2] / 2, 0.5 + edges[:, 2:] / 2], 1)
    page, part = Document(lines, boxes), Document(lines[:3], boxes[:3])
    return [
        *(
            Question("case", f"Which line is the {field}?", (page,), lines[:6], lines[:6])
            for field in ("total", "date")
        ),
        Question("case", "Which line is the company?\n- total", (part,), lines[:3]),
        Question("case", "Which line is the total?", (page,), ("A", "B"), ("total", "TOTAL  3.00")),
    ]


def page_contract(name: str, prepare: Callable[..., dict[str, Any]]) -> Contract:
    return Contract(
        name,
        {},
        document_cases,
        Document((), torch.zeros(0, 4)),
        (
            (Document(("a",) * 401, torch.zeros(401, 4)), "at most 400 lines of a page; this has 401"),
            (Document(("a" * 2001,), torch.zeros(1, 4)), "lines of at most 2,000 letters; one has 2,001"),
        ),
        prepare=prepare,
    )
