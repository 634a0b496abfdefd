"""Renders a message for its hearer: vectors, fewer of them, text, answer only, or first tokens. Nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents.errors import ConfigError
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.prompts import Heard
from agents.reduction import reduced
from agents.speakers.speaker import Speaker
from agents.tokenizers import tokenizer_of
from agents.vocabulary_map import VocabularyMap
from debate.protocol.stopping import Extract
from debate.topology.edge import Edge, Thinking
from debate.transcript import Control, Reduced
from kernels.content import RENDERED_CONTENTS, rendered_name

NO_ANSWER = "no answer"


@dataclass(frozen=True)
class HeardMessage:
    """A message as one agent hears it.

    Attributes:
        content: content for its prompt.
        mapped: the share of the belief that mapped, where the tokenizers differ.
        is_read_out: whether it was said in CIPHER, and is given as its reading because the hearer takes no vectors.
        control: which control stands in its place; None where it is the message.
        reduced: which positions of it are heard; None where nothing reduces it.
    """

    content: Heard
    mapped: float | None = None
    is_read_out: bool = False
    control: Control | None = None
    reduced: Reduced | None = None


@dataclass
class Hearing:
    """Renders messages for their hearers.

    Attributes:
        extract: a response and its question's options → the answer in it; needed where an edge shows answers only.
        min_mapped: the least share of a belief that must map between two tokenizers; below it text is heard.
        thinking: `strip` to hear a reasoning model's answer alone, `keep` for what it thought before, too.
    """

    extract: Extract | None = None
    min_mapped: float = 0.6
    thinking: Thinking = "strip"
    _maps: dict[tuple[str, str], VocabularyMap | None] = field(default_factory=dict, repr=False)

    def hear(
        self, message: Message, edge: Edge, speaker: Speaker, hearer: Speaker, options: Sequence[str] = ()
    ) -> HeardMessage:
        """Return a message as an edge shows it; `swapped` and `echo` are other messages, and chosen by who calls.

        Raises:
            ConfigError: answers only, but nothing tells what an answer is.
        """
        if edge.content == "silence":
            return HeardMessage("")
        if edge.seen == "answers":
            if self.extract is None:
                raise ConfigError("seen: answers needs a task, which tells what an answer is; give --task")
            answer = self.extract(message.text, options)
            return HeardMessage(f"Answer: {NO_ANSWER if answer is None else answer}")
        message = self.heard_part(message, edge.thinking)
        if edge.first_tokens is not None and edge.first_tokens < message.num_tokens:
            message = beginning(message, edge.first_tokens, tokenizer_of(speaker.backend))
        if not message.is_cipher or edge.message == "text" or not hearer.takes_vectors:
            return HeardMessage(reading(message), is_read_out=message.is_cipher and not hearer.takes_vectors)
        if edge.content in RENDERED_CONTENTS:
            return HeardMessage(controlled(message, edge.content, hearer.backend.fingerprint))
        vectors, mass = self._vectors(message, speaker, hearer)
        if vectors is None:
            return HeardMessage(reading(message), mass)
        if edge.reduce is None:
            return HeardMessage((vectors, reading(message)) if edge.message == "both" else vectors, mass)
        assert edge.message == "cipher", "a message that is read beside its vectors is refused before it is said"
        groups = edge.reduce.groups(message)
        fewer, mass = self._vectors(reduced(message, groups, tokenizer=tokenizer_of(speaker.backend)), speaker, hearer)
        if fewer is None:
            # What is left maps too badly: as where the whole does, its whole text is heard.
            return HeardMessage(reading(message), mass)
        return HeardMessage(fewer, mass, reduced=Reduced(edge.reduce.text, message.num_tokens, groups, fewer.digest))

    def _vectors(self, message: Message, speaker: Speaker, hearer: Speaker) -> tuple[Message | None, float | None]:
        """Return a CIPHER message as vectors for a hearer, and the share that mapped where the tokenizers differ.

        None in place of the message where too little maps, so that its reading is heard.
        """
        if message.model.same_tokenizer(hearer.backend.fingerprint):
            return message, None
        return self._mapped(message, speaker, hearer)

    def own(self, message: Message, agent: Speaker) -> HeardMessage:
        """Return an agent's own last message as it stands in its next prompt."""
        message = self.heard_part(message)
        if message.is_cipher and not agent.takes_vectors:
            return HeardMessage(reading(message), is_read_out=True)
        return HeardMessage(message)

    def heard_part(self, message: Message, thinking: Thinking | None = None) -> Message:
        """Return a message with or without its thinking, as an edge or the debate says."""
        return message.whole if (thinking or self.thinking) == "keep" else message.answer

    def _mapped(self, message: Message, speaker: Speaker, hearer: Speaker) -> tuple[Message | None, float]:
        ends = (speaker.backend.fingerprint.tokenizer, hearer.backend.fingerprint.tokenizer)
        if ends not in self._maps:
            tokenizers: tuple[Any, Any] = (tokenizer_of(speaker.backend), tokenizer_of(hearer.backend))
            self._maps[ends] = None if None in tokenizers else VocabularyMap(*tokenizers)
        vocabulary_map = self._maps[ends]
        if vocabulary_map is None:
            return None, 0.0
        mapped = vocabulary_map.apply(message, hearer.backend.fingerprint)
        return (mapped.message if mapped.mass >= self.min_mapped else None), mapped.mass


def reading(message: Message) -> Message:
    """Return a message as the text that it reads as; a text message is itself."""
    return replace(message, encoder=None, cipher=None) if message.is_cipher else message


def controlled(message: Message, content: str, receiver: ModelFingerprint) -> Message:
    """Return a CIPHER message with a control's vectors, which its engine rendered, in place of its own for a receiver."""
    assert message.cipher is not None, "only CIPHER messages have beliefs to make a control of"
    vectors = message.cipher.rendered[rendered_name(content, receiver.table)]
    if message.model.same_table(receiver):
        cipher = replace(message.cipher, vectors=vectors, rendered={})
    else:
        cipher = replace(message.cipher, rendered={receiver.table: vectors})
    return replace(message, cipher=cipher)


def beginning(message: Message, count: int, tokenizer: Any) -> Message:
    """Return the first `count` tokens of a message.

    Without a tokenizer the words are cut in proportion to the tokens.
    """
    ids = message.token_ids[:count]
    if tokenizer is not None:
        text = tokenizer.decode(list(ids))
    else:
        text = message.text[: len(message.text) * count // max(message.num_tokens, 1)]
    if message.cipher is None:
        return replace(message, text=text, token_ids=ids)
    return replace(message, text=text, token_ids=ids, cipher=message.cipher.part(slice(count)))
