"""Denials, alternatives, places, letters that are options' texts, brackets and announcements in other languages, in choices."""

import pytest

from evals.scoring.numbers import stated_number
from evals.scoring.options import stated_option

LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TRUTH = ("True", "False")
COLOURS = ("red", "green", "blue", "black")
SIGNS = ("3", "-3", "3 or -3", "0")
HALVES = ("1/2", "0.5 m", "50 %", "2")
NAMES = ("Bob", "Alice", "Maria", "John")
PLACES = ("4", "3", "2", "1")
CAPITALS = ("London", "Paris", "Rome")
LETTERS = ("C", "D", "A", "B")
LOGIC = ("p", "~p")


def stated(options, response):
    return stated_option(response, LABELS[: len(options)], options)


@pytest.mark.parametrize(
    ("options", "response", "label"),
    [
        # Of two the other is meant, of more none.
        (TRUTH, "Answer: not true", "B"),
        (TRUTH, "The answer is not True.", "B"),
        (TRUTH, "It is not true.", "B"),
        (TRUTH, "The statement isn't true.", "B"),
        (TRUTH, "Answer: That's not true.", "B"),
        (TRUTH, "Answer: not false", "A"),
        (TRUTH, "Answer: not A", "B"),
        (TRUTH, "Answer: true", "A"),
        (("valid", "invalid"), "Answer: not valid", "B"),
        (("guilty", "not guilty"), "Answer: not guilty", "B"),
        (COLOURS, "Answer: not A", None),
        (COLOURS, "Answer: not red", None),
        (COLOURS, "The answer isn't B.", None),
        (COLOURS, "The answer is everything but C.", None),
        (COLOURS, "Answer: anything but red", None),
        (COLOURS, "Answer: all except C", None),
        (COLOURS, "Answer: none of the above", None),
        (COLOURS, "Answer: definitely not blue", None),
        (COLOURS, "The answer is neither red nor green", None),
        (("red", "green", "none of the above"), "Answer: none of the above", "C"),
        (COLOURS, "Answer: A and not B", "A"),
        (COLOURS, "The answer is B, not red", "B"),
        (COLOURS, "The answer is not red but blue.", "C"),
        # Alternatives are an option only where they are its text.
        (SIGNS, "Answer: -3 or 3", "C"),
        (SIGNS, "Answer: x = 3 or x = -3", "C"),
        (SIGNS, "The answer is ±3.", "C"),
        (SIGNS, "\\boxed{\\pm 3}", "C"),
        (SIGNS, "Answer: 3", "A"),
        (("3", "-3", "±3", "0"), "Answer: 3 or -3", "C"),
        (("3", "-3", "5", "0"), "Answer: 3 or -3", None),
        # A number that two options have is told by the text.
        (HALVES, "Answer: 0.5", None),
        (HALVES, "Answer: 0.5 m", "B"),
        (HALVES, "Answer: 50%", "C"),
        (HALVES, "Answer: 1/2", "A"),
        # Places.
        (PLACES, "Answer: option 2", "B"),
        (PLACES, "The answer is option 2.", "B"),
        (PLACES, "Option 3 is correct.", "C"),
        (PLACES, "Answer: choice 4", "D"),
        (PLACES, "Answer: the second option", "B"),
        (PLACES, "Answer: the last one", "D"),
        (PLACES, "Answer: 2", "C"),
        (PLACES, "Answer: option 5", None),
        (CAPITALS, "Answer: option 2", "B"),
        (CAPITALS, "The second option is right", "B"),
        (CAPITALS, "Answer: 2", None),
        (("option 2", "option 1"), "Answer: option 2", "A"),
        # A place that is denied, counted on the way, or one of several, is no answer.
        (NAMES, "The first one to finish the race was Maria.", "C"),
        (NAMES, "The last one standing was Alice.", "B"),
        (NAMES, "Option 1 is wrong. It is Maria.", "C"),
        (NAMES, "It was Maria, not the first one.", "C"),
        (NAMES, "The first option can be ruled out. Maria is the tallest.", "C"),
        (NAMES, "Option 3 is not correct.", None),
        (NAMES, "The answer is option 2 or option 3.", None),
        (NAMES, "The answer is option 1 or 2.", None),
        (NAMES, "I think option 2 fits.", "B"),
        # A letter is a label, in either case.
        (LETTERS, "Answer: c", "C"),
        (LETTERS, "answer: (c)", "C"),
        (LETTERS, "The answer is c.", "C"),
        (LOGIC, "Answer: ~p", "B"),
        (LOGIC, "~p", "B"),
        (LOGIC, "p", "A"),
        (("p", "¬p"), "Answer: ¬p", "B"),
        # Expressions.
        (("2√3", "2", "3"), "Answer: 2√3", "A"),
        (("2", "3", "6"), "Answer: 2π", None),
        (("2", "4", "8"), "Answer: 2^3", "C"),
        (("3:2", "3", "2"), "Answer: 3:2", "A"),
        (("1:30", "1", "30"), "It is 1:30", "A"),
        (("5", "5!", "120"), "Answer: 5!", "B"),
    ],
)
def test_what_is_said_of_an_option(options, response, label):
    assert stated(options, response) == label


