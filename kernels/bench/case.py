"""What a benchmark times: one operator on one input, by several implementations, with what must move and be multiplied."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

# V × D of the tables of known models, tied but for Llama's and Qwen3-8B's.
SHAPES: Mapping[str, tuple[int, int]] = {
    "smollm2-135m": (49_152, 576),
    "llama-3-8b": (128_256, 4_096),
    "qwen3-0.6b": (151_936, 1_024),
    "qwen3-8b": (151_936, 4_096),
    "gemma-3-270m": (262_144, 640),
}
# The error allowed against float64, relative to the longest row: bf16 rounds weights and results at 2^-9, eager code
# the logits as well; float32 sums V terms.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 5e-3}


@dataclass(frozen=True, eq=False)
class BenchCase:
    """One operator on one input. `expected` holds the exact result of the first rows, in float64."""

    operator: str
    shape: str
    rows: int
    dtype: torch.dtype
    num_bytes: int  # that must move at least
    num_flops: int
    runs: Mapping[str, Callable[[], Tensor]]
    expected: Tensor
    scale: float  # what an error is relative to
    notes: Mapping[str, float] = field(default_factory=dict)

    def check(self) -> dict[str, float]:
        """The largest relative error of each implementation.

        Raises:
            AssertionError: one is over the dtype's tolerance.
        """
        errors = {}
        for name, run in self.runs.items():
            found = run()[: len(self.expected)].double()
            errors[name] = float((found - self.expected).abs().max()) / self.scale
            limit = TOLERANCE[self.dtype] if self.expected.is_floating_point() else 0.0
            if not errors[name] <= limit:
                raise AssertionError(
                    f"{self.operator} on {self.shape}, {self.rows} rows, {self.dtype}: {name} is off by {errors[name]:.2g}"
                )
        return errors


def random_table(shape: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Rows of about unit length."""
    vocabulary, width = SHAPES[shape]
    generator = torch.Generator(device).manual_seed(0)
    table = torch.empty(vocabulary, width, dtype=dtype, device=device)
    for start in range(0, vocabulary, 16_384):
        block = table[start : start + 16_384]
        block.copy_(torch.randn(block.shape, generator=generator, device=device) / width**0.5)
    return table


def exact_mean(logits: Tensor, table: Tensor, temperature: float) -> Tensor:
    """softmax(logits / T) · E in float64, a block of the table at a time."""
    belief = (logits.double() / temperature).softmax(dim=-1)
    mean = torch.zeros(len(logits), table.shape[1], dtype=torch.float64, device=table.device)
    for start in range(0, table.shape[0], 8192):
        mean += belief[:, start : start + 8192] @ table[start : start + 8192].double()
    return mean


def exact_logits(hidden: Tensor, head: Tensor) -> Tensor:
    """h Wᵀ in float64."""
    wide = hidden.double()
    return torch.cat([wide @ head[s : s + 8192].double().T for s in range(0, head.shape[0], 8192)], dim=1)
