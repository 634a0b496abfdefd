"""A finished run read back for analysis: every turn with the answer it gave and how that fared, every debate with its end.

Everything comes from the run folder: transcripts through `debate.run_folder.reader`, the questions from samples.jsonl, each
method's resolved config from METHOD/config.yaml. A folder that holds several runs (one a task) is read run by run.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.errors import DebateError, RunError
from agents.json_text import parse_json
from debate.config.load import load_config
from debate.config.schema import DebateConfig
from debate.decision.belief_rules import probability, stated
from debate.decision.decision import Poll, Rule
from debate.decision.option_reading import OptionReading, read_options
from debate.decision.rules import decision_rule
from debate.run_folder.facts import read_facts
from debate.run_folder.reader import DebateRecord, RunReader
from debate.transcript import Transcript, Turn
from evals.analysis.effects import Effects, read_effects
from evals.energy import Energy, read_energy
from evals.label_tokens import LabelTokens, read_label_tokens
from evals.methods import config_of
from evals.samples import read_samples
from evals.scorer import Scorer
from evals.task import create_task
from kernels.names import did_you_mean

T = TypeVar("T")
# Of the voters of one debate: after each of so many it is looked at what the vote came to.
EACH = 128


@dataclass(frozen=True)
class TurnRow:
    """One turn, flat.

    Attributes:
        question, round, agent: identity of the turn.
        is_deciding: whether the agent's answer is the one that counts by temperature.
        temperature, encoder: settings of the speaker; encoder is None for text.
        answer, verdict: flexibly extracted, and scored.
        strict_answer, strict_verdict: in the form that the task asks for.
        prompt_tokens, cached_tokens, generated_tokens, message_bytes, seconds: cost; seconds is None where not kept.
        confidence: of a CIPHER message the geometric mean of each step's highest probability; of a text what it states.
        entropy: [T] float32, nats, of each step's belief; empty for text.
        belief: over the options of a choice, where a CIPHER message says one of them.
        finish_reason, seed, heard, digest, text: as in the transcript.
    """

    question: str
    round: int
    agent: str
    is_deciding: bool
    temperature: float
    encoder: str | None
    answer: str | None
    verdict: str
    strict_answer: str | None
    strict_verdict: str
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    message_bytes: int
    seconds: float | None
    confidence: float | None
    finish_reason: str
    seed: int
    heard: tuple[tuple[int, str], ...]
    digest: str
    text: str
    entropy: NDArray[np.float32] = field(repr=False, compare=False)
    belief: OptionReading | None = field(repr=False, compare=False, default=None)


@dataclass(frozen=True)
class DebateRow:
    """One debate of one question.

    Attributes:
        question, text, target: id and text of the question, and the right answer.
        answer, verdict, reason: outcome of the debate.
        strict_verdict: of the same decision over strictly extracted answers; None for decisions that read beliefs.
        failure: why it was given up; None where it was not.
        turns: in order.
        prefixes: (generated tokens, verdict) had it ended earlier: after each round, or of votes without exchange after
            each further voter, of many after some (`cuts`). None where the decision cannot be taken again without the engine.
    """

    question: str
    text: str
    target: str
    answer: str | None
    verdict: str
    reason: str
    strict_verdict: str | None
    failure: str | None
    turns: tuple[TurnRow, ...]
    prefixes: tuple[tuple[int, str], ...] | None


@dataclass(frozen=True)
class MethodRecord:
    """One method of a run.

    Attributes:
        name: its row of the table.
        config: the debate that it played.
        debates: those that ended, sorted by question.
        unfinished: questions begun and not ended.
        effects: what controls in its messages' place do to hearers, where `debate effects` measured it.
    """

    name: str
    config: DebateConfig
    debates: tuple[DebateRow, ...]
    unfinished: int
    effects: Effects | None = None

    @property
    def is_dependent(self) -> bool:
        """Whether a question depends on those before it (memory: questions), so that no statistic over questions holds."""
        return any(agent.memory == "questions" for agent in self.config.agents.values())

    def outcomes(self, *, strict: bool = False) -> dict[str, list[float]]:
        """Return question → [1 if correct else 0], for paired statistics; failed debates and no answer are 0."""
        verdicts = ((d.question, d.strict_verdict if strict else d.verdict) for d in self.debates)
        return {question: [float(verdict == "correct")] for question, verdict in verdicts}


@dataclass(frozen=True)
class RunRecord:
    """A run.

    Attributes:
        path: its folder.
        config: that it was begun with.
        facts: contents of run.json: versions, fingerprints, status, git hash.
        seconds: method → wall time according to results.json; missing for rows that were played side by side.
        energy: method → what it spent, where it was measured.
        methods: in the order of the table.
    """

    path: Path
    config: DebateConfig
    facts: Mapping[str, Any]
    seconds: Mapping[str, float]
    energy: Mapping[str, Energy]
    methods: tuple[MethodRecord, ...]

    def method(self, name: str) -> MethodRecord:
        """Return a method by name."""
        for found in self.methods:
            if found.name == name:
                return found
        known = [found.name for found in self.methods]
        meant = did_you_mean(name, known)
        raise RunError(f"{self.path} has no method {name!r}. It has: {', '.join(known) or 'none'}.{meant}")


def runs_in(path: Path) -> list[Path]:
    """Return the run folders of a path: itself, or those right below it.

    Raises:
        RunError: there is no run.
    """
    if (path / "run.json").is_file():
        return [path]
    found = sorted(file.parent for file in path.glob("*/run.json"))
    if not found:
        raise RunError(f"{path} is not a run: it has no run.json, nor has any folder in it")
    return found


def read_run(path: Path, run: RunReader | None = None) -> RunRecord:
    """Return a run, scored again from its transcripts.

    Args:
        path: its folder.
        run: the same run, if its journal was read already.

    Raises:
        RunError: the folder holds no run, or a damaged one.
    """
    run = run or RunReader(path)
    config = load_config(path / "config.yaml", is_record=True)
    facts = read_facts(path / "run.json")
    rows = _table(path / "results.json", "methods", lambda row: dict(row))
    order = [name for name in rows if name in run.methods]
    order += [name for name in run.methods if name not in order]
    scorer = Scorer(create_task(config.task, seed=config.seed), read_samples(path))
    decode = read_label_tokens(path)
    methods = tuple(_read_method(run, name, config_of(path / name, config), scorer, decode) for name in order)
    timed = _table(path / "results.json", "methods", _own_time)
    seconds = {name: spent for name, spent in timed.items() if spent is not None}
    energy = _table(path / "energy.json", None, lambda spent: read_energy(spent, path / "energy.json"))
    return RunRecord(path, config, facts, seconds, energy, methods)


def _own_time(row: Any) -> float | None:
    return None if row.get("seconds") is None else float(row["seconds"])


def _read_method(run: RunReader, name: str, config: DebateConfig, scorer: Scorer, decode: LabelTokens) -> MethodRecord:
    seconds = _seconds(run.path / name)
    try:
        rule: Rule | None = decision_rule(config.decision)
    except DebateError:
        # A decision over beliefs needs the engine's tokenizer: what it came to is in the transcript, no more.
        rule = None
    rows, unfinished = [], 0
    for record in run.debates(name):
        if record.decision is None and record.failure is None:
            unfinished += 1
        else:
            rows.append(_debate_row(record, config, scorer, rule, seconds, decode))
    ended = tuple(sorted(rows, key=lambda row: row.question))
    return MethodRecord(name, config, ended, unfinished, read_effects(run.path / name))


def _debate_row(
    record: DebateRecord,
    config: DebateConfig,
    scorer: Scorer,
    rule: Rule | None,
    seconds: Mapping[tuple[str, int, str], float],
    decode: LabelTokens,
) -> DebateRow:
    transcript, decision = record.transcript, record.decision or {}
    question = transcript.question
    scorer.know(question, decision.get("target"))
    deciding = config.deciding_agent
    turns = tuple(_turn_row(turn, question.id, deciding, scorer, seconds, decode) for turn in transcript.turns)
    strict = None
    if rule is not None and decision and transcript.turns:
        strictly = rule(Poll(transcript, config.electorate, scorer.reader(question.id, strict=True), scorer.same))
        strict = scorer.judge(transcript, strictly, strict=True).value
    return DebateRow(
        question=question.id,
        text=question.text,
        target=scorer.target(question.id),
        answer=decision.get("answer"),
        verdict="failed" if record.failure is not None else str(decision.get("score", "")),
        reason=str(record.failure or decision.get("score_reason") or decision.get("reason", "")),
        strict_verdict=strict,
        failure=record.failure,
        turns=turns,
        prefixes=None if rule is None or not decision else _prefixes(transcript, config, scorer, rule),
    )


def _turn_row(
    turn: Turn,
    question: str,
    deciding: str,
    scorer: Scorer,
    seconds: Mapping[tuple[str, int, str], float],
    decode: LabelTokens,
) -> TurnRow:
    message = turn.message
    flexible, strict = scorer.score(question, message.text), scorer.score(question, message.text, strict=True)
    labels = scorer.labels(question)
    confidence = probability(message) if message.is_cipher else stated(message)
    entropy = message.cipher.entropy.numpy() if message.cipher is not None else np.empty(0, dtype=np.float32)
    return TurnRow(
        question=question,
        round=turn.key.round,
        agent=turn.key.agent,
        is_deciding=turn.key.agent == deciding,
        temperature=message.temperature,
        encoder=message.encoder,
        answer=flexible.answer,
        verdict=flexible.value,
        strict_answer=strict.answer,
        strict_verdict=strict.value,
        prompt_tokens=turn.usage.prompt_tokens,
        cached_tokens=turn.usage.cached_tokens,
        generated_tokens=turn.usage.generated_tokens,
        message_bytes=message.num_bytes,
        seconds=seconds.get((question, turn.key.round, turn.key.agent)),
        confidence=confidence,
        finish_reason=turn.finish_reason,
        seed=turn.seed,
        heard=tuple((key.round, key.agent) for key in turn.heard),
        digest=message.digest,
        text=message.text,
        entropy=np.array(entropy, dtype=np.float32),
        belief=read_options(message, labels, decode) if decode.spells(message.model, labels) else None,
    )


def _prefixes(transcript: Transcript, config: DebateConfig, scorer: Scorer, rule: Rule) -> tuple[tuple[int, str], ...]:
    """Return what the debate would have come to after each round; of independent voters after each of them."""
    turns = transcript.turns
    if transcript.rounds > 1:
        cuts: Sequence[Sequence[Turn]] = [
            [turn for turn in turns if turn.key.round <= number]
            for number in sorted({turn.key.round for turn in turns})
        ]
    else:
        place = {name: number for number, name in enumerate(config.agents)}
        voted = sorted(turns, key=lambda turn: place.get(turn.key.agent, 0))
        cuts = [voted[:count] for count in counts(len(voted))]
    found = []
    reader = scorer.reader(transcript.question.id)
    for cut in cuts:
        part = Transcript(transcript.question, tuple(cut))
        score = scorer.judge(part, rule(Poll(part, config.electorate, reader, scorer.same)))
        found.append((part.generated_tokens, score.value))
    return tuple(found)


def counts(voters: int) -> list[int]:
    """Return the numbers of voters after which a vote is looked at: each up to `EACH`, then so that they grow by a sixteenth."""
    found = list(range(1, min(voters, EACH) + 1))
    while found and found[-1] < voters:
        found.append(min(voters, found[-1] + found[-1] // 16))
    return found


def spoken_in_rounds(debate: DebateRow, among: Collection[str]) -> dict[int, list[TurnRow]]:
    """Return round → the turns of some agents in it, in order."""
    found: dict[int, list[TurnRow]] = {}
    for turn in debate.turns:
        if turn.agent in among:
            found.setdefault(turn.round, []).append(turn)
    return found


def _seconds(folder: Path) -> dict[tuple[str, int, str], float]:
    """Return what each turn took, where the run kept it."""
    file = folder / "timings.jsonl"
    if not file.is_file():
        return {}
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row = parse_json(line)
            found[row["question"], row["round"], row["agent"]] = float(row["seconds"])
        except (ValueError, KeyError, TypeError):
            # A torn last line of a run that was killed; times are no part of a result.
            continue
    return found


def _table(path: Path, key: str | None, read: Callable[[Any], T]) -> dict[str, T]:
    """Return what a file, or the object under one of its keys, says of each method.

    Raises:
        RunError: it says something that no run writes.
    """
    facts = read_facts(path)
    try:
        rows = facts if key is None else facts.get(key, {})
        return {name: read(row) for name, row in rows.items()}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise RunError(f"{path}: it says of a method what no run writes ({type(error).__name__}: {error})") from error
