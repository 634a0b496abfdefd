"""Which answers to mathematical questions are one to a vote, and which spellings are one number."""

import pytest

from evals.scoring.mathematics import LONGEST, equal, same_value, spelled
from evals.scoring.numbers import normalised, stated_number


@pytest.mark.parametrize(
    "spellings",
    [
        ("5 m", "5m", "5 meters", "5\\text{ m}", "500 cm", "5.0\\text{ m}"),
        ("\\$5", "$5", "5 dollars", "500 cents", "500¢"),
        ("€5", "5 €", "5 euros", "€5.00"),
        ("1 1/2", "1.5", "3/2", "1\\frac12", "1\\ \\frac{1}{2}", "1½"),
        ("1000", "1,000", "1 000", "1{,}000", "1\\,000", "1000.0", "1e3", "10^3"),
        ("(1000, 2)", "(1\\,000,2)", "(1 000, 2)"),
        ("1 2", "1~2", "1\\ 2", "1\\quad 2"),
        ("x = 1 1/2", "x=1½", "x=1\\frac12"),
        ("50%", "50\\%", "50 percent", "50"),
        ("90^\\circ", "90°", "90 degrees", "90"),
        ("10_2", "2", "2_{10}", "2_3"),
        ("2:3", "4:6"),
        ("3x", "3 x"),
        ("\\frac 1 2 x", "\\frac12x"),
        ("1{,}5", "1.5"),
        ("\\$5k", "\\$5000"),
    ],
)
def test_one_value_is_one_to_a_vote(spellings):
    for one in spellings:
        assert spelled(spelled(one)) == spelled(one)
        for other in spellings:
            assert same_value(one, other)


@pytest.mark.parametrize(
    "different",
    [
        ("1 2", "12", "1,2", "1.2", "3"),
        ("1 2 3", "123", "12 3", "1 23", "6"),
        ("(1 2, 3)", "(12, 3)"),
        ("5", "5 m", "5 cm", "5 kg", "\\$5", "€5", "£5", "5 cents", "5 m^2", "0.5"),
        ("50%", "0.5", "5"),
        ("1 1/2", "11/2", "1/2", "12/2"),
        ("x = 1 1/2", "x = 11/2"),
        ("(1 1/2, 3)", "(11/2, 3)"),
        ("\\frac{1}{2}3", "\\frac{1}{23}"),
        ("\\frac12 3", "\\frac{1}{23}"),
        ("\\log_2 8", "\\log_{28}", "\\log_28"),
        ("x^1 2", "x^{12}", "x^12"),
        ("2k", "2000", "2"),
        ("3B", "3"),
        ("2mn", "2000000"),
        ("\\frac{5}{0}", "5"),
        ("10_2", "10"),
        ("(1,2)", "[1,2]", "(1,2]", "(2,1)", "12"),
        ("1{,}5", "15"),
        ("2:3", "3:2"),
    ],
)
def test_different_values_are_several_to_a_vote(different):
    for place, one in enumerate(different):
        for other in different[:place]:
            assert not same_value(one, other)
            assert not same_value(other, one)


@pytest.mark.parametrize(
    ("answer", "target"),
    [("1 2", "12"), ("1 2", "3"), ("1 2 3", "6"), ("x=1 1/2", "x=11/2"), ("$5", "€5"), ("2000", "2k"), ("5/0", "5")],
)
def test_what_is_another_value_is_not_right(answer, target):
    pytest.importorskip("math_verify")
    assert equal(answer, target) is False
    assert equal(target, answer) is False


@pytest.mark.parametrize(
    ("answer", "target"),
    [("€5", "5"), ("x=1 1/2", "\\frac32"), ("k\\cdot 2", "2k"), ("\\log_2 8", "3"), ("(1 000, 2)", "(1000,2)")],
)
def test_what_is_the_same_value_is_right(answer, target):
    pytest.importorskip("math_verify")
    assert equal(answer, target) is True


def test_thousands_over_a_number_are_no_mixed_number():
    assert normalised("1 000/3") == stated_number("Answer: 1 000/3") == "1000/3"
    assert normalised("1 500/600") == "11/6"
    assert normalised("12 1/2") == "12.5"


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("\\frac{1}{2}3", "1.5"),
        ("2^3\\frac12", "4"),
        ("2^{3}\\frac{1}{2}", "4"),
        ("0.5\\frac12", "0.25"),
        ("2\\frac12", "2.5"),
    ],
)
def test_a_fraction_beside_a_number_is_multiplied_unless_both_are_a_mixed_number(said, value):
    assert stated_number(f"Answer: ${said}$") == value
    assert spelled(said) in (said, value)


def test_answers_that_are_too_long_for_a_value_are_compared_sign_by_sign(monkeypatch):
    monkeypatch.setattr("evals.scoring.mathematics.spelled", pytest.fail)
    long = "x+" * LONGEST
    assert same_value(long + "1", long + " 1")
    assert not same_value(long + "1", long + "2")
    assert not same_value(long, "x")
    assert equal(long, long + " ") is True
    assert equal(long, "x") == f"the answer has {len(long)} characters, of at most {LONGEST}"
    assert equal("x", long) == f"the right answer has {len(long)} characters, of at most {LONGEST}"
