"""The loop: speakers → inboxes → turns → append → over? One debate on one screen; many run side by side.

A turn starts the moment its inbox is complete, so that debates in flight keep the engine's batch full. What listens
(disk, screen) is told of each turn as it is appended.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.agent import Agent
from debate.protocol import Protocol, TurnKey
from debate.transcript import Question, Transcript, Turn

OnStart = Callable[[Question, TurnKey], None]
OnTurn = Callable[[Question, Turn], None]


@dataclass(frozen=True)
class Debate:
    """Agents and the rule by which they exchange messages.

    Fields:
        agents: name → agent, in the order of the graph's nodes.
        protocol: who speaks when and hears what.
        seed: of the run; every turn's own seed follows from it.
    """

    agents: Mapping[str, Agent]
    protocol: Protocol
    seed: int

    def turn_seed(self, question: Question, turn: TurnKey) -> int:
        """Return the seed of a turn: of run, question, the agent's place and the round, never of names or of timing."""
        place = list(self.agents).index(turn.agent)
        text = f"{self.seed}|{question.id}|{place}|{turn.round}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


async def play(
    debate: Debate,
    question: Question,
    *,
    on_start: OnStart = lambda question, turn: None,
    on_turn: OnTurn = lambda question, turn: None,
) -> Transcript:
    """Play one debate over one question and return its transcript.

    Args:
        debate: agents and protocol.
        question: what is debated.
        on_start: called when a turn is submitted.
        on_turn: called when a turn was said, before anyone hears it.
    """
    said: dict[TurnKey, Turn] = {}
    under_way: dict[asyncio.Task[Turn], TurnKey] = {}

    def start(turns: tuple[TurnKey, ...]) -> None:
        for turn in turns:
            on_start(question, turn)
            under_way[asyncio.create_task(_take(debate, question, turn, said))] = turn

    start(debate.protocol.opening())
    try:
        while not debate.protocol.is_over(said):
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: under_way[task]):
                key = under_way.pop(task)
                said[key] = turn = task.result()
                on_turn(question, turn)
                start(debate.protocol.ready(said, key))
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    return Transcript(question, tuple(said.values()))


async def _take(debate: Debate, question: Question, key: TurnKey, said: Mapping[TurnKey, Turn]) -> Turn:
    """Let one agent speak."""
    inbox = debate.protocol.inbox(key)
    own = said[inbox.own].message if inbox.own else None
    seed = debate.turn_seed(question, key)
    pending = debate.agents[key.agent].speak(question.text, own, [said[turn].message for turn in inbox.heard], seed)
    try:
        generation = await pending
    except asyncio.CancelledError:
        pending.cancel()
        raise
    return Turn(key, generation.message, inbox.heard, seed, generation.usage, generation.finish_reason)
