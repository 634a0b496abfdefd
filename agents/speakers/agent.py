"""An agent: a name, prompts and a way of decoding on some backend. It turns what it hears into one request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self

from agents.adapter import find_adapter
from agents.backend import Pending, Prompt, Request, Sampling
from agents.decoding.acbs import ConditionalBeam
from agents.decoding.attributes import refusal as refusal_of_classifier
from agents.decoding.future_blocks import FutureBlocks, refusal
from agents.decoding.rules import parse_decoding
from agents.errors import ConfigError, DebateError, PromptTooLong, RequestError
from agents.prompts import Heard, Prompts, continued
from agents.question import Question
from agents.speakers.speaker import AgentPlan, Speaker
from agents.tokenization import is_chat
from agents.tokenizers import tokenizer_of

MEMORY_ONLY = "only language models that debate read prompts, and so have what they read before to keep"
DECODERS_ONLY = "only language models that debate decode; one that speaks by rule or by belief does not"


class Past(NamedTuple):
    """An earlier turn of an agent, as it read and said it then.

    Attributes:
        question: text of the question.
        own: its own last message; None where it had not spoken, or its prompt had no room for it.
        others: what it heard.
        said: its answer.
    """

    question: str
    own: Heard | None
    others: tuple[Heard, ...]
    said: Heard


@dataclass(frozen=True, kw_only=True)
class Agent(Speaker):
    """A language model that debates; agents of one model share its engine.

    Attributes:
        prompts: its prompt files.
        adapter: a LoRA adapter's folder, for a model that several agents share.
        decoding: a way of decoding beyond sampling, e.g. `hso(steps=2)`; None where it has none.
        memory: before each prompt it reads all that it read and said before: `debate`: in this debate; `questions`: in the run's
            earlier questions too.
        past: its earlier turns, the oldest first, of one that remembers; None where nobody has given them.
    """

    prompts: Prompts
    adapter: str | None = None
    decoding: str | None = None
    memory: Literal["debate", "questions"] | None = None
    past: tuple[Past, ...] | None = field(default=None, repr=False)

    own_keys: ClassVar[Mapping[str, str]] = {"decoding": DECODERS_ONLY, "memory": MEMORY_ONLY}

    def __post_init__(self) -> None:
        if self.adapter is not None and not self.backend.capabilities.adapters:
            raise ConfigError(
                f"agent {self.name!r}: its backend loads no adapters. The transformers backend does, and vllm with the option "
                "enable_lora: true."
            )
        if self.decoding is not None:
            try:
                way = parse_decoding(self.decoding)
            except DebateError as error:
                raise ConfigError(f"agent {self.name!r}: {error}") from error
            if isinstance(way, ConditionalBeam) and self.encoder is not None:
                raise ConfigError(
                    f"agent {self.name!r}: decoding acbs searches for a text, and a CIPHER message is made of expectations: give "
                    "it encoder: none, or the debate message: text"
                )
            if isinstance(way, ConditionalBeam) and (
                self.sampling.top_p is not None or self.sampling.top_k is not None
            ):
                raise ConfigError(
                    f"agent {self.name!r}: decoding acbs draws no token, so that top_p and top_k mean nothing to it: leave "
                    "them out"
                )
            if not self.backend.capabilities.decodes:
                raise ConfigError(
                    f"agent {self.name!r}: its backend decodes in its own way alone. The backend transformers takes `decoding`; "
                    "leave it out for the others."
                )
            if isinstance(way, ConditionalBeam):
                try:
                    why = refusal_of_classifier(way, self.backend.fingerprint, adapted=self.adapter is not None)
                except ConfigError as error:
                    raise ConfigError(f"agent {self.name!r}: {error}") from error
                if why:
                    raise ConfigError(f"agent {self.name!r}: {why}")
            if isinstance(way, FutureBlocks) and (why := refusal(way, self.backend.capabilities.horizon)):
                raise ConfigError(f"agent {self.name!r}: {why}")
        if self.encoder is not None and not self.backend.capabilities.vectors_out:
            raise ConfigError(
                f"agent {self.name!r}: its backend cannot send vectors: give it encoder: none, or the debate message: text"
            )

    @classmethod
    def build(cls, plan: AgentPlan) -> Speaker:
        """Return the language model that a config describes."""
        return cls(**cls.fields_of(plan))

    @staticmethod
    def fields_of(plan: AgentPlan) -> dict[str, Any]:
        """Return what an agent that reads prompts is made of."""
        adapter = plan.keys.adapter
        return {
            "name": plan.name,
            "backend": plan.engine(),
            "prompts": plan.prompts(),
            "sampling": plan.sampling,
            "encoder": plan.encoder,
            # Looked at here, so that a mistyped folder stops a run before its first turn.
            "adapter": None if adapter is None else str(find_adapter(adapter)),
            "decoding": plan.keys.decoding,
            "memory": plan.keys.memory,
        }

    @property
    def prompt_files(self) -> Prompts:
        """What it reads."""
        return self.prompts

    @property
    def remembers(self) -> bool:
        """Whether it keeps what it read and said."""
        return self.memory is not None

    def remembering(self, past: Sequence[Past]) -> Self:
        """Return the agent of one turn, with the earlier turns that it remembers."""
        return replace(self, past=tuple(past))

    def prompt(self, question: str, own: Heard | None, others: Sequence[Heard]) -> Prompt:
        """Return what is read at one turn alone: initial where nothing was said, review where only others spoke."""
        if own is not None:
            return self.prompts.debate(question, own, others)
        return self.prompts.review(question, others) if others else self.prompts.initial(question)

    def request(self, question: str, own: Heard | None, others: Sequence[Heard], seed: int) -> Request:
        """Return the request of one turn, behind what was read and said before where the agent remembers it.

        Raises:
            RequestError: it remembers, and was not given its earlier turns.
        """
        prompt = self.prompt(question, own, others)
        if self.remembers:
            if self.past is None:
                raise RequestError(
                    f"agent {self.name!r} has memory: {self.memory}, and what asks it here does not know its earlier turns; "
                    "leave the key out for this"
                )
            earlier = [(self.prompt(turn.question, turn.own, turn.others), turn.said) for turn in self.past]
            prompt = continued(prompt, earlier)
        sampling = replace(self.sampling, seed=seed)
        if self.encoder is not None:
            # A belief is restricted by its encoder; these belong to the agent's text turns.
            sampling = replace(sampling, top_p=None, top_k=None)
        hearers = () if self.encoder is None else self.hearers
        return Request(
            prompt, self._ended(sampling, prompt), self.encoder, self.adapter, hearers=hearers, decoding=self.decoding
        )

    def summarise(self, question: Question, heard: Sequence[Heard], seed: int, max_tokens: int) -> Pending:
        """Submit the request of a summary; vectors stand in its prompt as in a turn's, and what is written is text.

        Raises:
            PromptTooLong: naming this agent.
        """
        prompt = self.prompts.summary(question.text, heard)
        sampling = replace(self.sampling, seed=seed, max_tokens=max_tokens)
        return self.submit(Request(prompt, self._ended(sampling, prompt), adapter=self.adapter, decoding=self.decoding))

    def _ended(self, sampling: Sampling, prompt: Prompt) -> Sampling:
        """Return how a request is decoded, with what ends a message of a plain prompt."""
        if prompt.close and not self.reads_chat(prompt):
            return replace(sampling, stop=(*sampling.stop, prompt.close))
        return sampling

    def reads_chat(self, prompt: Prompt) -> bool:
        """Whether its model reads a prompt in its chat template; an engine without a known tokenizer does."""
        tokenizer = tokenizer_of(self.backend)
        return prompt.format == "chat" or tokenizer is None or is_chat(prompt, tokenizer)

    def speak(self, question: Question, own: Heard | None, others: Sequence[Heard], seed: int) -> Pending:
        """Submit the request of one turn; of the question a language model reads the text.

        Raises:
            PromptTooLong: naming this agent.
        """
        return self.submit(self.request(question.text, own, others, seed))

    def submit(self, request: Request) -> Pending:
        """Submit a request, and name this agent where it is too long."""
        try:
            return self.backend.submit(request)
        except PromptTooLong as error:
            raise PromptTooLong(error.prompt_tokens, error.max_tokens, error.context, agent=self.name) from error
