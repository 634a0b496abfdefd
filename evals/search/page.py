"""A search as a page: accuracy over two temperatures (the paper's Fig. 5), what mattered, every trial, the one test."""

from collections.abc import Sequence
from pathlib import Path

from evals.analysis import blocks
from evals.analysis.blocks import Block
from evals.outputs import analyse_run, write_page
from evals.search.search import SearchResult
from evals.search.study import Trial


def write_search_page(found: SearchResult, out: Path) -> Path:
    """Write OUT/report.html and return its path; the test run's own report follows the search."""
    return write_page(
        [analyse_run(out / "test")], out / "report.html", title="Temperature search", before=_blocks(found)
    )


def _blocks(found: SearchResult) -> list[Block]:
    complete = [trial for trial in found.trials if trial.state == "complete" and trial.accuracy is not None]
    return [
        blocks.heading("Search", 2),
        blocks.text(f"{len(found.trials)} trials: {found.how}."),
        *_temperatures(found, complete),
        *_importance(found),
        _trials(found),
        *_tie(found, complete),
        blocks.note(
            "Pruned trials fell behind the best one over the same questions and are no candidates. The winner was tested once, "
            "below; its validation accuracy is the highest of many and flatters it."
        ),
    ]


def _temperatures(found: SearchResult, complete: Sequence[Trial]) -> list[Block]:
    """Return what was measured over two temperatures: a mark a trial, and nothing drawn between them."""
    keys = [key for key in found.best.values if key.endswith(".temperature")]
    if len(keys) < 2:
        return []
    points = [
        [*(float(trial.values[key]) for key in keys[:2]), 100 * (trial.accuracy or 0.0), f"trial {trial.number}"]
        for trial in complete
    ]
    return [
        blocks.chart(
            "Validation accuracy over two temperatures",
            "One mark a trial, coloured by its accuracy in percent; what lies between trials was not measured.",
            keys[0],
            keys[1],
            [blocks.line("trials", points)],
            form="dots",
            best=complete.index(found.best),
        )
    ]


def _importance(found: SearchResult) -> list[Block]:
    if not found.importance:
        return []
    ordered = sorted(found.importance.items(), key=lambda pair: -pair[1])
    return [
        blocks.chart(
            "What mattered",
            "How much of the trials' accuracy each value explains (PED-ANOVA).",
            "importance",
            "",
            [blocks.line("importance", [[name, value] for name, value in ordered])],
            form="bars",
        )
    ]


def _trials(found: SearchResult) -> Block:
    header = ["trial", *found.best.values, "accuracy", "questions", "outcome"]
    rows = [
        [
            trial.number,
            *(f"{value:.3f}" if isinstance(value, float) else value for value in trial.values.values()),
            "–" if trial.accuracy is None else f"{100 * trial.accuracy:.1f} %",
            trial.questions,
            "winner" if trial == found.best else trial.state,
        ]
        for trial in found.trials
    ]
    return blocks.table("Every trial", header, rows)


def _tie(found: SearchResult, complete: Sequence[Trial]) -> list[Block]:
    tied = [trial for trial in complete if trial.accuracy == found.best.accuracy]
    if len(tied) < 2:
        return []
    numbers = ", ".join(str(trial.number) for trial in tied)
    return [
        blocks.text(
            f"{len(tied)} trials tie for the highest accuracy ({numbers}); the winner is one of them, and no better than they "
            "are on these questions."
        )
    ]
