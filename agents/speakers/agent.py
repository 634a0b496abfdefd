"""An agent: a name, prompts and a way of decoding on some backend. It turns what it hears into one request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.backend import Backend, Pending, Request, Sampling
from agents.errors import ConfigError, PromptTooLong
from agents.message import Message
from agents.prompts import Heard, Prompts
from agents.question import Question


@dataclass(frozen=True)
class Agent:
    """One debater.

    Fields:
        name: unique in the debate.
        backend: the engine that it speaks through; shared with agents of the same model.
        prompts: its prompt files.
        sampling: temperature, lengths, stops; the seed is set per turn.
        encoder: how it speaks: None for text, else the encoder of its CIPHER messages.
        adapter: a LoRA adapter's folder, for a model that several agents share.
    """

    name: str
    backend: Backend
    prompts: Prompts
    sampling: Sampling
    encoder: str | None = None
    adapter: str | None = None

    def __post_init__(self) -> None:
        if self.adapter is not None and not self.backend.capabilities.adapters:
            raise ConfigError(
                f"agent {self.name!r}: its backend loads no adapters. The transformers backend does, and vllm with the option "
                "enable_lora: true."
            )
        if self.encoder is not None and not self.backend.capabilities.vectors_out:
            raise ConfigError(
                f"agent {self.name!r}: its backend cannot send vectors: give it encoder: none, or the debate message: text"
            )

    def request(self, question: str, own: Message | None, others: Sequence[Heard], seed: int) -> Request:
        """Return the request of one turn: initial where nothing was said, review where only others spoke."""
        if own is not None:
            prompt = self.prompts.debate(question, own, others)
        elif others:
            prompt = self.prompts.review(question, others)
        else:
            prompt = self.prompts.initial(question)
        sampling = replace(self.sampling, seed=seed)
        if self.encoder is not None:
            # A belief is restricted by its encoder; these belong to the agent's text turns.
            sampling = replace(sampling, top_p=None, top_k=None)
        return Request(prompt, sampling, self.encoder, self.adapter)

    def speak(self, case: Question, own: Message | None, others: Sequence[Heard], seed: int) -> Pending:
        """Submit the request of one turn; of the case a language model reads the question.

        Raises:
            PromptTooLong: naming this agent.
        """
        return self.submit(self.request(case.text, own, others, seed))

    def submit(self, request: Request) -> Pending:
        """Submit a request, and name this agent where it is too long."""
        try:
            return self.backend.submit(request)
        except PromptTooLong as error:
            raise PromptTooLong(error.prompt_tokens, error.max_tokens, error.context, agent=self.name) from error
