"""The loop: speakers → inboxes → turns → append → over? One debate on one screen; many run side by side.

A turn starts the moment its inbox is complete, so that debates in flight keep the engine's batch full. What listens
(disk, screen) is told of each turn as it is appended.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from agents.backend import Backend
from agents.errors import PromptTooLong
from agents.hearing_table import HearingTable
from agents.message import Message
from agents.question import Question
from agents.speakers.agent import Agent, Past
from agents.speakers.speaker import Speaker
from debate.donors import Donors
from debate.hearing import HeardMessage, Hearing
from debate.memory import Earlier, Remembered
from debate.overflow import Overflow, answered
from debate.protocol.protocol import Inbox, Protocol
from debate.protocol.stopping import options_of
from debate.transcript import Control, SpokenTurns, Transcript, Turn, TurnKey

OnStart = Callable[[Question, TurnKey], None]
OnTurn = Callable[[Question, Turn], Turn | None]
OnText = Callable[[Question, TurnKey, str], None]
# The question that a swapped message is about, and the message.
Donated = tuple[str, Message]
Take = Callable[["Debate", Question, TurnKey, Mapping[TurnKey, Turn]], Coroutine[Any, Any, Turn]]


@dataclass(frozen=True)
class Debate:
    """Agents and the rule by which they exchange messages.

    Attributes:
        agents: name → agent, in the order of the graph's nodes.
        protocol: who speaks when and hears what.
        seed: random seed of the run; every turn's own seed follows from it.
        encoders: turn → encoder, or None for text, where it differs from the agent's own.
        hearing: renders a message for the agent that hears it.
        overflow: what happens to a prompt that is too long.
        tables: turn → tables of its hearers, where they differ from the speaker's.
        demanded: turn → public keys that its hearers demand of its signature.
        donors: questions whose messages are heard where a control swaps them; None where none does.
        earlier: what agents with memory: questions read and said before this question; None where nobody has told.
        is_controlled: whether content controls are heard; if not messages are, as in the debates of donors.
        on_text: receives what a turn has said so far, each time it grows; None where nobody watches.
    """

    agents: Mapping[str, Speaker]
    protocol: Protocol
    seed: int
    encoders: Mapping[TurnKey, str | None] = field(default_factory=dict)
    hearing: Hearing = field(default_factory=Hearing)
    tables: Mapping[TurnKey, tuple[HearingTable, ...]] = field(default_factory=dict, repr=False)
    overflow: Overflow = "fail"
    demanded: Mapping[TurnKey, frozenset[str]] = field(default_factory=dict, repr=False)
    donors: Donors | None = field(default=None, repr=False, compare=False)
    is_controlled: bool = True
    earlier: Earlier | None = field(default=None, repr=False, compare=False)
    on_text: OnText | None = field(default=None, repr=False, compare=False)

    @cached_property
    def places(self) -> dict[str, int]:
        """Each agent's place in the order of the nodes."""
        return {name: place for place, name in enumerate(self.agents)}

    def speaker(self, turn: TurnKey) -> Speaker:
        """Return the agent of a turn, with the encoder and the tables that its hearers need."""
        agent = self.agents[turn.agent]
        if turn in self.encoders:
            agent = replace(agent, encoder=self.encoders[turn])
        return replace(agent, hearers=self.tables[turn]) if turn in self.tables else agent

    def heard(
        self,
        inbox: Inbox,
        hearer: Speaker,
        said: "Mapping[TurnKey, Turn]",
        donated: "Mapping[TurnKey, Donated] | None" = None,
    ) -> list[HeardMessage]:
        """Return the turns of others that a turn hears, in the order of its inbox; see `donated` for those that are swapped."""
        found = []
        for turn, edge in zip(inbox.heard, inbox.edges, strict=True):
            shown = edge if self.is_controlled else replace(edge, content="intact")
            message, speaker, other = said[turn].message, self.agents[turn.agent], ""
            if shown.content == "swapped":
                other, message = (donated or {})[turn]
            elif shown.content == "echo" and inbox.own is not None:
                message, speaker = said[inbox.own].message, hearer
            one = self.hearing.hear(message, shown, speaker, hearer, options_of(said))
            found.append(one if shown.content == "intact" else replace(one, control=Control(shown.content, other)))
        return found

    async def donated(self, question: Question, inbox: Inbox) -> dict[TurnKey, Donated]:
        """Return what a turn hears about another question, in place of the turns of its own debate."""
        pairs = zip(inbox.heard, inbox.edges, strict=True)
        swapped = [turn for turn, edge in pairs if edge.content == "swapped"] if self.is_controlled else []
        if not swapped:
            return {}
        assert self.donors is not None, "a debate that swaps messages is built with donors"
        intact = replace(self, is_controlled=False, on_text=None)
        turns = await asyncio.gather(
            *(
                self.donors.turn(question, turn, partial(take, intact), lambda key: self.protocol.inbox(key).needed)
                for turn in swapped
            )
        )
        other = self.donors.of[question.id].id
        return {key: (other, turn.message) for key, turn in zip(swapped, turns, strict=True)}

    async def past(self, question: Question, inbox: Inbox, agent: Agent, said: "Mapping[TurnKey, Turn]") -> list[Past]:
        """Return an agent's turns in this debate before one with this inbox, the oldest first, as it heard others then.

        They follow from the protocol and from what was said, not from when it was said.
        """
        found: list[Past] = []
        while (last := inbox.own) is not None:
            inbox, gone = self.protocol.inbox(last), said[last].left_out
            heard = self.heard(inbox, agent, said, await self.donated(question, inbox))
            others = (one.content for key, one in zip(inbox.heard, heard, strict=True) if key not in gone)
            own = None if inbox.own is None or inbox.own in gone else self.hearing.own(said[inbox.own].message, agent)
            answer = self.hearing.own(said[last].message, agent).content
            found.append(Past(question.text, None if own is None else own.content, tuple(others), answer))
        return found[::-1]

    async def recalling(
        self, question: Question, inbox: Inbox, agent: Agent, said: "Mapping[TurnKey, Turn]"
    ) -> tuple[Agent, int]:
        """Return an agent with what it remembers before a turn with this inbox, and how many turns it has forgotten by then.

        An agent that nobody has told of the earlier questions comes back as it is, and refuses to be asked.
        """
        before = Remembered()
        if agent.memory == "questions":
            if self.earlier is None:
                return agent, 0
            before = self.earlier.get(agent.name, before)
        turns = [*before.turns, *await self.past(question, inbox, agent, said)]
        forgotten = before.forgotten if inbox.own is None else said[inbox.own].forgotten
        return agent.remembering(turns[forgotten - before.forgotten :]), forgotten

    @property
    def remembers_questions(self) -> bool:
        """Whether a question depends on those before it, so that they are debated one after the other."""
        return any(isinstance(agent, Agent) and agent.memory == "questions" for agent in self.agents.values())

    async def remembered(self, transcript: Transcript, earlier: Earlier) -> Earlier:
        """Return what is remembered after a question that is over, given what was remembered before it."""
        said = SpokenTurns(transcript.question.options)
        said.update({turn.key: turn for turn in transcript.turns})
        found = dict(earlier)
        debate = replace(self, earlier=earlier)
        for name, agent in self.agents.items():
            if isinstance(agent, Agent) and agent.memory == "questions" and transcript.turns_of(name):
                after = Inbox(transcript.last_of(name).key, ())
                knows, forgotten = await debate.recalling(transcript.question, after, agent, said)
                assert knows.past is not None
                found[name] = Remembered(knows.past, forgotten)
        return found

    def turn_seed(self, question: Question, turn: TurnKey) -> int:
        """Return the seed of a turn: of run, question, the agent's place and the round, never of names or of timing."""
        text = f"{self.seed}|{question.id}|{self.places[turn.agent]}|{turn.round}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


