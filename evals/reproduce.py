"""The paper's experiments at any scale: our figures beside the paper's.

An experiment is the paper's settings as data. What cannot be compared is marked: another model, fewer questions, figures
read off a plot. Every part is an ordinary evaluation in OUT/TASK, so an interrupted one goes on.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agents.atomic_file import write_atomic
from agents.errors import DebateError, UnknownName
from debate.config.schema import DebateConfig
from debate.runtime.observer import Observer
from evals import paper
from evals.analysis import blocks
from evals.analysis.derived import Warn, derived
from evals.analysis.run_record import MethodRecord
from evals.analysis.summary import Analysis, Share
from evals.evaluation import Selection, evaluate
from evals.experiment import TINY, Experiment, experiment_config, load_experiment
from evals.outputs import PAGE, analyse_run, write_outputs, write_page
from evals.paper import Figure
from evals.search.search import SearchResult, search

FULL = 200
"""Questions of the paper's validation and test sets."""


@dataclass(frozen=True)
class Line:
    """One figure of ours, and the paper's where there is one.

    Fields:
        task, method, what: which figure, e.g. `accuracy` or `agreement after round 2`.
        ours: with its interval; None where it was not measured, `note` says why.
        paper: model → printed figure.
        note: what stands between the two.
    """

    task: str
    method: str
    what: str
    ours: Share | None
    paper: Mapping[str, Figure] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Reproduction:
    """An experiment that was run.

    Fields:
        name, title: which.
        model, questions: ours: what was run, and the most questions asked of a task.
        lines: the figures.
        caveats: sentences that belong beside them.
        sentences: paired differences, by task.
    """

    name: str
    title: str
    model: str
    questions: int
    lines: tuple[Line, ...]
    caveats: tuple[str, ...]
    sentences: tuple[tuple[str, str], ...]


