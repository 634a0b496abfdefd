"""What can go wrong in the operators.

    KernelError (ValueError)
    ├── InvalidBelief              a row of logits is no distribution: NaN, +inf, or nothing but -inf
    ├── InvalidVector              a vector has a NaN or an infinity
    ├── UnknownName                a name that stands for nothing
    ├── BadPath                    a dotted path or an entry point that does not lead where it should
    ├── UnknownEncoder             no encoder of that name, or no such parameter
    └── ImplementationUnavailable  an implementation was asked for by name and cannot run here

They are ValueErrors: each says that an argument cannot be served, what was given and what would do.
"""

from collections.abc import Iterable

from kernels.names import unknown


class KernelError(ValueError):
    """Base of the errors raised by the operators."""


class InvalidBelief(KernelError):
    """Rows of logits that are no distribution; `rows` lists their indices."""

    def __init__(self, message: str, rows: tuple[int, ...]) -> None:
        super().__init__(message)
        self.rows = rows


class InvalidVector(KernelError):
    """Vectors that have no direction to compare; `rows` lists their indices."""

    def __init__(self, message: str, rows: tuple[int, ...]) -> None:
        super().__init__(message)
        self.rows = rows


class UnknownName(KernelError):
    """A name that stands for nothing; `kind` is what was looked for, `known` what would have been found."""

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        self.kind, self.given, self.known = kind, given, tuple(sorted(known))
        super().__init__(unknown(kind, given, self.known))


class BadPath(KernelError):
    """A dotted path or an entry point that does not lead where it should."""


class UnknownEncoder(KernelError):
    """An encoder's name or parameter is not known; the message lists what is."""


class ImplementationUnavailable(KernelError):
    """An implementation was named and cannot run here; `reason` says why."""

    def __init__(self, operator: str, implementation: str, reason: str) -> None:
        super().__init__(f"{operator}: implementation {implementation!r} cannot run here: {reason}")
        self.operator = operator
        self.implementation = implementation
        self.reason = reason
