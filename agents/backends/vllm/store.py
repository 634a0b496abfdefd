"""Where a worker keeps what CIPHER requests have said: one pool of rows on the device, lent out in blocks.

R rows, D embedding width, K beliefs. Knows nothing of vLLM.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

ROWS_PER_BLOCK = 16
INITIAL_BLOCKS = 64


@dataclass(frozen=True)
class Steps:
    """What some steps said, a row each."""

    vectors: Tensor  # [n, D] in the table's dtype
    nearest: Tensor  # [n] int64
    entropy: Tensor  # [n] float32, nats
    max_probability: Tensor  # [n] float32
    top_ids: Tensor  # [n, K] int64
    top_probabilities: Tensor  # [n, K] float32
    status: Tensor  # [n] int32: 0, or why the step says nothing (kernels.belief.complaint)


@dataclass
class Shelf:
    """One request's rows: step s lies in row blocks[s // 16] * 16 + s % 16 of the pool."""

    blocks: list[int] = field(default_factory=list)
    length: int = 0


class Store:
    """Rows of the pool by request. It doubles when it is full and shrinks back when nobody has anything in it.

    A request of n steps holds ceil(n / 16) blocks of 16 rows; a row is D elements of the table's dtype, 20 bytes of facts
    and 12 bytes a belief.
    """

    def __init__(self, width: int, dtype: torch.dtype, device: torch.device, *, beliefs: int) -> None:
        self._width, self._dtype, self._device, self._beliefs = width, dtype, device, beliefs
        self._shelves: dict[str, Shelf] = {}
        self._least = INITIAL_BLOCKS
        self._reset()

    def reserve(self, blocks: int) -> None:
        """Hold at least so many blocks from now on; while nobody has anything in the pool."""
        if blocks > self._least and not self._shelves:
            self._least = blocks
            self._reset()

    def _reset(self) -> None:
        self._pool = self._empty(self._least * ROWS_PER_BLOCK)
        self._free = list(range(self._least - 1, -1, -1))

    def _empty(self, rows: int) -> Steps:
        device = self._device
        return Steps(
            vectors=torch.zeros(rows, self._width, dtype=self._dtype, device=device),
            nearest=torch.zeros(rows, dtype=torch.int64, device=device),
            entropy=torch.zeros(rows, device=device),
            max_probability=torch.zeros(rows, device=device),
            top_ids=torch.zeros(rows, self._beliefs, dtype=torch.int64, device=device),
            top_probabilities=torch.zeros(rows, self._beliefs, device=device),
            status=torch.zeros(rows, dtype=torch.int32, device=device),
        )

    @property
    def bytes_held(self) -> int:
        """Bytes of the pool, lent out or not."""
        return sum(tensor.numel() * tensor.element_size() for tensor in vars(self._pool).values())

    @property
    def blocks_lent(self) -> int:
        """Blocks that requests hold."""
        return sum(len(shelf.blocks) for shelf in self._shelves.values())

    def length(self, key: str) -> int:
        """Return how many steps a request has said."""
        return self._shelves[key].length if key in self._shelves else 0

    def write(self, places: list[tuple[str, int]], said: Steps) -> None:
        """Keep one step for each (request, step); a step that is said again replaces what it was."""
        self.put(self._index(self.lend(places)), said)

    def lend(self, places: Sequence[tuple[str, int]]) -> list[int]:
        """Return a row of the pool for each (request, step) that is about to be kept."""
        return [self._row(key, step) for key, step in places]

    def put(self, rows: Tensor, said: Steps) -> None:
        """Keep steps in lent rows [n]."""
        for name, tensor in vars(said).items():
            kept = getattr(self._pool, name)
            if tensor.dim() == 2 and name != "vectors":
                kept[rows, : tensor.shape[1]] = tensor
                kept[rows, tensor.shape[1] :] = 0
            else:
                kept[rows] = tensor

    def blank(self, rows: Tensor) -> None:
        """Leave nothing of anybody in lent rows [n]."""
        for tensor in vars(self._pool).values():
            tensor[rows] = 0

    def rows_of(self, places: Sequence[tuple[str, int]]) -> list[int]:
        """Return the row of the pool in which each (request, step) is kept."""
        return [self._place(key, step) for key, step in places]

    def vectors_in(self, rows: Tensor) -> Tensor:
        """Return the vectors [n, D] of some rows [n] of the pool."""
        return self._pool.vectors[rows]

    def take(self, key: str, length: int) -> Steps:
        """Return a request's first `length` steps in memory of their own on the CPU, and forget the request."""
        rows = self._index([self._place(key, step) for step in range(length)])
        taken = Steps(**{name: tensor[rows].cpu() for name, tensor in vars(self._pool).items()})
        self.drop(key)
        return taken

    def drop(self, key: str) -> None:
        """Forget a request."""
        shelf = self._shelves.pop(key, None)
        if shelf is None:
            return
        self._free += reversed(shelf.blocks)
        if not self._shelves and len(self._pool.nearest) > self._least * ROWS_PER_BLOCK:
            self._reset()

    def _row(self, key: str, step: int) -> int:
        """The row of a step that is about to be written."""
        shelf = self._shelves.setdefault(key, Shelf())
        if step > shelf.length:
            raise ValueError(f"{key} has said {shelf.length} steps; step {step} would leave a hole")
        while step >= len(shelf.blocks) * ROWS_PER_BLOCK:
            shelf.blocks.append(self._lend())
        shelf.length = max(shelf.length, step + 1)
        return shelf.blocks[step // ROWS_PER_BLOCK] * ROWS_PER_BLOCK + step % ROWS_PER_BLOCK

    def _place(self, key: str, step: int) -> int:
        return self._shelves[key].blocks[step // ROWS_PER_BLOCK] * ROWS_PER_BLOCK + step % ROWS_PER_BLOCK

    def _lend(self) -> int:
        if not self._free:
            rows = len(self._pool.nearest)
            larger = self._empty(2 * rows)
            for name, tensor in vars(self._pool).items():
                getattr(larger, name)[:rows] = tensor
            self._pool = larger
            blocks = rows // ROWS_PER_BLOCK
            self._free = list(range(2 * blocks - 1, blocks - 1, -1))
        return self._free.pop()

    def _index(self, rows: list[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.int64, device=self._device)