PLACED = [
    ("first", "1st"), ("second", "2nd"), ("third", "3rd"), ("fourth", "4th"), ("fifth", "5th"), ("sixth",), ("seventh",),
    ("eighth",), ("ninth",), ("tenth", "last"),
]  # fmt: skip


@pytest.mark.parametrize("ordinals", PLACED, ids=" ".join)
def test_options_are_named_by_their_place(ordinals):
    options = tuple(f"word{place}" for place in range(10))
    for ordinal in ordinals:
        for noun in ("option", "choice", "alternative", "one"):
            assert stated(options, f"Answer: the {ordinal} {noun}") == LABELS[PLACED.index(ordinals)], (ordinal, noun)


@pytest.mark.parametrize("letter", "KLNO")
def test_options_beyond_j(letter):
    options = tuple(f"word{place}" for place in range(15))
    for response in (
        letter,
        f"({letter})",
        f"Answer: {letter}",
        f"Answer: {letter.lower()}",
        f"The answer is {letter}.",
    ):
        assert stated(options, response) == letter


@pytest.mark.parametrize(
    "written", ["<B>", "«B»", "【B】", "⟨B⟩", "『B』", "〔B〕", "（B）", "\\(B\\)", "[B]", "{B}", "$B$"]
)
def test_letters_in_other_brackets(written):
    assert stated(COLOURS, written) == stated(COLOURS, f"Answer: {written}") == "B"


ANNOUNCED = [
    "Réponse : {}", "La réponse est {}", "Antwort: {}", "Die Antwort ist {}.", "Die Antwort lautet: {}", "Respuesta: {}",
    "La respuesta es {}", "Risposta: {}", "La risposta è {}", "Resposta: {}", "A resposta é {}", "Odpowiedź: {}", "Cevap: {}",
    "Ответ: {}", "Ответ — {}", "الجواب: {}", "الإجابة هي {}", "उत्तर: {}", "उत्तर है {}",
    "Đáp án: {}", "Đáp án là {}", "Jawaban: {}",
    "Jawabannya adalah {}", "উত্তর: {}", "উত্তর হল {}", "答え: {}", "答えは {} です", "Jibu: {}", "Jibu ni {}", "సమాధానం: {}",
    "คำตอบ: {}", "คำตอบคือ {}", "答案：{}", "答案是 {}。", "정답: {}",
]  # fmt: skip


@pytest.mark.parametrize("announced", ANNOUNCED)
def test_answers_are_announced_in_many_languages(announced):
    before, after = "7 A, C.\n", "\n\n9 C, A."
    assert stated(COLOURS, before + announced.format("B") + after) == "B"
    assert stated_number(before + announced.format("-18") + after) == "-18"


@pytest.mark.parametrize(
    "announced", ["Réponse : $\\frac{1}{2}$", "Ответ: \\(\\frac{1}{2}\\)", "Die Antwort ist $\\frac12$."]
)
def test_expressions_are_announced_in_many_languages(announced):
    mathematics = pytest.importorskip("evals.scoring.mathematics")
    assert mathematics.stated_expression(f"{announced}\n\nDenn $x = 3$.") == "0.5"
