"""Sums of products, worked out in steps: the arithmetic of the paper's task and its easier forms.

The split that an expression belongs to follows from its SHA-256, so that what a model was trained on and what it is asked
are disjoint whatever draws them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SPLITS = ("test", "validation", "train")
# Of ten expressions one is for tests, one for validation, eight are for training.
_BUCKETS = {0: "test", 1: "validation"}


@dataclass(frozen=True)
class Term:
    """One number, or the product of two, added or subtracted."""

    sign: str
    factors: tuple[int, ...]

    def __str__(self) -> str:
        return self.sign + "*".join(map(str, self.factors))


@dataclass(frozen=True)
class Step:
    """One operation and what somebody made of it."""

    left: int
    operator: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left}{self.operator}{self.right}={self.result}"


@dataclass(frozen=True)
class Worked:
    """An expression worked out: products, then sums from left to right, then the answer that was stated.

    The smaller is taken from the larger, hundreds before the rest; the answer has the sign.
    """

    products: tuple[Step, ...]
    sums: tuple[Step, ...]
    answer: int

    def __str__(self) -> str:
        lines = [", ".join(map(str, steps)) for steps in (self.products, self.sums) if steps]
        return ". ".join([*lines, f"Answer: {self.answer}"])


def paper_form(a: int, b: int, c: int, d: int, e: int, f: int) -> tuple[Term, ...]:
    """Return a+b*c+d-e*f (Pham et al., 2024, section 4)."""
    return Term("+", (a,)), Term("+", (b, c)), Term("+", (d,)), Term("-", (e, f))


def written(terms: Sequence[Term]) -> str:
    """Return the expression as it is asked."""
    return "".join(map(str, terms)).removeprefix("+")


def value(terms: Sequence[Term]) -> int:
    """Return what an expression comes to."""
    return worked(terms).answer


def worked(terms: Sequence[Term], slips: Mapping[int, int] | None = None, *, by_place: bool = True) -> Worked:
    """Return an expression worked out.

    Args:
        terms: of the expression, the first one added.
        slips: step → what is added to its right result by mistake; later steps go on from the mistaken one.
        by_place: the smaller number is taken from the larger, hundreds first, as the tiny debaters do; else in one step, whose
            result may be negative.
    """
    slips = slips or {}
    products: list[Step] = []
    sums: list[Step] = []

    def step(left: int, operator: str, right: int) -> Step:
        number = len(products) + len(sums)
        return Step(left, operator, right, calculate(left, operator, right) + slips.get(number, 0))

    values: list[int] = []
    for term in terms:
        if len(term.factors) == 2:
            products.append(step(term.factors[0], "*", term.factors[1]))
            values.append(products[-1].result)
        else:
            values.append(term.factors[0])
    total = values[0]
    for term, number in zip(terms[1:], values[1:], strict=True):
        if term.sign == "+":
            sums.append(step(total, "+", number))
            total = sums[-1].result
            continue
        if not by_place:
            sums.append(step(total, "-", number))
            total = sums[-1].result
            continue
        sign = 1 if total >= number else -1
        total, smaller = max(total, number), min(total, number)
        # Place by place, hundreds first: a digit then depends on few others.
        parts = [part for part in (smaller // 100 * 100, smaller % 100) if part]
        for part in parts or [0]:
            sums.append(step(total, "-", part))
            total = sums[-1].result
        total *= sign
    return Worked(tuple(products), tuple(sums), total)


def calculate(left: int, operator: str, right: int) -> int:
    """Return the result of one operation."""
    match operator:
        case "*":
            return left * right
        case "+":
            return left + right
        case _:
            return left - right


def split_of(expression: str) -> str:
    """Return the split that an expression belongs to: `test`, `validation` or `train`."""
    digest = hashlib.sha256(expression.encode()).digest()
    return _BUCKETS.get(int.from_bytes(digest[:8], "big") % 10, "train")
