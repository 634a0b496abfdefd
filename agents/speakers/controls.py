"""The paper's controls: agents that speak by rule, to bound what debate can do (Pham et al., 2024, section 5).

What they say is text. On a CIPHER edge it is heard as its tokens' own embeddings, which is what one-hot beliefs render
to.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agents.backend import Backend, Generation, Pending, Sampling, Usage
from agents.errors import ConfigError
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.prompts import Heard
from agents.question import Question

DUMMY = "I do not know."


@dataclass(frozen=True)
class Control:
    """An agent that speaks by rule.

    Fields:
        name: unique in the debate.
        backend: of the agents that hear it; nothing is generated.
        kind: `expert` gives the right answer (the upper bound); `misaligned` the right answer to another question;
            `random` an answer to any question, drawn anew each turn; `dummy` the same words every time.
        targets: question → right answer, of all questions of the run.
    """

    name: str
    backend: Backend
    kind: str
    targets: Mapping[str, str] = field(repr=False)
    sampling: Sampling = field(default_factory=Sampling)
    encoder: str | None = None

    def speak(self, case: Question, own: Message | None, others: Sequence[Heard], seed: int) -> Pending:
        """Say what the rule says, at no cost."""
        fingerprint = ModelFingerprint(self.kind, "", "", self.backend.fingerprint.vocabulary, 0)
        pending = Pending()
        pending.finish(Generation(Message(self.says(case.text, seed), fingerprint, 0.0), Usage(0, 0, 0), "stop"))
        return pending

    def says(self, question: str, seed: int) -> str:
        """Return the words.

        Raises:
            ConfigError: the run has no right answer to say.
        """
        if self.kind == "dummy":
            return DUMMY
        if self.kind == "random" and not self.targets:
            return f"Answer: {_draw(seed, 100)}"
        if not self.targets or (self.kind == "expert" and question not in self.targets):
            raise ConfigError(
                f"agent {self.name!r}: role {self.kind} needs questions with right answers: give --task, or a role "
                "that needs none (random, dummy)"
            )
        answers = [answer for asked, answer in self.targets.items() if asked != question]
        match self.kind:
            case "expert":
                return f"Answer: {self.targets[question]}"
            case "misaligned" if answers:
                return f"Answer: {answers[_draw(_number(question), len(answers))]}"
            case "misaligned":
                raise ConfigError(f"agent {self.name!r}: role misaligned needs at least two questions; raise --limit")
            case _:
                pool = list(self.targets.values())
                return f"Answer: {pool[_draw(seed, len(pool))]}"


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _draw(seed: int, count: int) -> int:
    return _number(str(seed)) % count
