"""Units, bases, percent signs, dates and ratios in mathematical answers: what computer algebra would drop."""

from fractions import Fraction

import pytest

from evals.scoring.mathematics import equal, spelled, stated_expression
from evals.scoring.quantities import compared, known_unit, quantity

pytest.importorskip("math_verify")


@pytest.mark.parametrize(
    ("answer", "target", "verdict"),
    [
        # Bases: by value; a plain answer is in the base that is asked for.
        ("12_5", "12_6", False),
        ("12_5", "7_{10}", True),
        ("101010_2", "52_8", True),
        ("52", "52_8", True),
        ("42", "52_8", False),
        ("52_8", "52", False),
        ("52_8", "42", True),
        ("255_{10}", "255", True),
        ("255", "255_{10}", True),
        ("1,011", "1011_2", True),
        ("11", "1011_2", False),
        ("4210_5", "4210_{5}", True),
        ("11_{two}", "3_{10}", True),
        ("11_{\\text{three}}", "4_{10}", True),
        ("11_five", "6_{10}", True),
        ("11_{eight}", "9_{10}", True),
        ("11_{ten}", "11_{10}", True),
        ("x_1", "x_2", False),
        ("B_{12}", "B_{13}", False),
        # Dates, times and ratios.
        ("2024-01-05", "2018", False),
        ("2024-01-05", "2024-01-05", True),
        ("01/05/2024", "1/5/2024", True),
        ("01/05/2024", "05/01/2024", False),
        ("1:30", "1:45", False),
        ("01:30", "1:30", True),
        ("3:2", "6:4", True),
        ("3:2", "4:6", False),
        ("3:2", "3", False),
        ("3:2", "\\frac{3}{2}", True),
        ("1/2/10", "1/20", True),
        # The percent sign is dropped on both sides, and nothing is divided by 100.
        ("5", "5\\%", True),
        ("5\\%", "5", True),
        ("50\\%", "0.5", False),
        ("0.5", "50\\%", False),
        ("50\\%", "\\frac{1}{2}", False),
        ("33\\frac{1}{3}\\%", "\\frac{1}{3}", False),
        ("33\\frac{1}{3}\\%", "\\frac{100}{3}", True),
        # Units.
        ("5\\text{ cm}", "5\\text{ m}", False),
        ("500\\text{ cm}", "5\\text{ m}", True),
        ("5 cm", "5\\text{ m}", False),
        ("5 cm", "5", True),
        ("5", "5\\text{ cm}", True),
        ("5 feet", "60\\text{ inches}", True),
        ("4\\text{ hours}", "4\\text{ minutes}", False),
        ("\\frac12\\text{ hour}", "30\\text{ minutes}", True),
        ("15\\text{ cm}^2", "15\\text{ cm}", False),
        ("15\\text{ cm}^2", "0.0015\\text{ m}^2", True),
        ("15 square cm", "15\\mbox{ cm}^2", True),
        ("864 \\text{ sq in}", "864 \\mbox{ inches}^2", True),
        ("2\\text{ weeks}", "2\\text{ months}", False),
        ("90^\\circ", "90 \\text{ radians}", False),
        ("90^\\circ", "90", True),
        ("5\\text{ apples}", "5", True),
        ("5m", "5n", False),
        # Spellings.
        ("0.\\overline{3}", "\\frac{1}{3}", True),
        ("0.1\\overline{6}", "\\frac{1}{6}", True),
        ("0.\\overline{3}", "0.3", False),
        ("\\approx 3.14", "3.14", True),
        ("\\varnothing", "\\emptyset", True),
        ("\\langle 1, 2 \\rangle", "(1,2)", True),
        ("\\{1,2\\}", "(1,2)", False),
        ("\\{1,2\\}", "\\{2,1\\}", True),
        ("3\\times10^{-2}", "0.03", True),
        ("-0", "0", True),
        ("\\infty", "-\\infty", False),
        ("\\text{undefined}", "0", False),
    ],
)
def test_what_stands_beside_a_number_counts(answer, target, verdict):
    assert equal(answer, target) is verdict


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1,000\\text{ m}", "1\\text{ km}", True),
        ("5,000\\text{ g}", "5\\text{ kg}", True),
        ("36\\text{ km/h}", "10\\text{ m/s}", True),
        ("10\\text{ m/s}", "10\\text{ km/h}", False),
        ("10\\text{ m/s}", "10\\text{ m}", False),
        ("2\\text{ gallons}", "8\\text{ quarts}", True),
        ("5\\text{ gallons}", "5\\text{ liters}", False),
        ("5\\text{ gallons}", "5", True),
        ("5\\text{ dollars}", "500\\text{ cents}", True),
        ("\\$5", "500\\text{ cents}", True),
        ("$5", "5\\text{ cents}", False),
        ("\\$5", "5\\text{ dollars}", True),
        ("\\$1,000", "100000¢", True),
        ("\\$0.75", "75\\cent", True),
        ("75¢", "75\\text{ cents}", True),
        ("\\$5", "5", True),
        ("\\$5", "5\\text{ meters}", False),
    ],
)
def test_thousands_and_speeds_are_converted_either_way_round(one, other, same):
    assert (equal(one, other), equal(other, one)) == (same, same)


