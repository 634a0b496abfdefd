"""Choosing one of an operator's implementations, and saying so once."""

import logging
from collections.abc import Callable, Mapping

import torch

from kernels.errors import ImplementationUnavailable
from kernels.names import unknown

logger = logging.getLogger("kernels")
_said: set[tuple[str, str, tuple[tuple[str, str], ...]]] = set()

Refusal = Callable[[], str | None]


def choose(operator: str, asked: str, refusals: Mapping[str, Refusal]) -> str:
    """The implementation to run: the one asked for, or for "auto" the first that does not refuse.

    `refusals` lists the implementations from most to least wanted; each answers None, or why it cannot serve this call.

    Raises:
        ValueError: there is no implementation of that name.
        ImplementationUnavailable: the one asked for refuses.
    """
    if asked != "auto":
        if asked not in refusals:
            known = ["auto", *refusals]
            raise ValueError(f"{operator}: {unknown('implementation', asked, known)}")
        reason = refusals[asked]()
        if reason is not None:
            raise ImplementationUnavailable(operator, asked, reason)
        return asked
    declined: list[tuple[str, str]] = []
    for name, refuses in refusals.items():
        reason = refuses()
        if reason is None:
            _say(operator, name, tuple(declined))
            return name
        declined.append((name, reason))
    raise ImplementationUnavailable(operator, "auto", "; ".join(f"{name}: {reason}" for name, reason in declined))


def _say(operator: str, name: str, declined: tuple[tuple[str, str], ...]) -> None:
    key = (operator, name, declined)
    if key in _said:
        return
    _said.add(key)
    because = "".join(f"; {other} declined: {reason}" for other, reason in declined)
    logger.info("%s: using %s%s", operator, name, because)


def wants_gradient(*tensors: object) -> str | None:
    """The refusal of implementations without a backward pass, where one would be needed."""
    if torch.is_grad_enabled() and any(isinstance(t, torch.Tensor) and t.requires_grad for t in tensors):
        return "it has no gradient; the reference has"
    return None


def never() -> None:
    """The refusal of an implementation that serves every call."""
    return
