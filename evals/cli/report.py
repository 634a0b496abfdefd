"""`debate report` and `debate compare`: what is derived from finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder, or folder of runs; the run may still be going.")],
) -> None:
    """Rebuild results and HTML from the journal, print the table, and write report.html.

    Writes results.json, the transcripts, lm-eval's files, turns.parquet, and one HTML page that needs no other file.

    Example:  debate report runs/first
    """
    from agents.errors import MissingDependency
    from debate.run_folder.reader import RunReader
    from evals.analysis.run_record import runs_in
    from evals.cli.screen import results_table
    from evals.cli.table import show_analysis
    from evals.outputs import PAGE, write_outputs

    runs = [RunReader(folder) for folder in runs_in(run)]
    for one in runs:
        options.console.print(f"wrote {one.rebuild()}", markup=False)
    try:
        for analysis in write_outputs(run, runs, warn=options.progress):
            show_analysis(analysis)
    except MissingDependency as error:
        for one in runs:
            options.console.print(results_table(list(one.state.results.values()), one.state.table()["task"]))
        options.progress(f"no report page: {error}")
        return
    if (run / PAGE).is_file():
        options.console.print(f"wrote {run / PAGE}", markup=False)


@app.command()
def compare(
    first: options.RunFolder,
    second: Annotated[Path, typer.Argument(help="Run folder of another run over the same questions.")],
    methods: Annotated[
        str | None,
        typer.Option("--methods", help="One method of each run, FIRST,SECOND (default: every method that both have)."),
    ] = None,
    other_agents: Annotated[
        bool, typer.Option("--other-agents", help="Compare although the agents are not the same in both runs.")
    ] = False,
) -> None:
    """Compare two runs question by question: accuracies, what the configs differ in, and paired differences, first − second.

    Example:  debate compare runs/tuned runs/untuned --methods cipher,cipher
    """
    from agents.errors import ConfigError
    from evals.analysis import run_difference as difference
    from evals.analysis.run_record import read_run
    from evals.analysis.summary import compare_methods, compare_runs, matched_methods

    one, other = read_run(first), read_run(second)
    if one.config.task != other.config.task:
        raise ConfigError(f"{first} is of {one.config.task} and {second} of {other.config.task}: nothing to compare")
    names = options.listed(methods)
    if methods is not None and len(names) != 2:
        raise ConfigError(f"--methods {methods!r}: name one method of each run, e.g. cipher,text")
    matched = [(one.method(names[0]), other.method(names[1]))] if names else matched_methods(one, other)
    difference.check_questions(matched, (str(first), str(second)))
    difference.check_shown(first, second)
    strangers = difference.other_agents(one, other, matched)
    if strangers and not other_agents:
        raise ConfigError(f"{strangers}. To compare runs of different agents, pass --other-agents.")
    found = compare_methods(matched, (f"{first}/", f"{second}/")) if names else compare_runs(one, other)
    for (ours, theirs), comparison in zip(matched, found, strict=True):
        for path, method in ((first, ours), (second, theirs)):
            _say(f"{path}/{method.name}: {difference.accuracy_in_words(method)}")
        if left_out := difference.left_out_in_words(ours, theirs, (str(first), str(second))):
            _say(f"  {left_out}.")
        changed = difference.config_differences(ours, theirs)
        for line in changed:
            _say(f"  {line}")
        if not changed:
            _say("  The configs are the same.")
        _say(comparison.sentence)
    if strangers:
        _say(f"! {strangers}")


def _say(sentence: str) -> None:
    options.console.print(sentence, markup=False, soft_wrap=True)
