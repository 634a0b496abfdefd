"""Text requests of our own backend: drawn from seed and step alone, as the transformers backend draws.

vLLM draws by a generator that walks with its request. Ours has no state, so a token does not depend on preemption, on how a
prompt was cut, or on the engine; and on CPUs vLLM 0.32 ends at `set_offset` when a seeded prompt is read in parts.
Text requests that come without this are left to vLLM.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from torch import Tensor

from agents.backends.vllm.later import LaterCheck
from agents.backends.vllm.staged import Column, Staged
from agents.decoding.sampling import sample, sample_unseen, uniform

KEY = "draw"
N = TypeVar("N", int, float)


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


@dataclass(frozen=True)
class DrawPlan:
    """A step of some requests."""

    drawing: list[Draw]
    temperatures: Column
    numbers: Column
    # Of rows with a nucleus or a top-k.
    restricted: Column | None
    top_p: Column
    top_k: Column


class Drawer:
    """The drawn text requests of one worker, by the engine's own ids.

    Args:
        deferred: logits are on a GPU, and what is wrong with them is said some steps later, so that nobody waits.
    """

    def __init__(self, *, deferred: bool = False) -> None:
        self._drawing: dict[str, tuple[Draw, int]] = {}
        self._later = LaterCheck() if deferred else None

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
        staged = Staged(logits.device)
        plan = self.plan(staged, requests, positions)
        staged.send()
        return self.follow(plan, logits)

    def plan(self, staged: Staged, requests: Sequence[str], positions: Sequence[int]) -> DrawPlan:
        """Return what `follow` has to know, with the numbers that the device needs on their way."""
        drawing = [self._drawing[request] for request in requests]
        numbers = [uniform(one.seed, at - start) for (one, start), at in zip(drawing, positions, strict=True)]
        restricted = [row for row, (one, _) in enumerate(drawing) if one.top_p is not None or one.top_k is not None]
        return DrawPlan(
            drawing=[one for one, _ in drawing],
            temperatures=staged.reals([one.temperature for one, _ in drawing]),
            numbers=staged.reals(numbers),
            restricted=staged.integers(restricted) if restricted else None,
            top_p=staged.reals([_or(drawing[row][0].top_p, math.inf) for row in restricted]),
            top_k=staged.integers([_or(drawing[row][0].top_k, 2**62) for row in restricted]),
        )

    def follow(self, plan: DrawPlan, logits: Tensor) -> Tensor:
        """Do what `draw` does, for a plan that was sent."""
        temperatures, numbers = plan.temperatures.tensor.float(), plan.numbers.tensor
        if self._later is not None:
            restricted = None
            if plan.restricted is not None:
                restricted = plan.restricted.tensor, plan.top_p.tensor, plan.top_k.tensor
            return self._later.checked(logits, sample_unseen(logits, temperatures, numbers, restricted))
        top_p, top_k = [one.top_p for one in plan.drawing], [one.top_k for one in plan.drawing]
        return sample(logits, temperatures, numbers, top_p, top_k)


def _or(value: N | None, otherwise: N) -> N:
    return otherwise if value is None else value
