"""The paper's controls: agents that speak by rule, to bound what debate can do (Pham et al., 2024, section 5).

What they say is text. On a CIPHER edge it is heard as its tokens' own embeddings, which is what one-hot beliefs render
to.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from agents.backend import Generation, Pending, Usage
from agents.errors import ConfigError
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.prompts import Heard
from agents.question import Question
from agents.speakers.speaker import AgentPlan, Speaker

DUMMY = "I do not know."


@dataclass(frozen=True, kw_only=True)
class Control(Speaker):
    """An agent that speaks by rule; its backend is that of the agents that hear it, and nothing is generated.

    Attributes:
        kind: `expert` gives a right solution (the upper bound); `misaligned` a right one of another question; `random` one of any
            question, drawn anew each turn; `dummy` the same words every time.
        targets: question → right answer, of all questions of the run.
        solutions: question → a right solution in words; of those without one the answer alone is said.
    """

    kind: str
    targets: Mapping[Question, str] = field(repr=False)
    solutions: Mapping[Question, str] = field(default_factory=dict, repr=False)

    @classmethod
    def build(cls, plan: AgentPlan) -> Speaker:
        """Return the control that a config names as a role.

        Raises:
            ConfigError: the run has no other question whose answer could mislead.
        """
        if plan.keys.role == "misaligned" and plan.targets and len({asked.text for asked in plan.targets}) < 2:
            raise ConfigError(_one_question(plan.name))
        return cls(
            name=plan.name, backend=plan.engine(), kind=plan.keys.role, targets=plan.targets, solutions=plan.solutions
        )

    @property
    def listens(self) -> bool:
        """It says what its rule says."""
        return False

    @property
    def knows_tokens(self) -> bool:
        """Its words are heard in the tokens of whoever hears them."""
        return True

    def in_encoder(self, encoder: str | None) -> Self:
        """Return itself: what it says is text."""
        return self

    def speak(self, question: Question, own: Heard | None, others: Sequence[Heard], seed: int) -> Pending:
        """Say what the rule says, at no cost."""
        fingerprint = ModelFingerprint(self.kind, "", "", self.backend.fingerprint.vocabulary, 0)
        pending = Pending()
        pending.finish(Generation(Message(self.says(question, seed), fingerprint, 0.0), Usage(0, 0, 0), "stop"))
        return pending

    def check(self, question: Question) -> None:
        """Raise ConfigError where the rule needs a right answer, and the run has none to this question."""
        if self.kind in ("expert", "misaligned") and question not in self.targets:
            raise ConfigError(
                f"agent {self.name!r}: role {self.kind} needs questions with right answers: give --task, or a role "
                "that needs none (random, dummy)"
            )

    def says(self, question: Question, seed: int) -> str:
        """Return the words.

        Raises:
            ConfigError: the run has no right answer to say.
        """
        if self.kind == "dummy":
            return DUMMY
        if self.kind == "random" and not self.targets:
            return f"Answer: {_draw(seed, 100)}"
        self.check(question)
        others = [asked for asked in self.targets if asked.text != question.text]
        match self.kind:
            case "expert":
                return self._solution(question)
            case "misaligned" if others:
                return self._solution(others[_draw(_number(question.text), len(others))])
            case "misaligned":
                raise ConfigError(_one_question(self.name))
            case _:
                pool = list(self.targets)
                return self._solution(pool[_draw(seed, len(pool))])

    def _solution(self, question: Question) -> str:
        return self.solutions.get(question) or f"Answer: {self.targets[question]}"


def _one_question(name: str) -> str:
    return f"agent {name!r}: role misaligned needs at least two questions; raise --limit"


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _draw(seed: int, count: int) -> int:
    return _number(str(seed)) % count
