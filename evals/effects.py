"""What hearing a message does to its hearer: the causal effect of a content control on one edge at a time.

A debate is played without controls. For each turn that hears others, and each edge into it, the hearer reads its own prompt once
as it was and once with the control on that edge alone, and then its own intact answer, token by token (vector by vector in
CIPHER), whatever it would have said itself. The effect is KL(belief under intact ‖ belief under the control) of its next token,
in nats, at temperature 1, as the mean over the answer's first `steps` tokens.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agents.atomic_file import write_json
from agents.backend import Request
from agents.errors import ConfigError, RunError, UnknownName
from agents.message import Message
from agents.prompts import Heard
from agents.question import Question
from agents.speakers.agent import Agent
from debate.build import build_debate
from debate.config.load import load_config
from debate.config.schema import DebateConfig
from debate.contents import refusal
from debate.donors import donors
from debate.hearing_tables import control_tables
from debate.orchestrator import Debate, play
from debate.protocol.exchange import Exchange, build_exchange
from debate.protocol.protocol import Inbox
from debate.run_folder.reader import RunReader
from debate.runtime.backends import Backends
from debate.transcript import Turn, TurnKey
from evals.analysis.effects import EFFECTS, Effect, Effects
from evals.evaluation import Selection, sayable, worked
from evals.samples import read_samples, to_question
from evals.scorer import SafeExtract
from kernels.content import CONTENTS, Content

STEPS = 16
ALL: tuple[Content, ...] = tuple(name for name in CONTENTS if name != "intact")  # type: ignore[misc]
AT_ONCE = 16


@dataclass(frozen=True)
class Measured:
    """A debate whose edges are looked at.

    Attributes:
        debate: without controls, its turns rendered for every control.
        exchange: who hears whom.
        contents: the controls.
        steps: tokens of an answer.
    """

    debate: Debate
    exchange: Exchange
    contents: Sequence[Content]
    steps: int

    async def of(self, question: Question) -> list[Effect]:
        """Return the effects of every control on every edge over one question."""
        transcript = await play(replace(self.debate, is_controlled=False), question)
        said = {turn.key: turn for turn in transcript.turns}
        found = await asyncio.gather(*(self._of_turn(question, turn, said) for turn in transcript.turns))
        if self.debate.donors is not None:
            self.debate.donors.forget(question)
        return [effect for effects in found for effect in effects]

    async def _of_turn(self, question: Question, turn: Turn, said: Mapping[TurnKey, Turn]) -> list[Effect]:
        inbox, agent = self.debate.protocol.inbox(turn.key), self.debate.agents[turn.key.agent]
        # One that read a shortened prompt read another one than is built here.
        if not isinstance(agent, Agent) or turn.left_out or turn.summary or not turn.message.num_tokens:
            return []
        asked = [
            (place, content)
            for place, (heard, edge) in enumerate(zip(inbox.heard, inbox.edges, strict=True))
            for content in self.contents
            if not refusal(
                replace(edge, content=content),
                self.exchange.encoders[heard],
                self.debate.agents[heard.agent],
                agent,
                has_spoken=inbox.own is not None,
            )
        ]
        if not asked:
            return []
        intact, *others = await asyncio.gather(
            self._believed(question, turn, agent, said, inbox),
            *(self._believed(question, turn, agent, said, _with(inbox, *one)) for one in asked),
        )
        return [
            Effect(
                question.id,
                turn.key.round,
                inbox.heard[place].agent,
                turn.key.agent,
                content,
                divergence(intact, other),
            )
            for (place, content), other in zip(asked, others, strict=True)
        ]

    async def _believed(
        self, question: Question, turn: Turn, agent: Agent, said: Mapping[TurnKey, Turn], inbox: Inbox
    ) -> torch.Tensor:
        """Return log beliefs [n, V] of a hearer before each token of its intact answer, after another inbox."""
        heard = self.debate.heard(inbox, agent, said, await self.debate.donated(question, inbox))
        own = None if inbox.own is None else self.debate.hearing.own(said[inbox.own].message, agent).content
        return await self._forced(agent, question, own, [one.content for one in heard], turn)

    async def _forced(
        self, agent: Agent, question: Question, own: Heard | None, heard: Sequence[Heard], turn: Turn
    ) -> torch.Tensor:
        plain = agent.request(question.text, own, heard, turn.seed)
        answer: Message = turn.message
        sampling = replace(plain.sampling, max_tokens=min(self.steps, answer.num_tokens))
        request = Request(plain.prompt, sampling, adapter=plain.adapter, forced=answer, decoding=plain.decoding)
        generation = await agent.submit(request)
        assert generation.beliefs is not None, "a backend that forces messages returns beliefs"
        return generation.beliefs


def known_contents(names: Sequence[str]) -> tuple[Content, ...]:
    """Return the controls that have these names.

    Raises:
        UnknownName: there is no such control.
    """
    for name in names:
        if name not in ALL:
            raise UnknownName("control", name, ALL)
    return tuple(names)  # type: ignore[arg-type]


def _with(inbox: Inbox, place: int, content: Content) -> Inbox:
    """Return an inbox with a control on one edge, and none on the others."""
    edges = [replace(edge, content=content if at == place else "intact") for at, edge in enumerate(inbox.edges)]
    return replace(inbox, edges=tuple(edges))


def divergence(intact: torch.Tensor, other: torch.Tensor) -> tuple[float, ...]:
    """Return KL(intact ‖ other) in nats of each row of two log beliefs [n, V]; computed in float64."""
    one, two = intact.double(), other.double()
    terms = torch.where(one.exp() > 0, one.exp() * (one - two), 0.0)
    # Rounding may leave a sum of nearly equal beliefs just below 0.
    return tuple(terms.sum(dim=1).clamp_min(0.0).tolist())


def measured(
    config: DebateConfig,
    engines: Backends,
    questions: Sequence[Question],
    *,
    contents: Sequence[Content] = ALL,
    steps: int = STEPS,
    **made_with: Any,
) -> Measured:
    """Return what measures the edges of a debate.

    Args:
        config: the debate; controls in it are set aside.
        engines: its engines.
        questions: all questions of the run.
        contents, steps: which controls, over how many tokens of an answer.
        made_with: the arguments of `build_debate`.

    Raises:
        ConfigError: a backend that cannot read a forced message, messages that are reduced, or an agent with a memory.
    """
    debate = build_debate(config, engines, questions=questions, **made_with)
    exchange = build_exchange(config)
    _check_whole(exchange)
    for agent in debate.agents.values():
        if isinstance(agent, Agent) and agent.remembers:
            raise ConfigError(
                f"agent {agent.name!r} has memory: {agent.memory}, and a control on one edge would leave what it remembers of "
                "others as it was; measure a row without memory"
            )
        if isinstance(agent, Agent) and not agent.backend.capabilities.forces:
            raise ConfigError(
                f"agent {agent.name!r}: its backend cannot be made to read an answer and say what it believes at each token; the "
                "backend transformers can"
            )
    more = control_tables(exchange, debate.agents, contents)
    tables = {turn: (*debate.tables.get(turn, ()), *found) for turn, found in more.items()}
    swapped = donors(questions) if "swapped" in contents else None
    made = replace(debate, tables={**debate.tables, **tables}, donors=swapped)
    return Measured(made, exchange, contents, steps)


def _check_whole(exchange: Exchange) -> None:
    """Raise ConfigError where messages are reduced: a control in place of one would differ from it in two things."""
    for turn, inbox in exchange.planned.plan.items():
        for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
            if edge.reduce and exchange.encoders[heard] and edge.wants_vectors and edge.seen != "answers":
                raise ConfigError(
                    f"{turn.agent} hears {heard.agent} by reduce: {edge.reduce.text}, and a control is heard whole: their "
                    "difference would be no effect of it; measure a row with reduce: none"
                )


async def measure_run(
    path: Path,
    method: str,
    *,
    steps: int = STEPS,
    contents: Sequence[Content] = ALL,
    limit: int | None = None,
    backends: Backends | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Effects:
    """Measure the edges of a run's method over its questions, and write METHOD/effects.json; return the effects.

    Args:
        path: the run folder.
        method: a row of it, played without controls.
        steps, contents: tokens of an answer, and controls.
        limit: maximum number of questions, the run's first.
        backends: engines that outlive this (default: its own).
        progress: called with a sentence for each slow step.

    Raises:
        RunError: the run has no such method.
        ConfigError: it cannot be measured; the sentence says why.
    """
    table = load_config(path / "config.yaml", is_record=True)
    own = path / method / "config.yaml"
    if not own.is_file():
        known = sorted(file.parent.name for file in path.glob("*/config.yaml"))
        raise RunError(f"{path} has no method {method!r}. It has: {', '.join(known) or 'none'}.")
    config = load_config(own, is_record=True)
    config = config.model_copy(update={"content": "intact"}) if config.content != "intact" else config
    task, samples = _asked(path).task(table), read_samples(path)
    questions = [to_question(sample, task) for sample in samples]
    engines = backends or Backends(config, progress)
    try:
        what = measured(
            config,
            engines,
            questions,
            contents=contents,
            steps=steps,
            extract=SafeExtract(task),
            targets=sayable(task, samples),
            solutions=worked(task, samples),
            shots=[(shot.question, shot.solution) for shot in task.shots()],
        )
        found = await _over(what, questions[:limit], progress)
    finally:
        if backends is None:
            await engines.close()
    effects = Effects(method, steps, tuple(found))
    write_json(path / method / EFFECTS, effects.as_json())
    return effects


def _asked(path: Path) -> Selection:
    """Return which questions a run asked, and with how many worked examples, as its journal says."""
    config = RunReader(path).state.config
    if config is None:
        raise RunError(f"{path}: its journal does not say what was asked")
    asked = config["asked"]
    data = asked.get("data")
    return Selection(
        split=asked.get("split"),
        num_fewshot=asked.get("num_fewshot"),
        data=None if data is None else Path(data),
        revision=asked.get("revision"),
    )


async def _over(what: Measured, questions: Sequence[Question], progress: Callable[[str], None]) -> list[Effect]:
    places, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(question: Question) -> list[Effect]:
        nonlocal done
        async with places:
            found = await what.of(question)
        done += 1
        if done % 50 == 0 or done == len(questions):
            progress(f"effects: {done} of {len(questions)} questions")
        return found

    return [effect for effects in await asyncio.gather(*map(one, questions)) for effect in effects]
