"""Signatures of operators: names and axes of what goes in and what comes out, "logits: b v, table: v d -> b d".

An axis is a word; the same word is the same size everywhere. After the arrow a single result needs no name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.errors import ConfigError, RequestError


@dataclass(frozen=True)
class Wire:
    """One tensor.

    Attributes:
        name: parameter, or field of the result; empty where the result is the tensor itself.
        axes: its axes in order; none of a number.
    """

    name: str
    axes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {' '.join(self.axes)}" if self.name else " ".join(self.axes)


@dataclass(frozen=True)
class Signature:
    """What goes in and what comes out."""

    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]

    @classmethod
    def parse(cls, text: str) -> "Signature":
        """Return the signature of a text.

        Raises:
            ConfigError: it is none; the message says what one looks like.
        """
        before, arrow, after = text.partition("->")
        inputs, outputs = _wires(before), _wires(after)
        names = [[wire.name for wire in wires] for wires in (inputs, outputs)]
        unnamed = len(outputs) > 1 and "" in names[1]
        if not arrow or "" in names[0] or unnamed or any(len(set(each)) < len(each) for each in names):
            raise ConfigError(
                f"a signature is NAME: AXES, … -> AXES, several results with a name each, e.g. "
                f"'logits: b v, table: v d -> b d'; got {text!r}"
            )
        known = {axis for wire in inputs for axis in wire.axes}
        # A result may have an axis of its own, but it has to be meant.
        unknown = [axis for wire in outputs for axis in wire.axes if axis not in known and not axis.endswith("'")]
        if unknown:
            raise ConfigError(
                f"axis {unknown[0]!r} of a result is none of the inputs'; write {unknown[0]}' for one that the operator makes"
            )
        return cls(inputs, outputs)

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.inputs))} -> {', '.join(map(str, self.outputs))}"

    @property
    def axes(self) -> tuple[str, ...]:
        """All axes, each once."""
        return tuple(dict.fromkeys(axis for wire in (*self.inputs, *self.outputs) for axis in wire.axes))

    def check(self, given: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """Return the size of each axis.

        Args:
            given: name of an input → its shape; an input may be left out.
            found: name of a result → its shape.

        Raises:
            RequestError: a tensor has another number of axes, or an axis two sizes.
        """
        sizes: dict[str, int] = {}
        for wires, shapes in ((self.inputs, given), (self.outputs, found)):
            for wire in wires:
                if wire.name in shapes:
                    _bind(wire, shapes[wire.name], sizes)
        return sizes


def _wires(text: str) -> tuple[Wire, ...]:
    wires = []
    for part in text.split(","):
        name, colon, axes = part.rpartition(":")
        wires.append(Wire(name.strip() if colon else "", tuple(axes.split())))
    return tuple(wires)


def _bind(wire: Wire, shape: Sequence[int], sizes: dict[str, int]) -> None:
    what = wire.name or "the result"
    if len(shape) != len(wire.axes):
        raise RequestError(f"{what} has the axes [{' '.join(wire.axes)}]; got the shape {list(shape)}")
    for axis, size in zip(wire.axes, shape, strict=True):
        if sizes.setdefault(axis, size) != size:
            raise RequestError(f"axis {axis} is {sizes[axis]} elsewhere and {size} in {what}, shape {list(shape)}")


def carried(signature: Signature, over: Iterable[str]) -> None:
    """Raise ConfigError where an axis that a law is about is in no input, or in no result."""
    for axis in over:
        if not any(axis in wire.axes for wire in signature.inputs):
            raise ConfigError(f"no input has the axis {axis!r}; there are {', '.join(signature.axes)}")
        if not any(axis in wire.axes for wire in signature.outputs):
            raise ConfigError(f"no result has the axis {axis!r}, so that nothing can be carried past along it")
