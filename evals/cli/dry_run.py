"""`--dry-run`: what a run would ask, cost and meet, before anything starts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from debate.cli import options

if TYPE_CHECKING:
    from debate.config.schema import DebateConfig
    from debate.preview.checks import Finding
    from debate.preview.rehearsal import LongestPrompt
    from evals.evaluation import Selection

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check questions, prompts, models and contexts, estimate tokens and time, and start nothing."
    ),
]


def dry_run(
    config: "DebateConfig",
    methods: "Sequence[str] | Mapping[str, DebateConfig]",
    selection: "Selection",
    *,
    trials: int = 1,
) -> bool:
    """Print what methods over a task's questions would cost and meet; return whether any of it would be refused.

    Args:
        config: the run's.
        methods: rows of the table, by name or with the debate of each; all of the config's by default.
        selection: which questions.
        trials: how often each is played, of a search.

    Raises:
        DebateError: questions that cannot be read, or a method that cannot be.
    """
    from evals.evaluation import with_scoring
    from evals.methods import method_names, resolve
    from evals.samples import load_selected

    task = selection.task(config)
    config = with_scoring(config, task)
    examples = task.shots()
    shots = [(shot.question, shot.solution) for shot in examples]
    samples, loaded = load_selected(
        task,
        limit=selection.limit,
        shuffle=selection.shuffle,
        seed=config.seed,
        sample_ids=selection.sample_ids,
        shown=examples,
    )
    source = f" from {loaded.source}" if loaded.source else ""
    _say(f"{config.task}: {len(samples)} of {len(loaded.samples)} questions{source}, {len(shots)} worked examples")
    if not isinstance(methods, Mapping):
        methods = {name: resolve(config, name) for name in methods or method_names(config)}
    played = {name: with_scoring(debate, task) for name, debate in methods.items()}
    return rehearse_rows(played, [sample.question for sample in samples], shots, trials=trials)


def rehearse_rows(
    rows: "Mapping[str, DebateConfig]",
    questions: Sequence[str],
    shots: Sequence[tuple[str, str]] = (),
    *,
    trials: int = 1,
) -> bool:
    """Print what methods over some questions would cost and meet; return whether any of it would be refused."""
    from debate.decision.rules import decision_rule
    from debate.preview.checks import check
    from debate.preview.facts import facts
    from debate.preview.rehearsal import rehearse, seconds_of
    from debate.protocol.exchange import build_exchange
    from evals.methods import needs_budget

    found: dict[Finding, list[str]] = {}
    longest: dict[str, LongestPrompt] = {}
    for name, played in rows.items():
        decision_rule(played.decision, lambda _, __: None, voters=played.electorate.voters)
        exchange = build_exchange(played)
        rehearsal = rehearse(played, exchange, questions, shots)
        one = facts(played, exchange)
        count = len(questions) * trials
        told = [
            f"at most {count * one.turns:,} turns",
            f"{count * one.generated_tokens:,} tokens generated",
            "tokens read not known" if rehearsal.prompt_tokens is None else f"{count * rehearsal.prompt_tokens:,} read",
            "size not known" if one.message_bytes is None else f"{_size(count * one.message_bytes)} of messages",
        ]
        seconds = None if rehearsal.operations is None else seconds_of(count * rehearsal.operations)
        told.append("time not known" if seconds is None else f"roughly {_duration(seconds)}")
        budget = "; for each of the k samples, which the debates' cost decides" if needs_budget(name) else ""
        _say(f"{name}: {', '.join(told)}{budget}")
        for prompt in rehearsal.prompts:
            model = prompt.engine.model
            longest[model] = max(longest.get(model, prompt), prompt, key=lambda one: one.tokens)
        for finding in (*check(played, exchange), *rehearsal.findings):
            found.setdefault(finding, []).append(name)
    for prompt in longest.values():
        _say(str(prompt))
    return _told(found, len(rows))


def _told(found: "Mapping[Finding, Sequence[str]]", methods: int) -> bool:
    """Print findings, each once with the methods that meet it."""
    for finding, rows in found.items():
        where = "" if len(rows) == methods else f" ({', '.join(rows)})"
        _say(f"{finding.kind}{where}: {finding.text}")
    is_refused = any(finding.kind == "error" for finding in found)
    if not found:
        _say("nothing is wrong with it")
    _say(
        "dry run: nothing was started, asked or written; time is a guess from this machine's arithmetic, good to a factor of 3"
    )
    return is_refused


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 1024:,.1f} KiB"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _say(line: str) -> None:
    options.console.print(line, markup=False, soft_wrap=True)
