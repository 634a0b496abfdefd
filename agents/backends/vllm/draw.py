"""Text requests of our own backend: drawn from seed and step alone, as the transformers backend draws.

vLLM draws by a generator that walks with its request. Ours has no state, so a token does not depend on preemption, on how a
prompt was cut, or on the engine; and on CPUs vLLM 0.32 ends at `set_offset` when a seeded prompt is read in parts.
Text requests that come without this are left to vLLM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from agents.decoding.sampling import sample, uniform

KEY = "draw"


@dataclass(frozen=True)
class Draw:
    """How a text request draws its tokens."""

    temperature: float
    seed: int
    top_p: float | None = None
    top_k: int | None = None

    def extra_args(self) -> dict[str, Any]:
        """Return what to put into `SamplingParams.extra_args`."""
        return {KEY: asdict(self)}


class Drawer:
    """The drawn text requests of one worker, by the engine's own ids."""

    def __init__(self) -> None:
        self._drawing: dict[str, tuple[Draw, int]] = {}

    def begin(self, request: str, extra_args: Mapping[str, Any] | None, prompt_length: int) -> None:
        """Take up a request if it asks to be drawn."""
        if extra_args and isinstance(given := extra_args.get(KEY), Mapping):
            self._drawing[request] = Draw(**given), prompt_length

    def end(self, request: str) -> None:
        """The engine is through with a request."""
        self._drawing.pop(request, None)

    def __contains__(self, request: str) -> bool:
        return request in self._drawing

    def __bool__(self) -> bool:
        return bool(self._drawing)

    def draw(self, logits: Tensor, requests: Sequence[str], positions: Sequence[int]) -> Tensor:
        """Return a token for each row of logits [n, V], [n] int64: the one that goes to the position given."""
        drawing = [self._drawing[request] for request in requests]
        numbers = [uniform(one.seed, at - start) for (one, start), at in zip(drawing, positions, strict=True)]
        device = logits.device
        return sample(
            logits,
            torch.tensor([one.temperature for one, _ in drawing], dtype=torch.float32, device=device),
            torch.tensor(numbers, dtype=torch.float64, device=device),
            [one.top_p for one, _ in drawing],
            [one.top_k for one, _ in drawing],
        )