async def reproduce(
    name: str,
    *,
    out: Path,
    overrides: Mapping[str, Any],
    limit: int = FULL,
    tasks: Sequence[str] = (),
    data: Path | None = None,
    trials: int | None = None,
    observer: Observer | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Run an experiment and write OUT/reproduce.md, reproduce.json and report.html.

    A task whose questions cannot be had is a line that says so; the others are run.

    Args:
        name: of the experiment.
        out: the folder; what is there already is not run again.
        overrides: keys of the config that stand for the paper's: model, backend, dtype, options, seed, …
        limit: most questions a task.
        tasks: only these of the experiment's.
        data: a folder of benchmark files, or of one folder a task.
        trials: of a search, in place of the experiment's.
        observer: told of everything as it happens.
        progress: told of each slow step.

    Raises:
        ConfigError: an unknown experiment or task.
        DebateError: what the user can mend, of engine or model.
    """
    experiment = load_experiment(name)
    chosen = tuple(tasks) or experiment.tasks
    if unknown := [task for task in chosen if task not in experiment.tasks]:
        raise UnknownName("task", unknown[0], experiment.tasks, where=name)
    lines: list[Line] = []
    analyses: list[Analysis] = []
    config = None
    for task in chosen:
        config = experiment_config(experiment, task, overrides)
        # The prompt files have the worked examples, as the paper's have.
        selection = Selection(limit=limit, data=_data(data, task), num_fewshot=0)
        folder = out / task.replace(":", "-")
        try:
            if experiment.trials:
                count = trials or experiment.trials
                method = "cipher"
                found = await search(
                    config, out=folder, method=method, trials=count, selection=selection, progress=progress
                )
                analyses.append(analyse_run(folder / "test"))
                lines += _temperature_lines(task, found)
            else:
                await evaluate(config, out=folder, selection=selection, observer=observer, progress=progress)
                (analysis,) = write_outputs(folder, warn=progress)
                analyses.append(analysis)
                lines += _lines(experiment, task, analysis)
        except DebateError as error:
            if not _is_about_data(error):
                raise
            progress(f"{task}: not run: {error}")
            lines.append(Line(task, "", "", None, note=f"not run: {error}"))
    assert config is not None
    questions = max((method.accuracy.total for analysis in analyses for method in analysis.methods), default=0)
    found_sentences = tuple((a.record.config.task, c.sentence) for a in analyses for c in a.comparisons)
    caveats = _caveats(experiment, config, questions)
    made = Reproduction(name, experiment.title, config.model, questions, tuple(lines), caveats, found_sentences)
    _write(made, analyses, out, progress)
    return made


def _data(data: Path | None, task: str) -> Path | None:
    """Return the file or folder of a task's questions; none of a generated task."""
    base = task.partition(":")[0]
    if data is None or base.startswith(("arithmetic", "reasoning_gym")):
        return None
    return data / base if (data / base).is_dir() else data


def _is_about_data(error: DebateError) -> bool:
    from agents.errors import MissingDependency, TaskError

    return isinstance(error, TaskError) or (isinstance(error, MissingDependency) and error.package == "datasets")


def _lines(experiment: Experiment, task: str, analysis: Analysis) -> list[Line]:
    match experiment.figures:
        case "table1":
            return [
                Line(task, method.name, "accuracy", method.accuracy, _table_1(method.name, task))
                for method in analysis.methods
            ]
        case "table2":
            return [line for method in analysis.record.methods for line in _pair_lines(task, method, analysis)]
        case "rounds":
            return [
                Line(
                    task,
                    method.name,
                    f"accuracy after round {found.number}",
                    found.deciding,
                    _round(method.name, found.number),
                )
                for method in analysis.methods
                for found in method.rounds
            ]
        case "debaters":
            return [
                Line(task, method.name, "accuracy", method.accuracy, _debaters(method.name))
                for method in analysis.methods
            ]
        case "partial":
            return [
                Line(task, method.name, "accuracy", method.accuracy, _named(paper.PARTIAL.get(method.name)))
                for method in analysis.methods
            ]
    return [
        Line(
            task, method.name, "accuracy", method.accuracy, note="a bound, not a competitor" if method.is_bound else ""
        )
        for method in analysis.methods
    ]


def _table_1(method: str, task: str) -> dict[str, Figure]:
    row = "self-consistency(k=5)" if method.startswith("self-consistency(k=5,") else method
    return {model: rows[row][task] for model, rows in paper.TABLE_1.items() if row in rows}


def _named(figure: Figure | None) -> dict[str, Figure]:
    return {} if figure is None else {"LLaMA2-70B": figure}


def _round(method: str, number: int) -> dict[str, Figure]:
    printed = paper.ROUNDS.get(method, ())
    return _named(Figure(float(printed[number - 1]), is_read_off=True) if number <= len(printed) else None)


def _debaters(row: str) -> dict[str, Figure]:
    method, _, count = row.rpartition("-")
    value = paper.DEBATERS.get(method, {}).get(int(count)) if count.isdigit() else None
    return _named(None if value is None else Figure(float(value), is_read_off=True))


def _pair_lines(task: str, method: MethodRecord, analysis: Analysis) -> list[Line]:
    """Return the accuracy of each of two debaters after each round, and their agreement; the paper's beside two models alone."""
    has_two = len({model for model, _, _ in method.config.engines}) > 1
    printed = paper.TABLE_2.get((task, method.name), {}) if has_two else {}
    names = list(method.config.agents)
    lines = []
    for place, agent in enumerate(names):
        model = ("LLaMA2-70B", "LLaMA-65B")[min(place, 1)]
        for number in range(1, method.config.rounds + 1):
            turns = [t for debate in method.debates for t in debate.turns if (t.agent, t.round) == (agent, number)]
            figure = printed[model][number - 1] if model in printed and number <= 3 else None
            ours = Share.of(turn.verdict == "correct" for turn in turns)
            lines.append(
                Line(
                    task, method.name, f"{agent} after round {number}", ours,
                    {model: Figure(figure)} if figure is not None else {},
                )
            )  # fmt: skip
    summary = next(found for found in analysis.methods if found.name == method.name)
    for found in summary.rounds:
        if found.agreement is None:
            continue
        # Of two agents a question agrees or does not: a share of questions.
        total = len(method.debates)
        agreed = Share.of([True] * round(found.agreement * total) + [False] * (total - round(found.agreement * total)))
        agreement = printed.get("agreement", ())
        figure = agreement[found.number - 1] if found.number <= len(agreement) else None
        lines.append(
            Line(
                task, method.name, f"agreement after round {found.number}", agreed,
                {"LLaMA2-70B with LLaMA-65B": Figure(figure)} if figure is not None else {},
            )
        )  # fmt: skip
    return lines


def _temperature_lines(task: str, found: SearchResult) -> list[Line]:
    values = ", ".join(
        f"{value:.2f}" if isinstance(value, float) else str(value) for value in found.best.values.values()
    )
    row = found.test
    ours = Share.of([True] * row.correct + [False] * (row.total - row.correct))
    printed = {model: rows["cipher"][task] for model, rows in paper.TABLE_1.items() if task in rows["cipher"]}
    best = paper.TEMPERATURES.get((task, "cipher"))
    theirs = f"; the paper's are {best[0]:.2f}, {best[1]:.2f}" if best else ""
    return [Line(task, "cipher", "accuracy at the best temperatures", ours, printed, f"{values}{theirs}")]


def _caveats(experiment: Experiment, config: DebateConfig, questions: int) -> tuple[str, ...]:
    said = []
    models = tuple(dict.fromkeys(model for model, _, _ in config.engines))
    if not all(is_the_papers_model(model) for model in models):
        said.append(
            f"Not comparable: the paper's figures are of LLaMA2-70B and LLaMA-65B, ours of {' and '.join(models)}. They stand "
            "beside each other to show what to compare once the model is the paper's."
        )
    if questions < FULL:
        said.append(
            f"{questions} questions a task, where the paper tests on {FULL} and more: the intervals say how little that tells."
        )
    if experiment.figures == "table2" and len(models) == 1:
        said.append(
            "One model debates with itself: the paper's figures are of two, and are left out. Give --second-model."
        )
    if config.model.startswith(TINY):
        said.append(f"{config.model} knows one form: its own prompts and lengths stand in place of the paper's.")
    if experiment.paper_temperatures:
        said.append(f"Temperatures: {paper.TEMPERATURES_SOURCE}.")
    said.append("Prompts and few-shot examples are this project's, not the paper's (docs/reproductions.md).")
    return (*said, *experiment.notes)


def is_the_papers_model(model: str) -> bool:
    """Whether a model is one of the paper's, by its name."""
    plain = model.lower().replace("_", "-")
    return "chat" not in plain and any(
        name in plain for name in ("llama-2-70b", "llama2-70b", "llama-65b", "llama-1-65b", "llama1-65b")
    )


def _write(made: Reproduction, analyses: Sequence[Analysis], out: Path, warn: Warn) -> None:
    content = asdict(made)
    write_atomic(out / "reproduce.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_atomic(out / "reproduce.md", markdown(made))
    header, *rows = cells(made)
    before = [
        blocks.items(made.caveats),
        blocks.table("Ours beside the paper's", header, rows),
        blocks.note(paper.SOURCE),
    ]
    with derived(f"{out / PAGE}", warn):
        write_page(analyses, out / PAGE, title=made.title, before=before)


def cells(made: Reproduction) -> list[list[str]]:
    """Return header and rows of the comparison."""
    models = list(dict.fromkeys(model for line in made.lines for model in line.paper))
    rows = [["task", "method", "figure", "ours, %", "95 %", *(f"paper, {model}" for model in models), "note"]]
    for line in made.lines:
        ours, interval = "–", "–"
        if line.ours is not None:
            ours = f"{100 * line.ours.value:.1f} ({line.ours.count}/{line.ours.total})"
            interval = f"{100 * line.ours.interval.low:.0f}–{100 * line.ours.interval.high:.0f}"
        printed = [str(line.paper[model]) if model in line.paper else "" for model in models]
        rows.append([line.task, line.method, line.what, ours, interval, *printed, line.note])
    return rows


def markdown(made: Reproduction) -> str:
    """Return the comparison as Markdown."""
    header, *rows = cells(made)

    def row(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"

    lines = [f"# {made.title}", "", f"Ours: {made.model}. The paper's: {paper.SOURCE}.", ""]
    lines += [f"- {sentence}" for sentence in made.caveats]
    lines += ["", row(header), "|" + "---|" * len(header), *map(row, rows)]
    if made.sentences:
        lines += ["", "Paired differences over the same questions:", ""]
        lines += [f"- {task}: {sentence}" for task, sentence in made.sentences]
    return "\n".join(lines) + "\n"