async def take(
    debate: Debate, question: Question, key: TurnKey, said: Mapping[TurnKey, Turn], engine: Backend | None = None
) -> Turn:
    """Let one agent speak and return its turn; cancelling cancels the request.

    Args:
        debate, question, key, said: which turn, and what was said before.
        engine: through which of its backend's engines; the backend chooses by default.
    """
    inbox = debate.protocol.inbox(key)
    seed = debate.turn_seed(question, key)
    agent = debate.speaker(key)
    if engine is not None and engine is not agent.backend:
        agent = replace(agent, backend=engine)
    forgotten = 0
    if isinstance(agent, Agent) and agent.remembers:
        agent, forgotten = await debate.recalling(question, inbox, agent, said)
    heard = list(zip(inbox.heard, debate.heard(inbox, agent, said, await debate.donated(question, inbox)), strict=True))
    own = None if inbox.own is None else (inbox.own, debate.hearing.own(said[inbox.own].message, agent))
    try:
        watch = None if debate.on_text is None else partial(debate.on_text, question, key)
        answer = await answered(agent, replace(question, round=key.round), own, heard, seed, debate.overflow, watch)
    except PromptTooLong as error:
        raise PromptTooLong(
            error.prompt_tokens, error.max_tokens, error.context, agent=key.agent, round=key.round
        ) from error
    gone = {*answer.left_out, *(() if answer.summary is None else answer.summary.of)}
    shown = [(turn, message) for turn, message in [*heard, *([] if own is None else [own])] if turn not in gone]
    return Turn(
        key=key,
        message=answer.generation.message,
        heard=tuple(turn for turn in inbox.heard if turn not in gone),
        seed=seed,
        usage=answer.usage,
        finish_reason=answer.generation.finish_reason,
        mapped=tuple((turn, message.mapped) for turn, message in shown if message.mapped is not None),
        read_out=tuple(turn for turn, message in shown if message.is_read_out),
        controls=tuple((turn, message.control) for turn, message in shown if message.control is not None),
        reduced=tuple((turn, message.reduced) for turn, message in shown if message.reduced is not None),
        place=debate.protocol.place(key),
        left_out=answer.left_out,
        forgotten=forgotten + answer.forgotten,
        summary=answer.summary,
        signature=answer.generation.signature,
        log_likelihood=answer.generation.log_likelihood,
    )


