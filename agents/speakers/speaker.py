"""What takes a turn in a debate. A kind of agent is a class derived from `Speaker`, and its line in `kinds.py`.

A class of one's own is named by its dotted path as an agent's role: `agents: {eve: {role: "my_module:Parrot"}}`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from agents.backend import Backend, Pending, Sampling
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import ConfigError
from agents.hearing_table import HearingTable
from agents.prompts import Heard, Prompts
from agents.question import Question
from kernels.encoders import parse


class AgentPlan(ABC):
    """One agent as a config describes it, and what the debate has to make it of. Engines are started when they are asked for.

    Attributes:
        name: unique in the debate.
        targets: question → right answer, for those that are given it.
        solutions: question → a right solution in words, of questions that have one.
    """

    name: str
    targets: Mapping[Question, str]
    solutions: Mapping[Question, str]

    @property
    @abstractmethod
    def keys(self) -> Any:
        """Every key of the agent, as attributes (debate/config/schema.py: AgentConfig)."""

    @property
    @abstractmethod
    def encoder(self) -> str | None:
        """How it speaks on CIPHER edges; None where it only speaks text."""

    @property
    @abstractmethod
    def sampling(self) -> Sampling:
        """The debate's lengths and stops, with the agent's temperature, top_p and top_k."""

    @property
    @abstractmethod
    def engine_name(self) -> str:
        """The debate's own backend."""

    @abstractmethod
    def changed(self, *keys: str) -> str | None:
        """Return the first of some keys that the config does not leave at its default."""

    @abstractmethod
    def engine(self) -> Backend:
        """Return the engine of the agent's backend, model and options."""

    @abstractmethod
    def shared_engine(self) -> Backend:
        """Return the engine of the debate's own backend, for those that speak in its tokens."""

    @abstractmethod
    def believer(self) -> BeliefBackend:
        """Return the belief backend that the agent names, with its checkpoint and options."""

    @abstractmethod
    def prompts(self) -> Prompts:
        """Return the agent's prompt files, read and checked."""


@dataclass(frozen=True, kw_only=True)
class Speaker(ABC):
    """Takes turns in a debate.

    Attributes:
        name: unique in the debate.
        backend: the engine that it speaks through, or in whose tokens it speaks.
        sampling: temperature, lengths, stops; the seed is set per turn.
        encoder: encoder of its CIPHER messages; None if it speaks text.
        hearers: other tables on which what it says is heard.
    """

    name: str
    backend: Backend
    sampling: Sampling = field(default_factory=Sampling)
    encoder: str | None = None
    hearers: tuple[HearingTable, ...] = ()

    own_keys: ClassVar[Mapping[str, str]] = {}
    """Keys of a config's agent that mean something to this kind and not to every other → the sentence for the others."""

    @classmethod
    @abstractmethod
    def build(cls, plan: AgentPlan) -> "Speaker":
        """Return the agent that a config describes.

        Raises:
            ConfigError: it cannot be; the message begins with the key or names the agent.
        """

    @abstractmethod
    def speak(self, question: Question, own: Heard | None, others: Sequence[Heard], seed: int) -> Pending:
        """Begin a turn.

        Args:
            question: question to debate.
            own: the agent's last message; None where it has not spoken.
            others: messages that it hears, in the order of the topology's nodes.
            seed: random seed of the turn.

        Raises:
            DebateError: it cannot speak to this question (`check`), or the prompt is too long.
        """

    def summarise(self, question: Question, heard: Sequence[Heard], seed: int, max_tokens: int) -> Pending:
        """Begin to sum up, in text, what its prompt has no room for.

        Args:
            question: what is debated.
            heard: the oldest messages.
            seed: of the request.
            max_tokens: most tokens of the summary.

        Raises:
            ConfigError: agents of its kind write no summaries.
            PromptTooLong: there is no room for that either.
        """
        raise ConfigError(
            f"agent {self.name!r}: overflow: summarise asks the agent itself, and one of its kind writes no summaries. "
            "Use overflow: truncate-oldest."
        )

    def check(self, question: Question) -> None:
        """Raise a DebateError where the agent needs what a question does not have. Any question will do by default."""
        return

    def in_encoder(self, encoder: str | None) -> Self:
        """Return the agent, speaking by another encoder, or text.

        Raises:
            ConfigError: it cannot speak so, or there is no such encoder.
        """
        if encoder is not None:
            try:
                parse(encoder)
            except ValueError as error:
                raise ConfigError(f"agent {self.name!r}: {error}") from error
        return replace(self, encoder=encoder)

    @property
    def takes_vectors(self) -> bool:
        """Whether CIPHER messages reach it as vectors; if not they are read out to it."""
        return self.backend.capabilities.vectors_in

    @property
    def listens(self) -> bool:
        """Whether what it hears can change what it says."""
        return True

    @property
    def knows_tokens(self) -> bool:
        """Whether it is known which tokens its messages are made of, so that the first of them can be told."""
        return bool(self.backend.fingerprint.tokenizer)

    @property
    def prompt_files(self) -> Prompts | None:
        """What it reads; None of an agent that reads no prompts."""
        return None
