"""Whether two exact expressions are surely different, by sympy's values themselves."""

import pytest

sympy = pytest.importorskip("sympy")

from sympy import FiniteSet, Float, I, Integer, Interval, Matrix, Rational, Symbol, Tuple, oo, pi, sqrt  # noqa: E402

from evals.scoring.exact import differ  # noqa: E402

X = Symbol("x")


@pytest.mark.parametrize(
    ("one", "other", "are_different"),
    [
        (Integer(3), Integer(3), False),
        (Integer(3), Integer(4), True),
        (Rational(1, 3), Rational(2, 6), False),
        (Rational(1, 3), Rational(1, 3) + Rational(1, 10**40), True),
        # A decimal agrees in its first five places, an exact number in all of them.
        (Float("0.33333"), Rational(1, 3), False),
        (Float("0.3333"), Rational(1, 3), True),
        (Float("1234567"), Integer(1234567), False),
        (Float("1.23457e-9"), Rational(12345678, 10**16), False),
        (Float("1.2e-9"), Rational(13, 10**10), True),
        (sqrt(2), sqrt(8) / 2, False),
        (sqrt(2), Rational(141421356, 10**8), True),
        (pi, Rational(355, 113), True),
        (oo, oo, False),
        (oo, Integer(1), True),
        (oo, -oo, True),
        # Complex ones by how far they lie apart.
        (1 + I, 1 + I, False),
        (sqrt(2) + I, sqrt(8) / 2 + I, False),
        (1 + I, 1 + 2 * I, True),
        # What is no number is never surely different.
        (X, Integer(3), False),
        (X, X + 1, False),
        (Integer(3), FiniteSet(4), False),
        (FiniteSet(1, 2), FiniteSet(2, 1), False),
        (FiniteSet(1, 2), FiniteSet(1, 3), True),
        (Tuple(1, 2), Tuple(1, 2), False),
        (Tuple(1, 2), Tuple(2, 1), True),
        (Interval(0, 1), Interval(0, 1), False),
        (Interval(0, 1), Interval(0, 2), True),
        (Interval(0, 1), Interval(-1, 1), True),
        (Matrix([[1, 2]]), Matrix([[1, 2]]), False),
        (Matrix([[1, 2]]), Matrix([[1, 3]]), True),
        (Matrix([[1, 2]]), Matrix([[1], [2]]), True),
    ],
)
def test_what_is_surely_different(one, other, are_different):
    assert differ(one, other) is are_different
    assert differ(other, one) is are_different