@pytest.mark.parametrize(
    ("response", "target", "verdict"),
    [
        ("\\boxed{\\$0.75}", "75 cents", True),
        ("\\boxed{\\$0.75}", "75¢", True),
        ("\\boxed{\\text{\\$}0.75}", "75\\text{ cents}", True),
        ("\\boxed{\\$\\frac{3}{4}}", "75¢", True),
        ("\\boxed{0.75 dollars}", "75 cents", True),
        ("\\boxed{-\\$1{,}000.50}", "-100050 cents", True),
        ("The answer is $0.75.", "75 cents", True),
        ("\\boxed{75\\text{ cents}}", "\\$0.75", True),
        ("\\boxed{75¢}", "0.75 dollars", True),
        ("\\boxed{\\$75}", "75\\text{ cents}", False),
        ("\\boxed{75}", "75¢", True),
        ("\\boxed{5\\$}", "5", True),
        ("\\boxed{$0.75$}", "\\$0.75", True),
        ("\\boxed{\\$32,\\!348}", "32348", True),
        ("\\boxed{\\$75}", "\\$75.00", True),
        ("\\boxed{\\$75}", "\\$7.50", False),
    ],
)
def test_money_in_an_answer_of_its_own_spelling_keeps_its_sign(response, target, verdict):
    assert equal(stated_expression(response), spelled(target)) is verdict


def test_an_amount_has_one_spelling_wherever_its_sign_stands():
    written = (
        "\\$5",
        "$5",
        "5\\$",
        "5 dollars",
        "\\$5.00\\text{ dollars}",
        "\\text{\\$}5",
        "$\\$5$",
        "\\(\\$5\\)",
        "\\$5.",
    )
    assert {spelled(text) for text in written} == {"\\$5"}
    assert [spelled(text) for text in ("-\\$5", "\\$-5", "\\$1{,}500", "$5$", "x+\\$5")] == [
        "-\\$5", "-\\$5", "\\$1500", "5", "x+5",
    ]  # fmt: skip


def test_a_number_with_a_unit():
    found = quantity("864 \\mbox{ inches}^2")
    assert (found.number, found.kind, found.unit) == ("864", "length^2", "in")
    assert [quantity(text) for text in ("5", "5\\text{ apples}", "x\\text{ cm}", "5s", "3x+5m", "\\text{m}")] == [
        None
    ] * 6


def test_units_keep_one_spelling():
    assert [spelled(text) for text in ("15 cm^2", "15 square centimeters", "90 degrees", "5 dollars", "3 units")] == [
        "15\\text{ cm}^2", "15\\text{ cm}^2", "90", "\\$5", "3",
    ]  # fmt: skip


def test_a_number_beside_one_that_says_its_base_is_read_in_that_base():
    assert compared("1,011", "1011_2") is True
    assert compared("11", "1011_2") is False
    # What is not made of digits is left to other rules.
    assert compared("eleven", "1011_2") == ("eleven", "1011_2")


@pytest.mark.parametrize(
    ("large", "small", "ratio"),
    [
        ("cm", "mm", "10"), ("m", "cm", "100"), ("km", "m", "1000"), ("in", "mm", "25.4"), ("ft", "in", "12"), ("yd", "ft", "3"),
        ("mi", "ft", "5280"), ("min", "s", "60"), ("h", "min", "60"), ("day", "h", "24"), ("week", "day", "7"),
        ("g", "mg", "1000"),
        ("kg", "g", "1000"), ("lb", "oz", "16"), ("lb", "mg", "453592.37"), ("l", "ml", "1000"), ("gal", "qt", "4"),
        ("qt", "pt", "2"),
        ("gal", "ml", "3785.411784"), ("dollar", "cent", "100"), ("m/s", "km/h", "3.6"), ("mph", "m/s", "0.44704"),
    ],
)  # fmt: skip
def test_units_of_a_kind_are_to_each_other_as_they_are(large, small, ratio):
    (kind, size), (other, unit) = known_unit(large), known_unit(small)
    assert (kind, size / unit) == (other, Fraction(ratio))


@pytest.mark.parametrize("name", ["month", "year", "euro", "radian"])
def test_units_without_a_size_are_known_and_not_converted(name):
    assert known_unit(name)[1] == 0
