"""What one agent hears of another: a value on each edge of a topology's graph."""

from dataclasses import dataclass
from typing import Literal

from agents.reduction import Reduction
from kernels.content import Content

Form = Literal["text", "cipher", "both"]
Seen = Literal["last", "all", "answers"]
Thinking = Literal["strip", "keep"]


@dataclass(frozen=True)
class Edge:
    """One edge u→v: how v hears u.

    Attributes:
        message: `cipher` is heard as vectors, `text` as words (of a CIPHER message its reading), `both` as both.
        is_stated: whether the form was written for this edge; if not it is the debate's, and gives way to what u can
            say.
        encoder: how u's beliefs become vectors for v; None for u's own encoder.
        content: what v hears in place of what u said: a control; `intact` is the message itself.
        seen: u's last message, all of them, or only the answer in the last.
        thinking: whether v hears what u thought before its answer, too; None as the debate says.
        first_tokens: only so many tokens of a message; None for all.
        reduce: which positions of a CIPHER message are heard; None for all.
        delay: rounds that a message is late.
        signed: the public key by which v hears u alone; None where no signature is asked for.
        weight: how strong it is drawn; no protocol reads it.
    """

    message: Form = "cipher"
    is_stated: bool = False
    encoder: str | None = None
    content: Content = "intact"
    seen: Seen = "last"
    thinking: Thinking | None = None
    first_tokens: int | None = None
    reduce: Reduction | None = None
    delay: int = 0
    signed: str | None = None
    weight: float = 1.0

    @property
    def wants_vectors(self) -> bool:
        """Whether the hearer is to get vectors."""
        return self.message != "text"

    def most_heard(self, tokens: int, *, as_vectors: bool = True) -> int:
        """Return how many positions of a prompt a message of at most so many tokens takes.

        Args:
            tokens: of the message.
            as_vectors: whether it is said in CIPHER and its hearer takes vectors; what is heard as text is not reduced.
        """
        heard = min(tokens, self.first_tokens or tokens)
        if self.reduce is not None and self.wants_vectors and self.seen != "answers" and as_vectors:
            heard = self.reduce.most(heard)
        return heard * (1 + (self.message == "both"))


# How a message is heard where nothing else is said.
PLAIN = Edge()
