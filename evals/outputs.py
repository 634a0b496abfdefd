"""Everything that is derived from a finished run, written into its folder: lm-eval's files, the table of turns, the page."""

from collections.abc import Sequence
from pathlib import Path

from debate.run_folder.reader import RunReader
from evals.analysis.blocks import Block
from evals.analysis.derived import Warn, derived, warn_user
from evals.analysis.lm_eval_files import write_lm_eval
from evals.analysis.report import run_blocks
from evals.analysis.run_record import read_run, runs_in
from evals.analysis.summary import Analysis, analyse
from evals.analysis.turn_table import write_turns
from evals.viewer.export import write_export
from evals.viewer.index import by_name
from evals.viewer.run_view import RunView

PAGE, TURNS = "report.html", "turns.parquet"
# Of the page that every run leaves: bytes of debates, and over how many questions they are. `debate view --export` takes all.
PAGE_BYTES, PAGE_DEBATES = 2_000_000, 50


def analyse_run(path: Path) -> Analysis:
    """Return the analysis of a run folder: each method's summary, and their paired comparisons.

    Raises:
        RunError: the folder holds no run, or a damaged one.
        MissingDependency: the extra `evals` is not installed.
    """
    return analyse(read_run(path))


def write_outputs(path: Path, runs: Sequence[RunReader] = (), *, warn: Warn = warn_user) -> list[Analysis]:
    """Write what is derived from a run, or from each run right below a folder, and return their analyses.

    The page of several runs is one, in the folder itself. A file or a picture that cannot be made is a warning.

    Args:
        path: the folder.
        runs: the runs in it, where their journals were read already.
        warn: called with a sentence for each file that cannot be made.

    Raises:
        RunError: there is no run, or a damaged one.
        MissingDependency: the extra `evals` is not installed.
    """
    analyses = []
    for run in runs or map(RunReader, runs_in(path)):
        analysis = analyse(read_run(run.path, run))
        with derived(f"{run.path}: lm-eval's files", warn):
            write_lm_eval(analysis.record)
        with derived(f"{run.path / TURNS}", warn):
            write_turns(analysis.record, run.path / TURNS)
        analyses.append(analysis)
    with derived(f"{path / PAGE}", warn):
        write_page(analyses, path / PAGE)
    return analyses


def write_page(analyses: Sequence[Analysis], path: Path, *, title: str = "", before: Sequence[Block] = ()) -> Path:
    """Write the page of one run, or of several, and return its path: their reports and, within a budget, their debates.

    Args:
        analyses: the runs.
        path: the file.
        title: of the page.
        before: what it says before the runs.

    Raises:
        RunError: a damaged run, or the disk does not take it.
    """
    by_path = {analysis.record.path: analysis for analysis in analyses}
    named = by_name(list(by_path))
    views = {name: RunView(run) for name, run in named.items()}
    reports = {name: run_blocks(by_path[run]) for name, run in named.items()}
    write_export(views, path, title=title, before=before, budget=PAGE_BYTES, most=PAGE_DEBATES, reports=reports)
    return path
