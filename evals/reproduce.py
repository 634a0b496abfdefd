"""The paper's experiments at any scale: our figures beside the paper's.

An experiment is the paper's settings as data. What cannot be compared is marked: another model, fewer questions, figures
read off a plot. Every part is an ordinary evaluation in OUT/TASK, so an interrupted one goes on.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agents.atomic_file import write_atomic
from agents.backend import Backend
from agents.errors import ConfigError, DebateError, UnknownName
from agents.tokenizers import tokenizer_of
from debate.config.schema import DebateConfig
from debate.runtime.backends import Backends
from debate.runtime.observer import Observer
from evals import paper
from evals.analysis import blocks
from evals.analysis.derived import Warn, derived
from evals.analysis.effects import effect_cells, read_effects
from evals.analysis.pooled import pooled
from evals.analysis.run_hash import run_hash
from evals.analysis.run_record import MethodRecord
from evals.analysis.summary import Analysis, Share
from evals.effects import measure_run
from evals.evaluation import Selection, evaluate
from evals.experiment import SEARCHED, TINY, Experiment, experiment_config, load_experiment
from evals.outputs import PAGE, analyse_run, write_outputs, write_page
from evals.paper import Figure
from evals.reproduction import Ending, Line, Reproduction, before, markdown
from evals.search.search import SearchResult, search

FULL = 200
"""Questions of the paper's validation and test sets."""


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

    An experiment of several seeds is a run of each; its rows are compared over the questions of all. A task whose questions
    cannot be had is a line that says so; the others are run.

    Args:
        name: name of the experiment.
        out: the folder; what is there already is not run again.
        overrides: keys of the config that stand for the paper's: model, backend, dtype, options, seed, …
        limit: maximum number of questions for each task.
        tasks: run only these tasks of the experiment.
        data: a folder of benchmark files, or of one folder a task.
        trials: number of trials of a search, in place of the experiment's.
        observer: receives every event as it happens.
        progress: called with a sentence for each slow step.

    Raises:
        ConfigError: an unknown experiment or task.
        DebateError: what the user can mend, of engine or model.
    """
    experiment = load_experiment(name)
    chosen = tuple(tasks) or experiment.tasks
    if unknown := [task for task in chosen if task not in experiment.tasks]:
        raise UnknownName("task", unknown[0], experiment.tasks, where=name)
    seeds = () if "seed" in overrides else experiment.seeds
    parts = [(task, {"seed": seed}) for task in chosen for seed in seeds] or [(task, {}) for task in chosen]
    configs = [experiment_config(experiment, task, {**overrides, **own}) for task, own in parts]
    config = configs[0]
    lines: list[Line] = []
    analyses: list[Analysis] = []
    labels: list[str] = []
    unmeasured: list[str] = []
    # The model is the same for every task, and is loaded once.
    engines = Backends(config, progress)
    began = time.monotonic()
    try:
        for number, ((task, own), asked) in enumerate(zip(parts, configs, strict=True), start=1):
            label = "".join([task, *(f", seed {seed}" for seed in own.values())])
            if len(parts) > 1:
                progress(f"{name}: {label}, part {number} of {len(parts)}{_left(began, number - 1, len(parts))}")
            # The prompt files have the worked examples, as the paper's have.
            selection = Selection(limit=limit, data=_data(data, task), num_fewshot=0)
            folder = out / "-".join([task.replace(":", "-"), *(f"seed{seed}" for seed in own.values())])
            try:
                if experiment.trials:
                    found = await search(
                        asked, out=folder, method=SEARCHED, trials=trials or experiment.trials,
                        selection=selection, progress=progress,
                    )  # fmt: skip
                    analyses.append(analyse_run(folder / "test"))
                    lines += _temperature_lines(task, found)
                else:
                    await evaluate(
                        asked, out=folder, selection=selection, backends=engines, observer=observer,
                        progress=progress,
                    )  # fmt: skip
                    if experiment.effects is not None:
                        measured = experiment.row_in(asked, experiment.effects)
                        without = await _effects(folder, measured, engines, progress)
                        unmeasured += [without] if without else []
                    (analysis,) = write_outputs(folder, warn=progress)
                    analyses.append(analysis)
                    lines += [replace(line, task=label) for line in _lines(experiment, task, analysis)]
                labels.append(label)
            except DebateError as error:
                if not _is_about_data(error):
                    raise
                progress(f"{task}: not run: {error}")
                lines.append(Line(label, "", "", None, note=f"not run: {error}"))
    finally:
        await engines.close()
    questions = max((method.accuracy.total for analysis in analyses for method in analysis.methods), default=0)
    named = list(zip(labels, analyses, strict=True))
    found_sentences = tuple((label, c.sentence) for label, a in named for c in a.comparisons)
    if experiment.against is not None:
        found_sentences = tuple(_pooled(experiment, experiment.against, analyses))
    made = Reproduction(
        name,
        experiment.title,
        config.model,
        questions,
        tuple(lines),
        (*_caveats(experiment, config, questions, lines), *dict.fromkeys(unmeasured)),
        found_sentences,
        _conditions(config, engines.started, seeds or (config.seed,)),
        tuple(Ending.of(label, method) for label, a in named for method in a.record.methods),
        tuple(
            (label, method.name, tuple(map(tuple, effect_cells(method.effects))))
            for label, a in named
            for method in a.record.methods
            if method.effects
        ),
        tuple((label, run_hash(a.record)) for label, a in named),
    )
    _write(made, analyses, out, progress)
    return made


def _pooled(experiment: Experiment, against: str, analyses: Sequence[Analysis]) -> Iterator[tuple[str, str]]:
    """Yield a task, and how a row fared against one over the questions of all its runs."""
    for task in dict.fromkeys(analysis.record.config.task for analysis in analyses):
        records = [analysis.record for analysis in analyses if analysis.record.config.task == task]
        label = f"{task}, {len(records)} seeds" if len(records) > 1 else task
        for comparison in pooled(records, experiment.row_in(records[0].config, against)):
            yield label, comparison.sentence


async def _effects(folder: Path, method: str, engines: Backends, progress: Callable[[str], None]) -> str:
    """Measure what a row's messages do to their hearers, and return why not where it cannot be; what is there stays."""
    if read_effects(folder / method) is None:
        try:
            await measure_run(folder, method, backends=engines, progress=progress)
        except ConfigError as error:
            return f"The effects on hearers are not measured: {error}."
    return ""


