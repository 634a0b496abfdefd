"""Expressions, dates, ratios and alternatives where a number is announced: the exact value, or none; no number out of them."""

from fractions import Fraction

import pytest

from evals.scoring.arithmetic import expression_at
from evals.scoring.numbers import stated_number

FORMS = (
    "{}",
    "Answer: {}",
    "The answer is {}.",
    "\\boxed{{{}}}",
    "First 7 then.\n\nThe final answer is ${}$.",
    "There are 7.\n#### {}",
    "Let me see, 7 apples.\nSo it is {}.",
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "said",
    [
        "2√3", "2π", "2\\pi", "2^0.5", "√2", "\\frac{\\sqrt{3}}{2}", "\\infty", "\\log_{10} 100", "\\pm 3", "±3",
        "2x+3", "x^2+1", "6 + 2i", "x > 5",
        "01/05/2024", "2024-01-05", "1:30 pm", "3:2", "5 to 10", "March 5, 2024",
        "x = 3 or x = -3", "3 or -3", "3 and -3", "1,2,3", "(1,2)",
        "5 ft 6 in", "1 hour 30 minutes",
        "undefined", "no solution", "XIV",
    ],
)  # fmt: skip
def test_no_number_is_taken_out_of_what_is_none(form, said):
    assert stated_number(form.format(said)) is None


@pytest.mark.parametrize("count", [5, 19, 20, 21, 60, 150])
def test_a_sign_before_many_brackets_stays(count):
    for opens, closes in ("()", "[]"):
        deep = f"{opens * count}5{closes * count}"
        assert stated_number(f"Answer: {deep}") == "5"
        assert stated_number(f"Answer: -{deep}") == stated_number(f"The answer is \u2212{deep}.") == "-5"
    assert stated_number(f"Answer: 3+{'(' * count}5{')' * count}*2") == "13"
    # What does not match is left as it is.
    assert stated_number(f"Answer: {'(' * count}1+{'(' * count}2{')' * count}{')' * count}") == "3"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("√16", "4"), ("\\sqrt{16}", "4"), ("(-2)^2", "4"), ("-2^2", "-4"), ("-(-5)", "5"), ("2(3)", "6"), ("12 * 10", "120"),
        ("1/2 + 1/3", "5/6"), ("0x1F", "31"), ("0.\\overline{3}", "1/3"), ("0.1(6)", "1/6"), ("15 = 3/4 of 20", "15"),
        ("20% of 90", "18"), ("one third", "1/3"), ("two thirds", "2/3"), ("2 thirds", "2/3"), ("5 k", "5000"), ("5K", "5000"),
        ("-0", "0"), ("3\\times10^{-2}", "0.03"), ("\\approx 3.5", "3.5"), ("1,00,000", "100000"), ("1e-3", "0.001"),
        ("18 (18)", "18"),
    ],
)  # fmt: skip
def test_simple_arithmetic_has_its_value(form, said, value):
    assert stated_number(form.format(said)) == value


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("Answer: 16 - 3 = 13 eggs; she makes 13 * 2 = $26", "26"),
        ("Answer: x = 18; check: 18/2 = 9", "18"),
        ("Answer: 18 dollars or 1800 cents", "18"),
        ("Answer: 1/2 or 0.5", "0.5"),
        ("Answer: 18 (9 * 2)", "18"),
        # A range outside of a box, a difference inside.
        ("Answer: 3 - 8", None),
        ("\\boxed{3 - 8}", "-5"),
        ("\\boxed{5!}", "120"),
        ("The answer is 5!", "5"),
        ("The answer is 2-1/2 inches", None),
        ("\\boxed{5 \\le x \\le 7}", None),
        ("\\boxed{\\binom{5}{2}}", None),
        ("She has 5 hens. It is 1:30.", None),
        ("3 + 4 = 7, and the answer is 1:30.", None),
        ("The answer is one third of the cake", None),
    ],
)
def test_what_counts_of_several_numbers(response, value):
    assert stated_number(response) == value


@pytest.mark.parametrize(
    ("text", "end", "value"),
    [
        ("2(3+4)^2", 8, 98),
        ("10/2*5", 6, 25),
        ("10/2^2", 6, None),
        ("8-3*2 apples", 5, 2),
        ("4^{1/2}", 7, 2),
        ("4^{-0.5}", 8, Fraction(1, 2)),
        ("|-5|", 4, 5),
        ("∛27", 3, 3),
        ("0b101", 5, 5),
        ("1/0", 3, None),
        ("(1-1)^{-1}", 10, None),
        ("2^n", 1, None),
        ("2^{n}", 1, None),
        ("2^{3n}", 1, None),
        ("9^9^9^9", 5, None),
        ("18 (eighteen)", 2, 18),
    ],
)
def test_expressions(text, end, value):
    found = expression_at(text, 0)
    assert (found.end, found.value) == (end, value)


def test_an_expression_ends_soon():
    for piece in ("(", "√", "-", "|", "2(", "1+", "^{2", "\\frac{1", "9^", "((1)"):
        expression_at(piece * 50_000, 0, factorials=True)


def test_parts_in_words_behind_a_number_are_fractions():
    parts = ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
    assert [expression_at(f"2 {part}s", 0).value for part in parts] == [Fraction(2, of) for of in range(3, 11)]


def test_powers_in_words_behind_a_number_multiply_it():
    zeros = {
        "hundred": 2,
        "thousand": 3,
        "million": 6,
        "billion": 9,
        "trillion": 12,
        "lakh": 5,
        "crore": 7,
        "百": 2,
        "千": 3,
        "万": 4,
        "億": 8,
    }
    assert {word: expression_at(f"3 {word}", 0).value for word in zeros} == {
        word: 3 * 10**n for word, n in zeros.items()
    }
