"""Whether two parsed expressions are equal, for the scoring process: math-verify's verdict, and what it does not see.

math-verify (github huggingface/Math-Verify) compares numbers to 15 places after the point, where all tiny ones are equal, and
rounds to 6 where one is a decimal: here numbers that it calls equal must agree in significant places as well. Inequalities are
compared with intervals as sets of numbers.
"""

from collections.abc import Iterable
from typing import Any

# Significant digits in which exact numbers agree; in which a decimal agrees with an exact one.
EXACT, DECIMAL = 250, 5


def equal(answer: str, target: str) -> bool:
    """Return whether two expressions in LaTeX are equal. Only math-verify's LaTeX reader sees them: nothing is run as code."""
    from math_verify import LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig()]
    gold, said = (parse(f"${text}$", config, parsing_timeout=None) for text in (target, answer))
    if gold and said and (same := _same_solutions(gold[0], said[0])) is not None:
        return same
    if not verify(gold, said, allow_set_relation_comp=True, timeout_seconds=None):
        return False
    return "%" in answer + target or not (gold and said) or not differ(gold[0], said[0])


def differ(one: Any, other: Any) -> bool:
    """Return whether two expressions are surely different: numbers, or as many of them in the same order, that are not equal."""
    from sympy import Basic, Expr, MatrixBase, Tuple
    from sympy.sets import FiniteSet, Interval

    if isinstance(one, MatrixBase) and isinstance(other, MatrixBase):
        return one.shape != other.shape or _any_differs(one, other)
    if isinstance(one, Interval) and isinstance(other, Interval):
        return _any_differs((one.start, one.end), (other.start, other.end))
    if isinstance(one, FiniteSet) and isinstance(other, FiniteSet):
        return any(all(differ(a, b) for b in other.args) for a in one.args)
    if isinstance(one, Tuple) and isinstance(other, Tuple):
        return _any_differs(one, other)
    numbers = [side for side in (one, other) if isinstance(side, Basic) and isinstance(side, Expr) and side.is_number]
    return len(numbers) == 2 and _numbers_differ(*numbers)


def _any_differs(one: Iterable[Any], other: Iterable[Any]) -> bool:
    return any(differ(a, b) for a, b in zip(one, other, strict=False))


def _numbers_differ(one: Any, other: Any) -> bool:
    from sympy import Float, Rational

    one, other = one.doit(), other.doit()
    if isinstance(one, Rational) and isinstance(other, Rational) and not isinstance(one, Float):
        return bool(one != other)
    if not (one.is_finite and other.is_finite):
        return bool(one != other)
    digits = DECIMAL if one.has(Float) or other.has(Float) else EXACT
    a, b = one.evalf(digits + 20), other.evalf(digits + 20)
    if not (a.is_comparable and b.is_comparable):
        a, b = abs(a - b), abs(a)
        return bool(a > b * Rational(1, 10**digits)) if a.is_comparable and b.is_comparable else False
    return bool(abs(a - b) > max(abs(a), abs(b)) * Rational(1, 10**digits))


def _same_solutions(one: Any, other: Any) -> bool | None:
    """Return whether inequalities, or one and an interval, mean the same numbers; None where that is not what they are."""
    from sympy.sets import Set

    sets = [_solutions(side) for side in (one, other)]
    if sets == [None, None]:
        return None
    unknowns = [side.free_symbols for side in (one, other) if not isinstance(side, Set)]
    if len(unknowns) == 2 and unknowns[0] != unknowns[1]:
        return None
    first, second = (found if found is not None else side for found, side in zip(sets, (one, other), strict=True))
    parts = [_intervals(side) for side in (first, second)]
    if parts[0] is None or parts[1] is None:
        return None
    return len(parts[0]) == len(parts[1]) and all(_same_interval(a, b) for a, b in zip(*parts, strict=True))


def _intervals(found: Any) -> list[Any] | None:
    """Return the intervals that a set of numbers is made of, from left to right; None of other sets."""
    from sympy import Union
    from sympy.sets import Interval

    parts = list(found.args) if isinstance(found, Union) else [found]
    if not all(isinstance(part, Interval) and part.start.is_number and part.end.is_number for part in parts):
        return None
    return sorted(parts, key=lambda part: float(part.start))


def _same_interval(one: Any, other: Any) -> bool:
    if (one.left_open, one.right_open) != (other.left_open, other.right_open):
        return False
    return not (_numbers_differ(one.start, other.start) or _numbers_differ(one.end, other.end))


def _solutions(found: Any) -> Any:
    """Return the numbers that fulfil inequalities in one unknown, as a set; None of anything else."""
    from sympy import And, Eq, Or
    from sympy.core.relational import Relational
    from sympy.sets import FiniteSet, Set

    if isinstance(found, Eq) and isinstance(found.rhs, Set):
        return found.rhs
    parts = found.args if isinstance(found, FiniteSet) else (found,)
    if not parts or not all(isinstance(part, And | Or | Relational) and not isinstance(part, Eq) for part in parts):
        return None
    if len(found.free_symbols) != 1:
        return None
    try:
        return Or(*parts).as_set()
    except (NotImplementedError, ValueError, TypeError, AttributeError):
        return None