def _left(began: float, done: int, total: int) -> str:
    """Return how long the tasks not begun may take, at the pace of those that are done."""
    if not done:
        return ""
    seconds = (time.monotonic() - began) / done * (total - done)
    return f"; about {max(seconds / 60, 1):.0f} min left, if all take as long"


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
    hang = {method.name for method in analysis.methods if method.is_dependent}
    return [replace(line, is_dependent=line.method in hang) for line in _figures(experiment, task, analysis)]


def _figures(experiment: Experiment, task: str, analysis: Analysis) -> list[Line]:
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
    lines = []
    for place, agent in enumerate(method.config.agents):
        model = ("LLaMA2-70B", "LLaMA-65B")[min(place, 1)]
        for number in range(1, method.config.rounds + 1):
            turns = [t for debate in method.debates for t in debate.turns if (t.agent, t.round) == (agent, number)]
            figure = printed[model][number - 1] if model in printed and number <= 3 else None
            ours = Share.of(turn.verdict == "correct" for turn in turns)
            lines.append(
                Line(
                    task, method.name, f"{agent} ({method.config.model_of(agent)}) after round {number}", ours,
                    {model: Figure(figure)} if figure is not None else {},
                )
            )  # fmt: skip
    summary = next(found for found in analysis.methods if found.name == method.name)
    for found in summary.rounds:
        if found.agreement is None:
            continue
        # Of two agents a question agrees or does not: a share of the questions to which both have spoken.
        alike = round(found.agreement * found.compared)
        agreed = Share.of([True] * alike + [False] * (found.compared - alike))
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


def _conditions(config: DebateConfig, started: Sequence[Backend], seeds: Sequence[int]) -> str:
    """Return how ours were asked, in a line; the form as the first engine's tokenizer decides it where the config does not."""
    models = " and ".join(dict.fromkeys(model for model, _, _ in config.engines))
    has_template = any(getattr(tokenizer_of(backend), "chat_template", None) for backend in started)
    is_chat = config.format == "chat" or (config.format == "auto" and has_template)
    form = "in the model's chat template" if is_chat else "as plain text"
    drawn = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return f"{models} on {config.backend}, {config.dtype}, asked {form}, {config.rounds} rounds, {drawn}"


def _caveats(experiment: Experiment, config: DebateConfig, questions: int, lines: Sequence[Line]) -> tuple[str, ...]:
    said = []
    models = tuple(dict.fromkeys(model for model, _, _ in config.engines))
    printed = [figure for line in lines for figure in line.paper.values()]
    if not all(is_the_papers_model(model) for model in models):
        beside = (
            "They stand beside each other to show what to compare once the model is the paper's."
            if printed
            else "None of the paper's stand beside ours."
        )
        said.append(
            f"Not comparable: the paper's figures are of LLaMA2-70B and LLaMA-65B, base models asked in plain text, ours of "
            f"{' and '.join(models)}. {beside}"
        )
    if questions < FULL:
        said.append(
            f"{questions} question{'s' * (questions != 1)} a task, the first of its test split (of a generated task those of the "
            f"seed), where the paper tests on {FULL} of its own choice and more: the intervals say how little that tells."
        )
    if any(figure.spread is not None and not figure.is_read_off for figure in printed):
        said.append("Our intervals are over the questions of one run; the paper's ± is over runs.")
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
    write_atomic(out / "reproduce.json", json.dumps(asdict(made), indent=1, ensure_ascii=False) + "\n")
    write_atomic(out / "reproduce.md", markdown(made))
    page = [blocks.text(f"Ours: {made.conditions or made.model}."), *before(made)]
    with derived(f"{out / PAGE}", warn):
        write_page(analyses, out / PAGE, title=made.title, before=page)
