"""How a belief becomes a vector: named, stateless rules over the operators.

`get("topk", k=5)`, or `parse("topk(k=5)")` from a configuration; `str(encoder)` is what `parse` reads back.
"""

from kernels.encoders.base import Encoder, Encoding
from kernels.encoders.registry import get, names, parse

__all__ = ["Encoder", "Encoding", "get", "names", "parse"]
