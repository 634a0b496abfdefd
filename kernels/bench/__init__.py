"""The operators' benchmark: first that they are right, then how fast, beside what else one could write."""

from kernels.bench.case import SHAPES
from kernels.bench.runner import OPERATORS, Recorded, run

__all__ = ["OPERATORS", "SHAPES", "Recorded", "run"]
