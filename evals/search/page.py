"""A search as a page: the contour over two temperatures (the paper's Fig. 5), what mattered, every trial, the one test."""

from pathlib import Path

from evals.analysis.derived import Warn, derived, warn_user
from evals.analysis.outputs import analyse_run
from evals.analysis.plots import bars, contour
from evals.analysis.report import table, write_page
from evals.search.search import SearchResult


def write_search_page(found: SearchResult, out: Path, *, warn: Warn = warn_user) -> Path:
    """Write OUT/report.html and return its path; the test run's own report follows the search.

    A picture that fails is a warning.
    """
    parts = [f"<h2>Search</h2><p>{len(found.trials)} trials: {found.how}.</p>"]
    complete = [trial for trial in found.trials if trial.state == "complete" and trial.accuracy is not None]
    keys = [key for key in found.best.values if key.endswith(".temperature")]
    if len(keys) >= 2:
        x, y = ([float(trial.values[key]) for trial in complete] for key in keys[:2])
        best = complete.index(found.best)
        with derived("the picture of two temperatures", warn):
            if drawn := contour(x, y, [trial.accuracy or 0.0 for trial in complete], (keys[0], keys[1]), best):
                parts.append(f"<figure><h3>Validation accuracy over two temperatures</h3>{drawn}</figure>")
    if found.importance:
        with derived("the picture of what mattered", warn):
            drawn = bars(list(found.importance.items()), "importance (PED-ANOVA)")
            parts.append(f"<figure><h3>What mattered</h3>{drawn}</figure>")
    header = ["trial", *found.best.values, "accuracy", "questions", ""]
    rows = [
        [
            trial.number,
            *(f"{value:.3f}" if isinstance(value, float) else value for value in trial.values.values()),
            "–" if trial.accuracy is None else f"{100 * trial.accuracy:.1f} %",
            trial.questions,
            "winner" if trial == found.best else trial.state if trial.state != "complete" else "",
        ]
        for trial in found.trials
    ]
    parts.append(table(header, rows))
    parts.append(
        '<p class="note">Pruned trials fell behind the best one over the same questions and are no candidates. The winner was '
        "tested once, below; its validation accuracy is the highest of many and flatters it.</p>"
    )
    return write_page(
        [analyse_run(out / "test")], out / "report.html", title="Temperature search", before="".join(parts), warn=warn
    )
