"""A debate rehearsed without its models: every prompt rendered at its longest, against what each model's context holds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from agents.beliefs.cards import is_belief_backend
from agents.errors import DebateError
from agents.prompts import Prompts
from agents.speakers.roles import names_kind
from debate.config.prompt_files import prompts_of
from debate.config.schema import DebateConfig
from debate.overflow import Overflow
from debate.preview.checks import Finding
from debate.preview.engines import KnownEngine, check_transforms, known_engine
from debate.preview.remembered import Measure
from debate.protocol.exchange import Exchange
from debate.protocol.protocol import Inbox
from debate.transcript import TurnKey
from kernels.encoders import parse

# What a run would do with such a prompt.
TOO_LONG: dict[Overflow, str] = {
    "fail": "a question whose prompt is too long fails (overflow: fail).",
    "truncate-oldest": "of a prompt that is too long the oldest messages are left out (overflow: truncate-oldest).",
    "summarise": "of a prompt that is too long the agent first sums the oldest messages up, which costs it further tokens "
    "(overflow: summarise).",
}


@dataclass(frozen=True)
class LongestPrompt:
    """The longest prompt that a model may be given in a debate.

    Attributes:
        engine: engine of its model.
        turn: agent and round.
        tokens: upper bound, with every message at its limit and all remembered that may be.
        least: tokens for the shortest question, with every message empty.
        room: tokens that the answer may have.
    """

    engine: KnownEngine
    turn: TurnKey
    tokens: int
    least: int
    room: int

    def __str__(self) -> str:
        context = "not known" if self.engine.context is None else f"{self.engine.context:,}"
        return (
            f"longest prompt of {self.engine.model}: {self.turn.agent}, round {self.turn.round}: at most {self.tokens:,} "
            f"tokens and {self.room:,} for the answer; its context: {context}"
        )


@dataclass(frozen=True)
class Rehearsal:
    """What a debate would meet.

    Attributes:
        prompts: the longest of each model whose tokenizer is known.
        prompt_tokens: upper bound for all turns of one debate; where questions are remembered of the mean one; None if a
            tokenizer is unknown.
        operations: floating-point operations of one debate, about; None where a model's size is not known.
        findings: errors and warnings.
    """

    prompts: tuple[LongestPrompt, ...]
    prompt_tokens: int | None
    operations: int | None
    findings: tuple[Finding, ...]


def rehearse(
    config: DebateConfig, exchange: Exchange, questions: Sequence[str] = (), shots: Sequence[tuple[str, str]] = ()
) -> Rehearsal:
    """Return what a debate over some questions would meet; no model is started and nothing is fetched.

    Args:
        config, exchange: the debate.
        questions: that are asked; by default an empty one, so that what is measured is all that stands around it. Where they are
            remembered, the last one's prompts are the longest.
        shots: the task's worked examples.
    """
    engines, files, findings = _looked_up(config, shots)
    for encoder in dict.fromkeys(encoder for encoder in exchange.encoders.values() if encoder):
        try:
            parse(encoder)
        except ValueError as error:
            findings.append(Finding("error", f"encoder: {error}"))
    readers = {name for name in config.agents if _reads(config, name)}
    long, short = (pick(questions or [""], key=len) for pick in (max, min))
    measure, before = Measure(config, exchange, files, engines), max(0, len(questions) - 1)
    longest: dict[int, LongestPrompt] = {}
    total, operations = 0, 0
    is_whole = is_sized = True
    for turn, inbox in exchange.planned.plan.items():
        engine, prompts = engines.get(turn.agent), files.get(turn.agent)
        if turn.agent not in readers:
            # A control, a specialist, a kind of one's own: it reads no prompt, or none of ours.
            continue
        if engine is None or prompts is None or engine.tokenizer is None:
            is_whole = is_sized = False
            continue
        try:
            tokens = measure.most(turn, long, before)
            mean = measure.most(turn, long, (before + 1) // 2)
            least = _least(config.overflow, measure, turn, inbox, short)
        except DebateError as error:
            if (finding := Finding("error", f"{turn.agent}: {error}")) not in findings:
                findings.append(finding)
            continue
        if engine.context is not None:
            # Of a longer one nothing is read, or less.
            mean = min(mean, max(0, engine.context - config.max_tokens))
        total += mean
        operations += 2 * (engine.parameters or 0) * (mean + config.max_tokens)
        longer = longest.get(id(engine))
        if longer is None or tokens > longer.tokens:
            most = max(least, 0 if longer is None else longer.least)
            longest[id(engine)] = LongestPrompt(engine, turn, tokens, most, config.max_tokens)
    findings += [told for found in longest.values() if (told := _fits(found, config.overflow)) is not None]
    return Rehearsal(
        tuple(longest.values()), total if is_whole else None, operations if is_sized else None, tuple(findings)
    )


def seconds_of(operations: int) -> float | None:
    """Return about how long so many operations take here; None on a GPU, whose speed is not measured for this."""
    import torch

    if torch.cuda.is_available():
        return None
    return operations / _operations_a_second() if operations else 0.0


@cache
def _operations_a_second() -> float:
    """Return the speed of a product of matrices here; decoding small batches is slower, and large ones come near it."""
    import torch

    size = 768
    matrix = torch.ones(size, size)
    matrix @ matrix
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < 0.05:
        matrix @ matrix
        count += 1
    return 2 * size**3 * count / (time.perf_counter() - start)


def _looked_up(
    config: DebateConfig, shots: Sequence[tuple[str, str]]
) -> tuple[dict[str, KnownEngine], dict[str, Prompts], list[Finding]]:
    """Return the engine and the prompt files of every agent that reads prompts, and what is wrong with them."""
    engines: dict[str, KnownEngine] = {}
    files: dict[str, Prompts] = {}
    findings: list[Finding] = []
    known: dict[str, KnownEngine] = {}
    checked: dict[Prompts, Prompts] = {}

    def tell(kind: Any, text: str) -> None:
        if all(finding.text != text for finding in findings):
            findings.append(Finding(kind, text))

    for name, agent in config.agents.items():
        backend, model = agent.backend or config.backend, config.model_of(name)
        if agent.is_control or is_belief_backend(backend):
            continue
        # Agents of one engine share what is known of it.
        key = repr((backend, model, agent.options))
        try:
            if agent.transforms:
                check_transforms(agent.transforms, backend, f"agents.{name}")
            if key not in known:
                known[key] = known_engine(config, backend, model, agent.options)
                if known[key].remark:
                    tell("warning", f"model {model}: {known[key].remark}, so its prompts are not measured")
            engines[name] = known[key]
        except (DebateError, OSError, ValueError) as error:
            tell("error", str(error))
        if not _reads(config, name):
            continue
        try:
            prompts = prompts_of(config, name, shots)
            if prompts not in checked:
                prompts.check()
            files[name] = checked.setdefault(prompts, prompts)
        except DebateError as error:
            tell("error", f"agents.{name}: {error}")
    return engines, files, findings


def _reads(config: DebateConfig, name: str) -> bool:
    """Whether an agent reads prompt files."""
    agent = config.agents[name]
    return not (names_kind(agent.role) or is_belief_backend(agent.backend or config.backend))


def _least(overflow: Overflow, measure: Measure, turn: TurnKey, inbox: Inbox, question: str) -> int:
    """Return the tokens of a turn's prompt that no run could do without."""
    if overflow == "fail":
        return measure.least(turn, question)
    least = measure.alone(Inbox(None, ()), turn.agent, question)
    if overflow == "summarise" and inbox.heard:
        # Its own words stay, and there is a prompt that asks for the summary.
        own = Inbox(inbox.own, inbox.heard[:1])
        least = max(least, measure.alone(own, turn.agent, question), measure.summary(turn.agent, question))
    return least


def _fits(found: LongestPrompt, overflow: Overflow) -> Finding | None:
    context = found.engine.context
    if context is None or found.tokens + found.room <= context:
        return None
    where = f"{found.turn.agent}, round {found.turn.round}, {found.engine.model}"
    remedy = "Lower max_tokens or rounds, hear fewer agents (a sparser topology), show fewer examples, or take another model."
    if found.least + found.room > context:
        return Finding(
            "error",
            f"{where}: the prompt of the shortest question has {found.least:,} tokens before anything is said in it, and with "
            f"{found.room:,} for the answer the context of {context:,} is too short for it. {remedy}",
        )
    return Finding(
        "warning",
        f"{where}: where messages are as long as they may be, the longest prompt has {found.tokens:,} tokens, and with "
        f"{found.room:,} for the answer that is {found.tokens + found.room - context:,} more than the context of {context:,}; "
        f"{TOO_LONG[overflow]} {remedy}",
    )
