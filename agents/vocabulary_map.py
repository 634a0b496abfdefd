"""Beliefs of one tokenizer as beliefs of another: CIPHER's open problem, by token strings.

CIPHER exchanges vectors only where vocabularies agree (Pham et al., 2024, section 6). Here a belief moves by what its
tokens
spell: a token whose bytes are a token of the receiver is that token; any other is spelled by the receiver's longest
    pieces.
One step of the sender becomes as many steps as its heaviest token has pieces, so a one-hot message becomes exactly its
text. What does not fit (a token of more pieces than the step has; a special token; a byte the receiver lacks) is left
out and the rest renormalised; how much was mapped is reported, and below a threshold the message is to be heard as
text.

This is a rule without training, and loses what depends on where the sender's own token borders fall.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from agents.token_bytes import token_bytes

MAX_PIECES = 16


@dataclass(frozen=True)
class Mapped:
    """A message in the receiver's vocabulary, and how much of it went over.

    Attributes:
        message: its kept beliefs are over the receiver's tokens, to be rendered on its table; None if nothing mapped.
        mass: probability that mapped, the mean over the sender's steps; what the sender did not keep counts as lost.
        exact: the part of `mass` whose tokens are single tokens of the receiver.
        least: the same at the step that mapped worst.
    """

    message: Message | None
    mass: float
    exact: float
    least: float


class VocabularyMap:
    """From a sender's tokens to a receiver's.

    Args:
        sender: the sender's tokenizer.
        receiver: the receiver's tokenizer.
    """

    def __init__(self, sender: Any, receiver: Any) -> None:
        self._sender = token_bytes(sender)
        self._receiver: dict[bytes, int] = {}
        for place, spelled in enumerate(token_bytes(receiver)):
            if spelled:
                self._receiver.setdefault(spelled, place)
        self._longest = max((len(spelled) for spelled in self._receiver), default=0)
        self._pieces: dict[int, tuple[int, ...]] = {}

    def pieces(self, token: int) -> tuple[int, ...]:
        """Return the receiver's tokens that spell a sender's token: one where strings match, none where none can."""
        if token not in self._pieces:
            spelled = self._sender[token] if token < len(self._sender) else None
            self._pieces[token] = self._spell(spelled) if spelled else ()
        return self._pieces[token]

    @cached_property
    def shared(self) -> float:
        """Share of the sender's tokens that are single tokens of the receiver."""
        spelled = [token for token in self._sender if token]
        return sum(token in self._receiver for token in spelled) / max(len(spelled), 1)

    def apply(self, message: Message, receiver: ModelFingerprint) -> Mapped:
        """Return a CIPHER message over the receiver's vocabulary.

        The sender's steps with nothing to map are left out. The result carries no vectors of the receiver's: those are
        made from its beliefs on the receiver's own table, as between models that share a tokenizer (CIPHER, section 3).
        """
        cipher = message.cipher
        assert cipher is not None, "only CIPHER messages are mapped"
        steps: list[dict[int, float]] = []
        reading: list[int] = []
        origin: list[int] = []
        masses, exacts = [], []
        kept = zip(cipher.top_ids.tolist(), cipher.top_probabilities.tolist(), cipher.nearest.tolist(), strict=True)
        for place, (ids, weights, nearest) in enumerate(kept):
            belief = {token: weight for token, weight in zip(ids, weights, strict=True) if weight > 0}
            made, mass, exact = self._step(belief, nearest)
            masses.append(mass)
            exacts.append(exact)
            steps += made
            reading += [max(step, key=step.__getitem__) for step in made]
            origin += [place] * len(made)
        if not masses:
            return Mapped(message=_rebuilt(message, receiver, [], [], []), mass=1.0, exact=1.0, least=1.0)
        mapped = _rebuilt(message, receiver, steps, reading, origin) if steps else None
        return Mapped(mapped, sum(masses) / len(masses), sum(exacts) / len(exacts), min(masses))

    def _step(self, belief: dict[int, float], nearest: int) -> tuple[list[dict[int, float]], float, float]:
        """Return the receiver's steps for one belief, the mass that they carry, and that of single tokens."""
        spelled = {token: self.pieces(token) for token in belief}
        heaviest = max(belief, key=lambda token: (belief[token], token == nearest), default=None)
        length = len(spelled[heaviest]) if heaviest is not None else 0
        if not length:
            lengths = [len(pieces) for pieces in spelled.values() if pieces]
            length = min(lengths, default=0)
        steps: list[dict[int, float]] = [{} for _ in range(length)]
        mass = exact = 0.0
        for token, weight in belief.items():
            pieces = spelled[token]
            if not pieces or len(pieces) > length:
                continue
            mass += weight
            exact += weight if len(pieces) == 1 else 0.0
            for place, piece in enumerate(pieces):
                steps[place][piece] = steps[place].get(piece, 0.0) + weight
        return steps, mass, exact

    def _spell(self, spelled: bytes) -> tuple[int, ...]:
        """Return the receiver's longest tokens that spell bytes from the left; empty if none can or too many."""
        found: list[int] = []
        start = 0
        while start < len(spelled):
            for end in range(min(len(spelled), start + self._longest), start, -1):
                piece = self._receiver.get(spelled[start:end])
                if piece is not None:
                    found.append(piece)
                    start = end
                    break
            else:
                return ()
            if len(found) > MAX_PIECES:
                return ()
        return tuple(found)


def _rebuilt(
    message: Message, receiver: ModelFingerprint, steps: list[dict[int, float]], reading: list[int], origin: list[int]
) -> Message:
    """Return the message with these beliefs; its fingerprint has the receiver's tokenizer and nobody's table."""
    cipher = message.cipher
    assert cipher is not None
    width = max((len(step) for step in steps), default=0)
    ids = torch.zeros(len(steps), width, dtype=torch.int64)
    weights = torch.zeros(len(steps), width)
    for place, step in enumerate(steps):
        total = sum(step.values())
        for rank, (token, weight) in enumerate(sorted(step.items(), key=lambda item: -item[1])):
            ids[place, rank], weights[place, rank] = token, weight / total
    chosen = torch.tensor(origin, dtype=torch.int64)
    model = replace(message.model, table="", tokenizer=receiver.tokenizer, vocabulary=receiver.vocabulary)
    return Message(
        text=message.text,
        model=model,
        temperature=message.temperature,
        token_ids=tuple(reading),
        encoder=message.encoder,
        cipher=Cipher(
            vectors=torch.zeros(len(steps), model.width, dtype=cipher.vectors.dtype),
            nearest=torch.tensor(reading, dtype=torch.int64),
            entropy=cipher.entropy.cpu()[chosen],
            max_probability=cipher.max_probability.cpu()[chosen],
            top_ids=ids,
            top_probabilities=weights,
        ),
    )
