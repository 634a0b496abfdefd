"""Everything that is derived from a finished run, written into its folder: lm-eval's files, the table of turns, the page."""

from collections.abc import Sequence
from pathlib import Path

from debate.run_folder.reader import RunReader
from evals.analysis.derived import Warn, derived, warn_user
from evals.analysis.lm_eval_files import write_lm_eval
from evals.analysis.report import write_page
from evals.analysis.run_record import read_run, runs_in
from evals.analysis.summary import Analysis, analyse
from evals.analysis.turn_table import write_turns

PAGE, TURNS = "report.html", "turns.parquet"


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
        write_page(analyses, path / PAGE, warn=warn)
    return analyses
