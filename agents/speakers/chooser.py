"""An agent that does not generate: it weighs the options of a choice by their log-likelihood, and says that belief.

This is how harnesses score multiple choice (lm-eval's `acc`, and `acc_norm` for texts by their length): p(option) is
softmax over options of log p(option | prompt). Here it is also a debater: it hears others in its prompt, and what it says is
its belief, verbalised, so that a CIPHER message of it is the expected embedding over the options.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from agents.backend import Generation, Pending, Request
from agents.beliefs.belief import Belief
from agents.beliefs.verbaliser import Verbaliser, Words, check_encoder
from agents.decoding.acbs import ConditionalBeam
from agents.decoding.future_blocks import FutureBlocks
from agents.decoding.rules import parse_decoding
from agents.errors import ConfigError, RequestError
from agents.message import Message
from agents.prompts import Heard
from agents.question import Question
from agents.speakers.agent import Agent
from agents.speakers.speaker import AgentPlan, Speaker
from agents.tokenization import is_chat
from agents.tokenizers import tokenizer_of

Weighed = Literal["labels", "texts"]
WORDS_ONLY = "only agents that hold a belief over labels have it; add weighs: labels"


@dataclass(frozen=True, kw_only=True)
class Chooser(Agent):
    """An agent that weighs options.

    Attributes:
        verbaliser: belief → message, in the engine's tokens.
        weighs: the options' labels; or their texts, each log-likelihood divided by the text's bytes.
        words: form of the belief in text: the best label, or every label with its share in percent.
    """

    verbaliser: Verbaliser
    weighs: Weighed = "labels"
    words: Words = "label"

    own_keys: ClassVar[Mapping[str, str]] = {**Agent.own_keys, "words": WORDS_ONLY}

    def __post_init__(self) -> None:
        if not self.backend.capabilities.weighs:
            raise ConfigError(
                f"agent {self.name!r}: its backend does not tell how likely options are, so it cannot weigh them. The backends "
                "transformers, vllm and mock do."
            )
        check_encoder(self.name, self.encoder)
        way = None if self.decoding is None else parse_decoding(self.decoding)
        if isinstance(way, ConditionalBeam | FutureBlocks):
            does = (
                "acbs searches for a text"
                if isinstance(way, ConditionalBeam)
                else "ftp_blocks says a message by blocks"
            )
            raise ConfigError(
                f"agent {self.name!r}: decoding {does}, and an agent that weighs options says none: leave one of them out"
            )
        super().__post_init__()

    @classmethod
    def build(cls, plan: AgentPlan) -> Speaker:
        """Return the debater that a config describes, which weighs options in place of generating."""
        if plan.keys.words == "grounds":
            raise ConfigError(
                f"agents.{plan.name}.words: grounds are a belief backend's; an agent that weighs options has label or shares"
            )
        made = cls.fields_of(plan)
        tokenizer = tokenizer_of(made["backend"])
        if tokenizer is None:
            raise ConfigError(f"agent {plan.name!r} weighs options in its model's tokens, and these are not known")
        verbaliser = Verbaliser(tokenizer, made["backend"].fingerprint)
        return cls(**made, verbaliser=verbaliser, weighs=plan.keys.weighs, words=plan.keys.words)

    def speak(self, question: Question, own: Heard | None, others: Sequence[Heard], seed: int) -> Pending:
        """Submit the question with its options; what comes back is said as a belief.

        Raises:
            RequestError: the question is no choice.
            PromptTooLong: naming this agent.
        """
        self.check(question)
        asked = replace(self.request(question.text, own, others, seed), encoder=None)
        said = Pending()
        said.become(
            self.submit(replace(asked, choices=self.choices(question, asked))),
            lambda generation: self._said(question, generation),
        )
        return said

    def check(self, question: Question) -> None:
        """Raise RequestError where a question is no choice."""
        if not question.labels or (self.weighs == "texts" and not question.options):
            raise RequestError(
                f"agent {self.name!r} weighs the options of a choice, and this question has none: give it a task of kind choice "
                "or yes/no (`debate tasks`), or drop `weighs`"
            )

    def choices(self, question: Question, request: Request) -> tuple[str, ...]:
        """Return what is weighed: each option as it goes on from the prompt's end."""
        # A plain prompt ends in the cue by itself.
        lead = request.prompt.cue if is_chat(request.prompt, self.verbaliser.tokenizer) else ""
        return tuple(
            f"{lead} {option}" for option in (question.labels if self.weighs == "labels" else question.options)
        )

    def belief(self, question: Question, log_likelihoods: Sequence[float]) -> Belief:
        """Return the belief over labels."""
        if self.weighs == "texts":
            lengths = [len(option.encode()) for option in question.options]
            log_likelihoods = [value / length for value, length in zip(log_likelihoods, lengths, strict=True)]
        return Belief.from_log_likelihoods(question.labels, log_likelihoods)

    def _said(self, question: Question, generation: Generation) -> Generation:
        if generation.finish_reason == "cancelled":
            return generation
        return replace(generation, message=self.say(self.belief(question, generation.log_likelihoods)))

    def say(self, belief: Belief) -> Message:
        """Return the message of a belief."""
        return self.verbaliser.say(
            belief,
            sender=self.backend.fingerprint.model,
            temperature=self.sampling.temperature,
            encoder=self.encoder,
            words=self.words,
        )