async def play(
    debate: Debate,
    question: Question,
    *,
    before: Mapping[TurnKey, Turn] | None = None,
    earlier: Earlier | None = None,
    take: Take = take,
    on_start: OnStart = lambda question, turn: None,
    on_turn: OnTurn = lambda question, turn: None,
) -> Transcript:
    """Play one debate over one question and return its transcript.

    Args:
        debate: agents and protocol.
        question: question to debate.
        before: turns that were said before an interruption; they are reused unchanged.
        earlier: what agents with memory: questions remember of the questions before it.
        take: function that lets an agent take a turn.
        on_start: called when a turn is submitted.
        on_turn: called when a turn was said, before anyone hears it; what it returns, the turn signed, is heard in its stead.
    """
    if earlier is not None:
        debate = replace(debate, earlier=earlier)
    said = SpokenTurns(question.options)
    under_way: dict[asyncio.Task[Turn], TurnKey] = {}

    def start(turns: tuple[TurnKey, ...]) -> None:
        ready = deque(turns)
        while ready:
            key = ready.popleft()
            if before and key in before:
                said[key] = before[key]
                ready.extend(debate.protocol.ready(said, key))
            else:
                on_start(question, key)
                under_way[asyncio.create_task(take(debate, question, key, said))] = key

    start(debate.protocol.opening())
    try:
        while not debate.protocol.is_over(said):
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: (under_way[task].round, debate.places[under_way[task].agent])):
                key = under_way.pop(task)
                turn = task.result()
                said[key] = on_turn(question, turn) or turn
                start(debate.protocol.ready(said, key))
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        if debate.donors is not None:
            debate.donors.forget(question)
    return Transcript.of(question, said.values())
