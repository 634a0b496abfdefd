"""Texts that a reader could stumble over: long, repetitive, nested, broken. Every reader ends soon, and raises on none."""

import pytest
from support.growth import growth

from evals.scoring.mathematics import boxed_expression, spelled, stated_expression
from evals.scoring.numbers import final_number, normalised, stated_number
from evals.scoring.options import final_option, stated_option
from evals.scoring.words import YES_NO, final_text, final_word, stated_text, stated_word
from evals.task import create_task

LENGTH = 100_000
OPTIONS = ("one", "-3", "1,200", "a b c")
READERS = {
    "stated_number": stated_number,
    "final_number": final_number,
    "normalised": normalised,
    "stated_option": lambda text: stated_option(text, "ABCD", OPTIONS),
    "final_option": lambda text: final_option(text, "ABCD"),
    "stated_word": lambda text: stated_word(text, YES_NO),
    "final_word": lambda text: final_word(text, YES_NO),
    "stated_text": stated_text,
    "final_text": final_text,
    "stated_expression": stated_expression,
    "boxed_expression": boxed_expression,
    "spelled": spelled,
    "spoken_digits": create_task("spoken_digits").extract,
    "discrete_functions": create_task("discrete_functions").extract,
    "in_context": create_task("in_context").extract,
    "voice_severity": create_task("voice_severity").extract,
}
# What patterns over numbers, letters, markup and labels could go back over again and again.
PIECES = [
    "1", "1,", "1,111,", "1.111.", "12,", "½ ", "10⁶", "1×10^", "one hundred and ", "A ", "B, ", "A is wrong ", "(A) ",
    "I choose ", "\\boxed{", "\\boxed{1} and ", "\\frac{1}", "$", "#### 1", "\nQuestion: ", "\nQ: x = 1", "</think>",
    "<answer>", "\n", "(1=", "1 (", "{",
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_100_kb_are_read_in_time_in_proportion_to_their_length(reader):
    """Measured on a quiet core: up to 0.6 s."""

    def work(piece):
        return lambda length: lambda: READERS[reader]((piece * length)[:length] + "th")

    grown = {piece: growth(work(piece), LENGTH) for piece in PIECES}
    assert {piece: found for piece, found in grown.items() if found >= 8} == {}


@pytest.mark.parametrize(
    "response",
    [
        "The answer is 1/0000000000000000000001",
        "Answer: 5/٠",
        "Answer: 1/" + "9" * 5000,
        "Answer: 9" + "9" * 5000,
        "Answer: 10^9999",
        "Answer: 0^-1",
        "Answer: 1e-999",
        "Answer: 7 × 10^-9999",
        "Answer: 2^9999/3",
        "Answer: \ud800",
        "Answer: 3\udfff",
        "\\boxed{" * 3000,
        "{" * 3000 + "}" * 3000,
        "\\frac" * 3000,
        "\x00Answer: \x07 5",
        "<answer>" * 50 + "5",
        "Answer: ²",
        "Answer: 一" + "亿" * 39,
        "one " + "million " * 300,
        "",
    ],
)
def test_no_reader_raises(response):
    for read in READERS.values():
        read(response)


def test_digits_that_were_once_fatal_are_read():
    assert stated_number("The answer is 1/0000000000000000000001") == "1"
    assert stated_number("Answer: 5/٠") is None
    assert stated_number("Answer: 3\ud800") == "3"
