"""How long a turn's prompt is at most, with what its agent remembers before it: measured, before anything is said.

Tokens are counted of the prompt as it is built, with a short mark for each message; messages count by what they may have.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.backend import Prompt
from agents.fingerprint import ModelFingerprint
from agents.prompts import Prompts, continued
from agents.tokenization import position_keys, segments
from debate.config.schema import DebateConfig
from debate.preview.engines import KnownEngine
from debate.preview.heard import most_heard
from debate.protocol.exchange import Exchange
from debate.protocol.protocol import Inbox
from debate.transcript import TurnKey

# Stands for a message while a prompt is measured.
MESSAGE = "."
NOBODY = ModelFingerprint("rehearsal", "", "", 0, 0)


class Measure:
    """Measures the prompts of one debate.

    Args:
        config, exchange: the debate.
        files: agent → prompt files.
        engines: agent → engine, whose tokenizer is known.
    """

    def __init__(
        self,
        config: DebateConfig,
        exchange: Exchange,
        files: Mapping[str, Prompts],
        engines: Mapping[str, KnownEngine],
    ) -> None:
        self._config, self._exchange, self._files, self._engines = config, exchange, files, engines
        self._known: dict[Any, int] = {}
        self._last = {turn.agent: turn for turn in exchange.planned.plan}

    def most(self, turn: TurnKey, question: str, before: int) -> int:
        """Return the tokens of a turn's prompt, with every message at its limit.

        Args:
            turn: whose prompt.
            question: the longest.
            before: questions that came before, of an agent that remembers them.
        """
        memory = self._config.agents[turn.agent].memory
        inbox = self._exchange.planned.plan[turn]
        chain = self._chain(inbox) if memory is not None else []
        tokens = self._heard(turn, inbox) + sum(self._said(key) for key in chain)
        if memory != "questions" or not before:
            return tokens + self._around(chain, inbox, turn.agent, question)
        end = self._last[turn.agent]
        whole = [*self._chain(self._exchange.planned.plan[end]), end]
        tokens += before * sum(self._said(key) for key in whole)
        # Worked examples are said once; each further question adds the same.
        once = self._around([*whole, *chain], inbox, turn.agent, question)
        twice = self._around([*whole, *whole, *chain], inbox, turn.agent, question) if before > 1 else once
        return tokens + once + (before - 1) * (twice - once)

    def least(self, turn: TurnKey, question: str) -> int:
        """Return the tokens of a turn's prompt with every message empty, behind what is remembered of its own question.

        Args:
            turn: whose prompt.
            question: the shortest.
        """
        inbox = self._exchange.planned.plan[turn]
        chain = self._chain(inbox) if self._config.agents[turn.agent].memory is not None else []
        return self._around(chain, inbox, turn.agent, question)

    def alone(self, inbox: Inbox, agent: str, question: str) -> int:
        """Return the tokens of an agent's prompt for an inbox, with every message empty and nothing remembered."""
        return self._around([], inbox, agent, question)

    def summary(self, agent: str, question: str) -> int:
        """Return the tokens of the prompt that asks an agent to sum up one empty message."""
        return self._tokens(self._files[agent].summary(question, [MESSAGE]), agent)

    def _around(self, earlier: Sequence[TurnKey], inbox: Inbox, agent: str, question: str) -> int:
        shapes = [(bool(one.own), len(one.heard)) for one in (*map(self._inbox, earlier), inbox)]
        key = (self._files[agent], tuple(shapes), id(self._engines[agent]), question)
        if key not in self._known:
            prompts = [self._prompt(agent, *shape, question) for shape in shapes]
            whole = continued(prompts[-1], [(prompt, MESSAGE) for prompt in prompts[:-1]])
            self._known[key] = self._tokens(whole, agent)
        return self._known[key]

    def _tokens(self, prompt: Prompt, agent: str) -> int:
        return len(position_keys(segments(prompt, self._engines[agent].tokenizer, NOBODY)))

    def _prompt(self, agent: str, has_own: bool, others: int, question: str) -> Prompt:
        files, heard = self._files[agent], [MESSAGE] * others
        if has_own:
            return files.debate(question, MESSAGE, heard)
        return files.review(question, heard) if others else files.initial(question)

    def _chain(self, inbox: Inbox) -> list[TurnKey]:
        """Return an agent's turns before one with this inbox, the oldest first."""
        found: list[TurnKey] = []
        while (last := inbox.own) is not None:
            found.append(last)
            inbox = self._inbox(last)
        return found[::-1]

    def _inbox(self, turn: TurnKey) -> Inbox:
        return self._exchange.planned.plan[turn]

    def _heard(self, turn: TurnKey, inbox: Inbox) -> int:
        """Return the most tokens of the messages in a turn's own prompt."""
        own = self._config.max_tokens if inbox.own is not None else 0
        return own + most_heard(self._config, self._exchange, turn, inbox)

    def _said(self, turn: TurnKey) -> int:
        """Return the most tokens of the messages that an earlier turn leaves: those of its prompt, and its answer."""
        return self._heard(turn, self._inbox(turn)) + self._config.max_tokens
