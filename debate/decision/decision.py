"""Transcript → answer: pure functions by name. No answer is a value with a reason, never an empty string.

Ties are broken by the agent of lowest temperature among those tied, chosen before the debate, and the reason says so.
`answers.py`, `ballots.py` and `belief_rules.py` have the rules: over answers, over votes that are more than an answer, over
what agents believe.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from agents.fingerprint import ModelFingerprint
from debate.config.electorate import Electorate
from debate.decision.by_value import Same, by_value

if TYPE_CHECKING:
    from agents.message import Message
    from debate.transcript import Transcript

Reader = Callable[[str], str | None]
Decode = Callable[[ModelFingerprint, int], str | None]


@dataclass(frozen=True)
class Decision:
    """The answer of a debate, and how it was reached.
    Attributes:
        answer: the answer; None if there is none, and `reason` says why.
        reason: explanation of how the answer was reached.
        answers: each agent's last answer.
    """

    answer: str | None
    reason: str
    answers: Mapping[str, str | None]


@dataclass(frozen=True)
class Poll:
    """What a rule decides from: what was said, whose answers count, and how an answer is read out of words.

    Attributes:
        transcript: transcript of a finished debate.
        electorate: agents whose answers count, and the order in which a tie is broken.
        extract: function from a response to the answer in it, or None; of answers that are the same it gives one spelling.
        same: whether two answers are, where that is more than their spelling.
    """

    transcript: "Transcript"
    electorate: Electorate
    extract: Reader
    same: Same | None = None

    def __post_init__(self) -> None:
        if self.same is not None:
            object.__setattr__(self, "extract", by_value(self.transcript, self.extract, self.same))

    @cached_property
    def answers(self) -> Mapping[str, str | None]:
        """The answer in the last message of everyone who spoke."""
        return {agent: self.extract(self.last_message(agent).text) for agent in self.transcript.agents}

    @cached_property
    def voters(self) -> tuple[str, ...]:
        """Those whose answers count and who spoke, in the order in which they first did."""
        return tuple(name for name in self.transcript.agents if name in self.electorate.members)

    @cached_property
    def by_temperature(self) -> tuple[str, ...]:
        """The voters, lowest temperature first; where none of them spoke, everyone who did."""
        spoke = set(self.transcript.agents)
        return tuple(name for name in self.electorate.order() if name in spoke) or self.transcript.agents

    def last_message(self, agent: str) -> "Message":
        """Return what an agent said last."""
        return self.transcript.last_of(agent).message

    def decide(self, answer: str | None, reason: str) -> Decision:
        """Return a decision with everyone's last answer beside it."""
        return Decision(answer, reason, self.answers)

    def elect(self, votes: Mapping[str, float], describe: Callable[[float], str]) -> Decision:
        """Return the answer with most votes; of a tie, the one that the voter of lowest temperature among the tied gave.

        Args:
            votes: answer → how much speaks for it.
            describe: the most votes → the reason, where there is no tie.
        """
        if not votes:
            return self.decide(None, "nobody gave an answer")
        most = max(votes.values())
        tied = [answer for answer, count in votes.items() if abs(count - most) <= 1e-12]
        if len(tied) == 1:
            return self.decide(tied[0], describe(most))
        agent = next((name for name in self.by_temperature if self.answers.get(name) in tied), None)
        if agent is None:
            return self.decide(tied[0], f"a tie of {len(tied)} answers, none of them anyone's last; the first named")
        return self.decide(
            self.answers[agent], f"a tie of {len(tied)} answers, broken by the lowest temperature ({agent})"
        )


Rule = Callable[[Poll], Decision]
