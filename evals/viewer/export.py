"""A run as one file: the viewer's page with its data inside, compressed question by question, within a budget of bytes.

What does not fit is left out in an order that is said on the page: first what the words of CIPHER messages were made of, then
whole questions; those in which somebody changed their mind are kept longest.
"""

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from agents.atomic_file import write_atomic
from evals.analysis.blocks import Block
from evals.viewer.page import whole
from evals.viewer.report import report_of
from evals.viewer.run_view import RunView

EXPORT_BYTES = 10_000_000
ALTERNATIVES = 5
# What a message holds position by position.
POSITIONS = ("ids", "strings", "nearest", "entropy", "most", "norm", "distance", "top")


@dataclass(frozen=True)
class Exported:
    """What an exported page holds.

    Attributes:
        path: the file.
        size: in bytes.
        questions, detailed: kept, and kept with what every CIPHER word was made of.
        total: questions of the runs.
    """

    path: Path
    size: int
    questions: int
    detailed: int
    total: int

    @property
    def sentence(self) -> str:
        """What is in the page, and what is not."""
        return _cut(self.questions, self.detailed, self.total) or "Every debate is in it, with every message."


@dataclass(frozen=True)
class _Chunk:
    """A question of a run, compressed.

    Attributes:
        full, plain: with, and without, what CIPHER words were made of.
    """

    run: str
    question: str
    full: str
    plain: str


def write_export(
    views: dict[str, RunView],
    path: Path,
    *,
    title: str = "",
    before: Sequence[Block] = (),
    budget: int = EXPORT_BYTES,
    most: int | None = None,
    reports: dict[str, list[Block]] | None = None,
) -> Exported:
    """Write the page of some runs and return what is in it.

    Args:
        views: name → run.
        path: the file.
        title: of the page.
        before: what the page says before the runs.
        budget: bytes that the debates may have; script, style and tables come on top.
        most: questions whose debates are in it; None for all.
        reports: the runs' reports, where they were made already.

    Raises:
        RunError: a damaged run, or the disk does not take it.
    """
    for view in views.values():
        while view.index.read_answers():
            pass
    overviews = {name: view.index.overview() for name, view in views.items()}
    content: dict[str, Any] = {
        "before": list(before),
        "runs": overviews,
        "reports": reports or {name: report_of(view.index.path) for name, view in views.items()},
    }
    total = sum(len(overview["questions"]) for overview in overviews.values())
    kept, detailed = _within(budget, most, views, overviews)
    chunks: dict[str, dict[str, str]] = {name: {} for name in views}
    for chunk in kept:
        full = (chunk.run, chunk.question) in detailed
        chunks[chunk.run][chunk.question] = chunk.full if full else chunk.plain
    cut = _cut(len(kept), len(detailed), total)
    named = title or "Debates: " + ", ".join(overview["task"] for overview in overviews.values())
    page = whole(named, {**content, "cut": cut, "chunks": chunks})
    write_atomic(path, page)
    return Exported(path, len(page.encode()), len(kept), len(detailed), total)


def _within(
    budget: int, most: int | None, views: dict[str, RunView], overviews: dict[str, dict[str, Any]]
) -> tuple[list[_Chunk], set[tuple[str, str]]]:
    """Return the questions that a budget has room for, and which of them whole."""
    kept: list[_Chunk] = []
    spent = 0
    for name, question in islice(_by_interest(overviews), most):
        chunk = _chunk(views[name], name, question, overviews[name])
        if spent + len(chunk.plain) > budget:
            break
        kept.append(chunk)
        spent += len(chunk.plain)
    detailed = set()
    for chunk in kept:
        more = len(chunk.full) - len(chunk.plain)
        if spent + more <= budget:
            spent += more
            detailed.add((chunk.run, chunk.question))
    return kept, detailed


def _by_interest(overviews: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (run, question), those in which most agents changed their answers first, of equals as they were asked."""
    places = [(name, question["id"]) for name, overview in overviews.items() for question in overview["questions"]]

    def changed(place: tuple[str, str]) -> int:
        name, question = place
        cells = (cells.get(question) for cells in overviews[name]["cells"].values())
        return sum(cell["lost"] + cell["won"] + cell["changed"] for cell in cells if cell is not None)

    yield from sorted(places, key=changed, reverse=True)


def _chunk(view: RunView, name: str, question: str, overview: dict[str, Any]) -> _Chunk:
    debates: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for method in (method["name"] for method in overview["methods"]):
        if question not in overview["cells"][method]:
            continue
        debates[method], messages[method] = view.whole(method, question, alternatives=ALTERNATIVES)
    plain = {
        method: {
            turn: {**{key: value for key, value in found.items() if key not in POSITIONS}, "cut": "ids" in found}
            for turn, found in said.items()
        }
        for method, said in messages.items()
    }
    return _Chunk(name, question, *(_compressed({"debates": debates, "messages": m}) for m in (messages, plain)))


def _compressed(content: dict[str, Any]) -> str:
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


def _cut(questions: int, detailed: int, total: int) -> str:
    """Return a sentence on what is left out; empty where nothing is."""
    if questions == detailed == total:
        return ""
    said = []
    if questions < total:
        said.append(f"This file holds the debates over {questions:,} of {total:,} questions")
    if detailed < questions:
        said.append(f"it has what CIPHER words were made of for {detailed:,} of {questions:,} questions")
    sentence = ", and ".join(said)
    kept = "those in which agents changed their minds were kept first. `debate view RUN` shows everything."
    return f"{sentence[0].upper()}{sentence[1:]}: {kept}"
