"""SAQ, the staircase of adaptive quantisation (Li, 2024, arXiv:2410.18441): a token's keys and values lose bits as they age.

The newest tokens, fewer than a chunk, stay as they are. When they fill a chunk it is quantised with bits B1, and every older
chunk goes one step down the stair: it is restored from its codes and quantised again, with the next lower bits, of what is
left of it. A chunk that has come to the last step stays there; so one step is uniform quantisation. Keys have a group for
each channel, over the tokens of the chunk; values have one for each token (KIVI, arXiv:2402.02750).

How many chunks there are, and so how coarse each is, depends on how many tokens are in the cache alone. A forward pass sees
its own tokens as they are, and the earlier ones as the stair has them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from agents.attention.codes import MOST_BITS, Codes, code_bytes, quantise
from agents.errors import ConfigError

# Of keys and values [.., tokens, head]: the dimension along which a group runs.
KEYS, VALUES = -2, -1


@dataclass(frozen=True)
class Staircase:
    """The bits of a cache by age.

    Attributes:
        bits: of a chunk by the number of chunks after it; the last for all that are older.
        chunk: tokens of a chunk.
    """

    bits: tuple[int, ...]
    chunk: int

    def __post_init__(self) -> None:
        whole = all(type(bits) is int and 1 <= bits <= MOST_BITS for bits in self.bits)
        if not self.bits or not whole or list(self.bits) != sorted(set(self.bits), reverse=True):
            raise ConfigError(
                f"the bits of a cache fall from step to step, each 1 to {MOST_BITS}, e.g. (8, 4, 2); got {self.bits}"
            )
        if self.chunk < 1:
            raise ConfigError(f"a chunk of the cache has at least one token; got {self.chunk}")

    def moves(self, held: int, before: int = 0) -> Iterator[tuple[int, int]]:
        """Yield (chunk, its bits now) for each quantisation that tokens `before` … `held` − 1 bring about, in order."""
        for complete in range(before // self.chunk + 1, held // self.chunk + 1):
            for age, bits in enumerate(self.bits):
                if age < complete:
                    yield complete - 1 - age, bits

    def levels(self, held: int) -> list[int]:
        """Return the bits of each chunk, oldest first, of a cache that holds so many tokens."""
        count = held // self.chunk
        return [self.bits[min(count - 1 - chunk, len(self.bits) - 1)] for chunk in range(count)]

    def num_bytes(self, held: int, width: int, *, plain: int = 2) -> int:
        """Return the bytes of the keys and values of one head of one layer, scales included.

        Args:
            held: tokens in the cache.
            width: of the head.
            plain: bytes of a number that is not quantised.
        """
        shape = (self.chunk, width)
        chunks = sum(code_bytes(shape, bits, KEYS) + code_bytes(shape, bits, VALUES) for bits in self.levels(held))
        return chunks + 2 * plain * width * (held % self.chunk)

    def bits_a_number(self, held: int, width: int) -> float:
        """Return the mean bits of a number of the cache, scales and the unquantised newest tokens included."""
        return 8 * self.num_bytes(held, width) / (2 * width * held)


class StaircaseLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer: codes of whole chunks, oldest first, and the newest tokens as they are."""

    def __init__(self, stair: Staircase) -> None:
        super().__init__()
        self.stair = stair
        self.chunks: list[tuple[Codes, Codes]] = []

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Begin with no token, for the shapes that the model turned out to have."""
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [B, H, Q, head] and return all that attention reads: what is quantised restored, the rest as it is."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self._settle()
        self.keys = torch.cat([self.keys, key_states], -2)
        self.values = torch.cat([self.values, value_states], -2)
        keys, values = ([codes[part].restore() for codes in self.chunks] for part in (0, 1))
        return torch.cat([*keys, self.keys], -2), torch.cat([*values, self.values], -2)

    def _settle(self) -> None:
        """Quantise what was waiting, chunk by chunk."""
        size = self.stair.chunk
        while self.keys.shape[-2] >= size:
            held = size * len(self.chunks)
            for chunk, bits in self.stair.moves(held + size, held):
                if chunk == len(self.chunks):
                    old = self.keys[:, :, :size], self.values[:, :, :size]
                    self.keys, self.values = self.keys[:, :, size:], self.values[:, :, size:]
                    self.chunks.append((quantise(old[0], bits, KEYS), quantise(old[1], bits, VALUES)))
                else:
                    keys, values = self.chunks[chunk]
                    self.chunks[chunk] = (
                        quantise(keys.restore(), bits, KEYS),
                        quantise(values.restore(), bits, VALUES),
                    )

    @property
    def num_bytes(self) -> int:
        """Bytes of codes, scales and the newest tokens."""
        plain = sum(part.numel() * part.element_size() for part in (self.keys, self.values))
        return plain + sum(codes.num_bytes for pair in self.chunks for codes in pair)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return length and offset of the keys."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Return the tokens that are in the cache."""
        return self.stair.chunk * len(self.chunks) + (self.keys.shape[-2] if self.is_initialized else 0)

    def get_max_length(self) -> int:
        """Return −1: there is no end."""
        return -1

    get_max_cache_shape = get_max_length


class StaircaseCache(Cache):  # type: ignore[misc]
    """A cache of transformers (`past_key_values`) that is quantised by the stair; all rows of a batch are equally long.

    Args:
        stair: bits by age.
        num_layers: of the model.
    """

    def __init__(self, stair: Staircase, num_layers: int) -> None:
        super().__init__(layers=[StaircaseLayer(stair) for _ in range(num_layers)])

    @property
    def num_bytes(self) -> int:
        """Bytes of all layers."""
        return sum(layer.num_bytes for layer in self.layers)


def settle(
    stair: Staircase,
    keys: torch.Tensor,
    values: torch.Tensor,
    *,
    held: int,
    before: int,
    rounding: Callable[[torch.Tensor, int, int], torch.Tensor],
) -> None:
    """Bring keys and values [H, capacity, head] of one row, in place, to what the stair leaves of its first `held` tokens.

    Args:
        stair: bits by age.
        keys, values: as they were settled at `before` tokens, the tokens after those as they are.
        held, before: tokens.
        rounding: numbers, bits and the dimension of a group → the numbers that their codes stand for.
    """
    for chunk, bits in stair.moves(held, before):
        span = slice(chunk * stair.chunk, (chunk + 1) * stair.chunk)
        keys[:, span] = rounding(keys[:, span], bits, KEYS)
        values[:, span] = rounding(values[:, span], bits, VALUES)


def staircase(*, bits: tuple[Any, ...] = (8, 4, 2), chunk: int = 32) -> Staircase:
    """Quantise keys and values by age: the newest chunk with the first bits, older ones with fewer, again and again."""
    return Staircase(tuple(bits), chunk)


def uniform(*, bits: int = 4, chunk: int = 32) -> Staircase:
    """Quantise keys and values once, as soon as a chunk of them is full."""
    return Staircase((bits,), chunk)
