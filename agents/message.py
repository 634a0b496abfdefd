"""What one agent said: text, or CIPHER vectors with the beliefs they render. Frozen, compared by value.

T positions, V vocabulary, D embedding width, K beliefs kept per position.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from agents.errors import MessageError
from agents.fingerprint import ModelFingerprint
from agents.message_header import CIPHER_TENSORS, RENDERED, MessageHeader
from agents.valid_text import valid_text

if TYPE_CHECKING:
    # Imported where a message has tensors: a text is written, read and shown without it.
    import torch

# What an entropy or a probability in float32 may be off by, and a sum of many.
ROUNDING, SUM_ROUNDING = 1e-5, 1e-3
RANGES = {
    "vectors": (-math.inf, math.inf),
    "entropy": (-ROUNDING, math.inf),
    "max_probability": (-ROUNDING, 1 + ROUNDING),
    "top_probabilities": (-ROUNDING, 1 + ROUNDING),
}


@dataclass(frozen=True, eq=False)
class Cipher:
    """A CIPHER message (Pham et al., 2024, section 3): one expected embedding per step, and what it was made of.

    The tensors are shared, not copied: whoever writes into one breaks the value.

    Attributes:
        vectors: [T, D], the embeddings, in the sender's dtype; each lies in the convex hull of the sender's table, except for
            what the encoder may leave out (`EmbeddingTable.delta`). D is 0 for a sender without a table, whose beliefs
            receivers render on their own tables.
        nearest: [T] int64, the row of the table nearest by cosine to each vector.
        entropy: [T] float32, entropy of the belief softmax(z / temperature) in nats.
        max_probability: [T] float32, largest probability of the same belief.
        top_ids: [T, K] int64, the K most probable tokens of the distribution that the encoder mixed, descending.
        top_probabilities: [T, K] float32, their weights; 0 (and id 0) where the distribution has fewer than K tokens.
        rendered: hash of another table of the same tokenizer → [T, D'], the same beliefs rendered whole on that table, for those
            that hear the message and have it; CONTROL:HASH → [T, D'], a content control rendered on a table, for those that
            hear it in the message's place.

    Raises:
        MessageError: a wrong shape or dtype, a number that is not finite, or an entropy or a probability out of range.
    """

    vectors: "torch.Tensor"
    nearest: "torch.Tensor"
    entropy: "torch.Tensor"
    max_probability: "torch.Tensor"
    top_ids: "torch.Tensor"
    top_probabilities: "torch.Tensor"
    rendered: Mapping[str, "torch.Tensor"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import torch

        dtypes = (torch.float32, torch.bfloat16, torch.float16)
        if self.vectors.ndim != 2 or self.vectors.dtype not in dtypes:
            raise MessageError(
                f"embeddings must be [T, D] in float32, bfloat16 or float16; got {_describe(self.vectors)}"
            )
        steps = self.vectors.shape[0]
        for name, dtype in (("nearest", torch.int64), ("entropy", torch.float32), ("max_probability", torch.float32)):
            _expect(name, getattr(self, name), (steps,), dtype)
        if self.top_ids.ndim != 2:
            raise MessageError(f"top_ids must be [{steps}, K] in int64; got {_describe(self.top_ids)}")
        width = self.top_ids.shape[1]
        _expect("top_ids", self.top_ids, (steps, width), torch.int64)
        _expect("top_probabilities", self.top_probabilities, (steps, width), torch.float32)
        for name, vectors in self.rendered.items():
            if vectors.ndim != 2 or vectors.dtype not in dtypes or len(vectors) != steps:
                raise MessageError(
                    f"vectors rendered for table {name[:8]} must be [{steps}, D]; got {_describe(vectors)}"
                )
        if steps:
            for name, (low, high) in RANGES.items():
                _expect_between(name, getattr(self, name), low, high)
            for name, vectors in self.rendered.items():
                _expect_between(f"vectors rendered for table {name[:8]}", vectors, -math.inf, math.inf)
            mass = self.top_probabilities.sum(dim=1)
            if float(mass.max()) > 1 + SUM_ROUNDING:
                step = int((mass > 1 + SUM_ROUNDING).nonzero()[0])
                raise MessageError(
                    f"top_probabilities has weights that sum to more than 1, first at step {step} of {steps}"
                )

    def __len__(self) -> int:
        return int(self.vectors.shape[0])

    @classmethod
    def of(cls, tensors: Mapping[str, "torch.Tensor"]) -> "Cipher":
        """Return the value whose `tensors` these are.

        Raises:
            MessageError: some are missing, or do not fit together.
        """
        missing = [name for name in CIPHER_TENSORS if name not in tensors]
        if missing:
            raise MessageError(f"the tensors {', '.join(missing)} are missing")
        vectors, nearest, entropy, most, ids, weights = (tensors[name] for name in CIPHER_TENSORS)
        others = {name.removeprefix(RENDERED): found for name, found in tensors.items() if name.startswith(RENDERED)}
        return cls(vectors, nearest, entropy, most, ids, weights, others)

    def part(self, steps: slice) -> "Cipher":
        """Return some of the steps, as views."""
        own = {name: tensor[steps] for name, tensor in vars(self).items() if name != "rendered"}
        return Cipher(**own, rendered={name: vectors[steps] for name, vectors in self.rendered.items()})

    @property
    def num_bytes(self) -> int:
        """Bytes that a receiver needs: of the vectors, T * D * itemsize; of beliefs without vectors, of what was kept."""
        needed = [self.vectors] if self.vectors.shape[1] else [self.top_ids, self.top_probabilities]
        return sum(tensor.numel() * tensor.element_size() for tensor in needed)

    def tensors(self) -> "dict[str, torch.Tensor]":
        """Return every tensor by the name it has on disk."""
        return {
            "embeddings": self.vectors,
            "nearest": self.nearest,
            "entropy": self.entropy,
            "max_probability": self.max_probability,
            "top_ids": self.top_ids,
            "top_probabilities": self.top_probabilities,
            **{f"{RENDERED}{name}": self.rendered[name] for name in sorted(self.rendered)},
        }


@dataclass(frozen=True, eq=False)
class Message:
    """What one agent said in one turn.

    Attributes:
        text: the text that was said; for a CIPHER message its reading, i.e. the nearest tokens decoded. A half of a character,
            which no file holds, is U+FFFD in it, and in the thinking.
        model: the sender's fingerprint.
        temperature: the sender's temperature.
        token_ids: the sampled tokens; for a CIPHER message the nearest ones.
        encoder: the rule that turned beliefs into vectors, e.g. `expectation` or `topk(k=5)`; None for sampled text.
        cipher: the vectors and beliefs; None for text.
        thinking: the thoughts of a reasoning model before its answer, with their tags; `text` is the answer alone.
        thinking_tokens: number of leading token ids, and vectors, that belong to the thinking.
    """

    text: str
    model: ModelFingerprint
    temperature: float
    token_ids: tuple[int, ...] = ()
    encoder: str | None = None
    cipher: Cipher | None = field(default=None, repr=False)
    thinking: str = ""
    thinking_tokens: int = 0

    def __post_init__(self) -> None:
        for name in ("text", "thinking"):
            given = getattr(self, name)
            if (valid := valid_text(given)) is not given:
                object.__setattr__(self, name, valid)
        if not 0 <= self.thinking_tokens <= len(self.token_ids):
            raise MessageError(f"{self.thinking_tokens} tokens of thinking in a message of {len(self.token_ids)}")
        if (self.cipher is None) != (self.encoder is None):
            raise MessageError("a message has an encoder exactly when it has vectors")
        if self.cipher is None:
            return
        if self.cipher.nearest.tolist() != list(self.token_ids):
            raise MessageError("the token ids of a CIPHER message are its nearest tokens")
        if self.cipher.vectors.shape[1] != self.model.width:
            raise MessageError(
                f"embeddings are {self.cipher.vectors.shape[1]} wide, but {self.model.model} has {self.model.width}"
            )
        for name in ("nearest", "top_ids"):
            ids = getattr(self.cipher, name)
            if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= self.model.vocabulary):
                raise MessageError(f"{name} has an id outside the vocabulary of {self.model.vocabulary}")

    @property
    def is_cipher(self) -> bool:
        """Whether the message is vectors."""
        return self.cipher is not None

    @property
    def num_tokens(self) -> int:
        """Generated steps that the message holds."""
        return len(self.token_ids)

    @property
    def num_bytes(self) -> int:
        """Bytes that a receiver of the answer needs: the vectors of a CIPHER message, the UTF-8 of a text."""
        answer = self.answer
        return answer.cipher.num_bytes if answer.cipher is not None else len(answer.text.encode())

    @property
    def answer(self) -> "Message":
        """The message without its thinking."""
        if not self.thinking and not self.thinking_tokens:
            return self
        start = self.thinking_tokens
        cipher = None if self.cipher is None else self.cipher.part(slice(start, None))
        return replace(self, token_ids=self.token_ids[start:], cipher=cipher, thinking="", thinking_tokens=0)

    @property
    def whole(self) -> "Message":
        """The message with its thinking as a part of what was said."""
        if not self.thinking and not self.thinking_tokens:
            return self
        return replace(self, text=self.thinking + self.text, thinking="", thinking_tokens=0)

    def header(self) -> dict[str, object]:
        """Return everything but the tensors, as JSON values; token ids only where no tensor has them."""
        ids = None if self.is_cipher else self.token_ids
        own = (self.text, self.model, self.temperature, self.encoder)
        return MessageHeader(*own, "", ids, self.thinking, self.thinking_tokens).fields()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the header and the bytes of every tensor: equal digests are equal messages."""
        sha = hashlib.sha256(json.dumps(self.header(), sort_keys=True).encode())
        if self.cipher is not None:
            import torch

            for name, tensor in self.cipher.tensors().items():
                sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
                sha.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        return sha.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def _expect(name: str, tensor: "torch.Tensor", shape: tuple[int, ...], dtype: "torch.dtype") -> None:
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        want = f"{list(shape)} in {str(dtype).removeprefix('torch.')}"
        raise MessageError(f"{name} must be {want}; got {_describe(tensor)}")


def _expect_between(name: str, tensor: "torch.Tensor", low: float, high: float) -> None:
    """Refuse a number outside of a range, and NaN and infinity in any."""
    import torch

    if not tensor.numel():
        return
    least, most = (float(bound) for bound in tensor.aminmax())
    if low <= least and most <= high and math.isfinite(least) and math.isfinite(most):
        return
    label, finite = "embeddings" if name == "vectors" else name, torch.isfinite(tensor)
    # In the precision of the bounds: in the tensor's own a number that is just beyond one equals it.
    wide = tensor.double()
    fits = finite & (wide >= low) & (wide <= high)
    step = int((~fits.reshape(len(tensor), -1).all(dim=1)).nonzero()[0])
    wrong = "not finite" if not bool(finite.all()) else "below 0" if least < low else "above 1"
    raise MessageError(f"{label} has a number that is {wrong}, first at step {step} of {len(tensor)}")


def _describe(tensor: "torch.Tensor") -> str:
    return f"{list(tensor.shape)} in {str(tensor.dtype).removeprefix('torch.')}"
