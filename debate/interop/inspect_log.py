"""A run as logs of Inspect, one a method, written by Inspect's own API: what `inspect view` shows as a timeline."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspect_ai.event import Event, InfoEvent, ModelEvent, ScoreEvent, SpanBeginEvent, SpanEndEvent
from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalError,
    EvalLog,
    EvalMetric,
    EvalPlan,
    EvalPlanStep,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
    write_eval_log,
)
from inspect_ai.model import ChatMessage, ChatMessageUser, GenerateConfig, ModelOutput, ModelUsage
from inspect_ai.scorer import Score

from agents.installed import versions
from debate.config.load import load_config
from debate.config.schema import DebateConfig
from debate.interop.inspect_outputs import said_by, turn_facts, turn_output, usage_of
from debate.run_folder.reader import DebateRecord, RunReader
from debate.serving.debates import answering_turn
from debate.serving.growing import told
from debate.transcript import Turn

SOURCE, SCORER = "cipher-debate", "debate"
FACTS = ["answer", "reason", "answers"]
# As Inspect writes verdicts.
VALUES = {"correct": "C", "incorrect": "I", "no answer": "N"}


def write_log(reader: RunReader, method: str, path: Path) -> Path:
    """Write one method of a run as a log; return its path.

    Args:
        reader: the run.
        method: which of its methods.
        path: ending in `.eval`.

    Raises:
        RunError, MessageError: the run is damaged.
    """
    config = load_config(reader.path / method / "config.yaml")
    samples = [_sample(method, config, record) for record in reader.debates(method)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(_log(reader, method, config, samples), str(path))
    return path


def _log(reader: RunReader, method: str, config: DebateConfig, samples: list[EvalSample]) -> EvalLog:
    times = [time for sample in samples for time in (sample.started_at, sample.completed_at) if time]
    scored = [sample.scores[SCORER] for sample in samples if sample.scores]
    right = sum(score.value == "C" for score in scored)
    metrics = {"accuracy": EvalMetric(name="accuracy", value=right / len(samples))} if samples and scored else {}
    scores = [EvalScore(name=SCORER, scorer=SCORER, scored_samples=len(scored), metrics=metrics)] if scored else []
    done = sum(sample.error is None for sample in samples)
    is_whole = done == len(samples)
    spec = EvalSpec(
        created=min(times, default=_stamp(0.0)),
        task=config.task,
        dataset=EvalDataset(name=config.task, samples=len(samples), sample_ids=[str(one.id) for one in samples]),
        model=f"{SOURCE}/{method}",
        config=EvalConfig(),
        packages=versions(["cipher-debate"]),
        metadata={"run": reader.path.name, "method": method, "config": config.model_dump(mode="json", by_alias=True)},
    )
    stats = EvalStats(
        started_at=min(times, default=""), completed_at=max(times, default=""), model_usage=_summed(samples)
    )
    return EvalLog(
        status="success" if is_whole else "error",
        error=None if is_whole else _failure(f"{len(samples) - done} of {len(samples)} debates did not end"),
        eval=spec,
        plan=EvalPlan(steps=[EvalPlanStep(solver=SOURCE, params={"method": method})]),
        results=EvalResults(total_samples=len(samples), completed_samples=done, scores=scores),
        stats=stats,
        samples=samples,
    )


def _sample(method: str, config: DebateConfig, record: DebateRecord) -> EvalSample:
    transcript, end = record.transcript, record.decision
    turns = transcript.turns
    usage = _usage(turns)
    started = min((begun for begun, _ in record.times.values()), default=0.0)
    ended = max((said for _, said in record.times.values()), default=started)
    answering = None if end is None else answering_turn(config, transcript, end["answer"], end["answers"])
    shown = answering or (turns[-1] if turns else None)
    score = _score(end)
    return EvalSample(
        id=transcript.question.id,
        epoch=1,
        input=transcript.question.text,
        target=str(end["target"]) if end is not None and "target" in end else "",
        messages=[ChatMessageUser(content=transcript.question.text), *map(said_by, turns)],
        output=ModelOutput() if shown is None else turn_output(shown),
        scores=None if score is None else {SCORER: score},
        metadata={} if end is None else {key: end[key] for key in ("reason", "answers") if key in end},
        events=list(_events(method, record, score, started, ended)),
        model_usage=usage,
        started_at=_stamp(started),
        completed_at=_stamp(ended),
        total_time=ended - started,
        error=None if end is not None else _failure(record.failure or "the debate did not end"),
    )


def _score(end: Mapping[str, Any] | None) -> Score | None:
    if end is None or end.get("score") not in VALUES:
        return None
    more = {"credit": end["credit"]} if end.get("credit") is not None else None
    return Score(value=VALUES[end["score"]], answer=end["answer"], explanation=end["reason"], metadata=more)


def _events(method: str, record: DebateRecord, score: Score | None, started: float, ended: float) -> Iterator[Event]:
    """Yield a debate as spans: it, its rounds, and in each round its agents."""
    question = record.transcript.question
    said = {turn.key: turn for turn in record.transcript.turns}
    root = f"{question.id}/debate"
    yield _begin(root, None, f"debate: {method}", "debate", started, started)
    for number, group in itertools.groupby(record.transcript.turns, lambda turn: turn.key.round):
        turns, span = list(group), f"{question.id}/{number}"
        first = min(record.times[turn.key][0] for turn in turns)
        yield _begin(span, root, f"round {number}", "round", first, started)
        for turn in turns:
            heard = [ChatMessageUser(content=told(said[key]).strip()) for key in turn.heard if key in said]
            yield from _turn(turn, [ChatMessageUser(content=question.text), *heard], span, record, started)
        last = max(record.times[turn.key][1] for turn in turns)
        yield SpanEndEvent(id=span, span_id=span, **_at(last, started))
    if record.decision is not None:
        facts: dict[str, Any] = {key: record.decision[key] for key in FACTS if key in record.decision}
        yield InfoEvent(source=SOURCE, data=facts, span_id=root, **_at(ended, started))
    if score is not None:
        yield ScoreEvent(score=score, scorer=SCORER, span_id=root, **_at(ended, started))
    yield SpanEndEvent(id=root, span_id=root, **_at(ended, started))


def _turn(
    turn: Turn, shown: Sequence[ChatMessage], parent: str, record: DebateRecord, started: float
) -> Iterator[Event]:
    span = f"{parent}/{turn.key.agent}"
    begun, said = record.times[turn.key]
    yield _begin(span, parent, turn.key.agent, "agent", begun, started)
    yield ModelEvent(
        model=turn.message.model.model,
        role=turn.key.agent,
        input=list(shown),
        tools=[],
        tool_choice="none",
        config=GenerateConfig(temperature=turn.message.temperature, seed=turn.seed),
        output=turn_output(turn),
        span_id=span,
        working_time=said - begun,
        **_at(begun, started),
    )
    yield InfoEvent(source=SOURCE, data=turn_facts(turn), span_id=span, **_at(said, started))
    yield SpanEndEvent(id=span, span_id=span, **_at(said, started))


def _begin(id: str, parent: str | None, name: str, kind: str, at: float, started: float) -> SpanBeginEvent:
    return SpanBeginEvent(id=id, parent_id=parent, span_id=id, name=name, type=kind, **_at(at, started))


def _at(seconds: float, started: float) -> dict[str, Any]:
    return {"timestamp": datetime.fromtimestamp(seconds, UTC), "working_start": max(0.0, seconds - started)}


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _usage(turns: Sequence[Turn]) -> dict[str, ModelUsage]:
    models = dict.fromkeys(turn.message.model.model for turn in turns)
    return {model: usage_of([turn.usage for turn in turns if turn.message.model.model == model]) for model in models}


def _summed(samples: Sequence[EvalSample]) -> dict[str, ModelUsage]:
    found: dict[str, ModelUsage] = {}
    for sample in samples:
        for model, usage in sample.model_usage.items():
            found[model] = found[model] + usage if model in found else usage
    return found


def _failure(sentence: str) -> EvalError:
    return EvalError(message=sentence, traceback="", traceback_ansi="")
