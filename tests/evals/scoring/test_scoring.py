"""Answers read out of real outputs and tidy ones, in linear time, and compared without running anything."""

import json
import signal
import threading
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.growth import seconds

from evals.scoring import bounded, mathematics
from evals.scoring.bounded import OutOfTime, Worker, WorkerDied
from evals.scoring.mathematics import boxed_expression, equal, spelled, stated_expression
from evals.scoring.numbers import final_number, normalised, stated_number
from evals.scoring.options import final_option, option_label, stated_option
from evals.scoring.run_ons import answer_part
from evals.scoring.text import boxed, without_markup
from evals.scoring.words import TRUE_FALSE, YES_NO, final_text, final_word, stated_text, stated_word

HERE = Path(__file__).parent


def collection(name):
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def test_gsm8k_flexible_agrees_with_the_labels_of_real_outputs():
    """SmolLM2-135M-Instruct on GSM8K questions, six kinds of prompt, labelled by hand with what the response states.

    Nearly all of its answers are wrong, so the verdicts say little by themselves: the answers are compared as well.
    """
    rows = collection("gsm8k_outputs.jsonl")
    read = [stated_number(row["response"]) for row in rows]
    assert len(rows) >= 140
    agree = [(got == row["target"]) == (row["label"] == row["target"]) for row, got in zip(rows, read, strict=True)]
    assert sum(agree) >= 0.99 * len(rows)
    misses = [(row["label"], got, row["response"]) for row, got in zip(rows, read, strict=True) if got != row["label"]]
    # Every miss, so that a new one is seen. Three state no answer, and a number that occurs is taken.
    assert [(label, got) for label, got, _ in misses] == [(None, "20"), ("15", "2"), (None, "22"), (None, "5")], misses


def test_gsm8k_flexible_agrees_with_two_blind_labels_of_further_outputs():
    """300 more, of eight kinds of prompt, most of them cut off, labelled by two language models that saw no target and no scorer.

    The first half served to mend the scorer, the second was scored before that was gone on with (docs/tasks.md).
    """
    rows = [row for row in collection("gsm8k_outputs_read_twice.jsonl") if row["labels"][0] == row["labels"][1]]
    assert len(rows) == 292
    read = [(row["labels"][0], stated_number(row["response"]), row["target"], row["held_out"]) for row in rows]
    agree = [((got == target) == (label == target), held_out) for label, got, target, held_out in read]
    assert sum(one for one, _ in agree) == 290
    assert sum(one for one, held_out in agree if held_out) == 145 == sum(row["held_out"] for row in rows) - 1
    misses = [(label, got) for label, got, *_ in read if label is not None and label != got]
    assert sum(label is not None for label, *_ in read) == 170
    # Every miss. Most are incoherent; one announces #### 600, and then asks and answers something else.
    assert misses == [
        ("0.15", "0.9375"),
        ("2010", "2.21"),
        ("1", "3"),
        ("1", "3"),
        ("50", "1"),
        ("8", "4"),
        ("1807.123488", "1"),
        ("120", "360"),
        ("600", "1"),
        ("1000", "204"),
    ]
    # Where no answer is stated a number is taken all the same, as harnesses do, and is the target by accident.
    silent = [(got, target) for label, got, target, _ in read if label is None]
    by_accident = sum(got == target for got, target in silent)
    assert (len(silent), sum(got is not None for got, _ in silent), by_accident) == (122, 102, 1)


def test_gsm8k_strict_finds_nothing_but_what_is_stated():
    rows = collection("gsm8k_outputs.jsonl")
    found = [(final_number(row["response"]), row["label"]) for row in rows]
    assert sum(got is not None for got, _ in found) >= 90
    # Of a response cut off inside its last number, "The answer is 18. … The answer is 1", strict reads what is there.
    assert [pair for pair in found if pair[0] not in (None, pair[1])] == [("1", "18")]


def test_choices_agree_with_the_labels_of_real_outputs():
    rows = collection("choice_outputs.jsonl")
    read = [stated_option(row["response"], "ABCD", row.get("options", ())) for row in rows]
    misses = [(row["label"], got) for row, got in zip(rows, read, strict=True) if got != row["label"]]
    # The answer in words, then a list of other options: three are named, none is announced.
    assert misses == [("A", None)]
    strict = [final_option(row["response"], "ABCD") for row in rows]
    assert all(got in (None, row["label"]) for row, got in zip(rows, strict, strict=True))


def test_gsm8k_rationales_read_as_published(benchmark):
    lines = benchmark("gsm8k/test.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        answer = json.loads(line)["answer"]
        target = normalised(answer.rpartition("####")[2].strip())
        assert stated_number(answer) == final_number(answer) == target


def test_gsm8k_published_verdicts(benchmark):
    """OpenAI's four models of 2021 on the test set (openai/grade-school-math, example_model_solutions.jsonl): 5,276 verdicts."""
    right = total = 0
    for line in benchmark("gsm8k/example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        target = normalised(row["ground_truth"].rpartition("A:")[2].strip())
        for solved in (value for value in row.values() if isinstance(value, dict)):
            total += 1
            right += (stated_number(solved["solution"]) == target) == solved["is_correct"]
    assert total == 5276
    assert right >= 0.997 * total


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("The answer is \\boxed{42}.", "42"),
        ("\\boxed{\\frac{3}{4}}", "0.75"),
        ("so $x = \\boxed{-1,234}$", "-1234"),
        ("\\boxed{12\\text{ apples}}", "12"),
        ("The answer is 1/3.", "1/3"),
        ("The answer is 2 1/2 hours", "2.5"),
        ("Answer: 9 * 2 = $18 every day", "18"),
        ("the answer (arabic numerals) is: 6.75 + 6.75 + 15.75 + 33 = 62.25", "62.25"),
        ("She pays €3,000.50 in all", "3000.5"),
        ("It grew by 45%", "45"),
        ("Answer: 50%", "50"),
        ("Answer: -$5", "-5"),
        ("Answer: $-5.00", "-5"),
        ("#### 7\n\nQuestion: A hen has 3 eggs.\nAnswer: 9", "7"),
        ("Answer:\n\n18", "18"),
        ("He arrives on the 3rd day with 5 apples", "5"),
        ("1. Add 3 and 4.\n2. That is 7.\n3.", "7"),
        ("18.", "18"),
        ("So, she pays $1240 for 2 weeks.", "1240"),
        ("He walks 12.5 km on a 4-week trip", "12.5"),
        ("a 12.5-mile walk of 3 days", "3"),
        ("The answer is N.", None),
        ("Answer: 1e3", "1000"),
        ("Answer: 12 * 10", "120"),
        (".5 of it", "0.5"),
        ("Answer: 1\u00a0234", "1234"),
        ("The answer is **\\$1{,}500**", "1500"),
        ("So 3 and 4 make 7, which is the final answer! Of 2 you heard before.", "7"),
        ("12 - 6 = 6, which is the answer to her question.\nThe number", "6"),
        ("5 is the answer. No: the answer is 6.", "6"),
        ("  100\nExplanation: 6 tests are lost by the 7th", "100"),
        ("12\n+ 5\n= 17", "17"),
        ("80 * 3 = 240 dollars of the original 1 dollar.", "240"),
        ("She pays 3 + 2 = 5 goats and 2 cows, which is $6.", "6"),
        ("1200 * 12 = $14480. So it costs $14", "14480"),
        # Cut off within its answer said again; and an answer that is another than the one before.
        ("The answer is 18. The answer is 1", "18"),
        ("The answer is 5. No, the answer is 18", "18"),
        ("The answer is unclear. The answer is 18", "18"),
        ("10:30 am: 5 apples", "5"),
    ],
)
def test_stated_number(response, answer):
    assert stated_number(response) == answer


@pytest.mark.parametrize("space", ["\\ ", "\\;", "\\,", "~", "\\quad "])
def test_a_space_of_latex_is_a_space(space):
    assert without_markup(f"16{space}apples").split() == ["16", "apples"]
    assert without_markup(f"3{space}4").split() == ["3", "4"]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("steps\n#### 1,002", "1002"),
        ("… Answer: 57", "57"),
        ("The answer is $3.50.", "3.5"),
        ("**Answer: 5**", "5"),
        ("Answer: 5 apples", None),
        ("Answer: 5\nChecked.", None),
        # The end of a line is looked at, 120 characters of it.
        ("Answer:" + " " * 112 + "5", "5"),
        ("Answer:" + " " * 113 + "5", None),
        ("5", None),
        ("", None),
    ],
)
def test_final_number(response, answer):
    assert final_number(response) == answer


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("007", "7"),
        ("-0.0", "0"),
        ("3/6", "0.5"),
        ("2/3", "2/3"),
        ("-1 1/4", "-1.25"),
        ("1,5", None),
        ("x", None),
        ("1/0", None),
    ],
)
def test_normalised(text, spelling):
    assert normalised(text) == spelling


@pytest.mark.parametrize(
    ("response", "options", "label"),
    [
        ("Answer: B", (), "B"),
        ("The answer is (c).", (), "C"),
        ("answer: d", (), "D"),
        ("**B**", (), "B"),
        ("B. Paris", (), "B"),
        ("Option B is right, so the correct option is: (D) Rome", (), "D"),
        ("A dog barks.", (), None),
        ("The answer is a dog", ("a cat", "a dog", "a bird", "a fish"), "B"),
        ("It must be Paris, of course.", ("London", "Paris", "Rome", "Bonn"), "B"),
        ("Either Paris or Rome.", ("London", "Paris", "Rome", "Bonn"), None),
        ("It is not pure.", ("pure", "not pure", "useful", "useless"), "B"),
        ("\\boxed{C}", (), "C"),
        ("The answer is (X).", (), None),
        ("I think that nobody knows", (), None),
        ("The answer is A because it is so", (), "A"),
        ("The answer is A good idea", (), None),
    ],
)
def test_stated_option(response, options, label):
    assert stated_option(response, "ABCD", options) == label


def test_option_labels_of_targets():
    options = ("London", "Paris")
    assert [option_label(given, "AB", options) for given in ("B", "(A)", "paris", 1, 2, "C", "Rome")] == [
        "B", "A", "B", "B", None, None, None,
    ]  # fmt: skip


def test_words_and_texts():
    assert stated_word("Yes, since frost is common.", YES_NO) == "Yes"
    assert stated_word("Winters are cold. So the answer is no.", YES_NO) == "No"
    assert stated_word("It is true that yes and no are words", YES_NO) is None
    assert stated_word("That is false.", TRUE_FALSE) == "False"
    assert stated_word("The argument is invalid", {"valid": ("valid",), "invalid": ("invalid",)}) == "invalid"
    assert final_word("Frost is common. Answer: yes.", YES_NO) == "Yes"
    assert final_word("Yes", YES_NO) is None
    assert stated_text('First.\nThe answer is "apple  banana".') == "apple banana"
    assert final_text("Answer: ] ) }") == "] ) }"


# Pieces that regular expressions of this kind stumble over, and anything else.
PIECES = st.sampled_from(
    ["answer", " is ", "The answer is", "####", "Answer:", "\\boxed{", "}", "{", "(", "A", ")", "1", "1,", "1,111", ".", "-",
     "$", "%", "\n", " ", "Question:", "<<", ">>", "\\frac{1}{2}", "\\text{", "*", "**", "=", "/", "yes", "no", "e9", "th"]
)  # fmt: skip
READERS = (
    stated_number, final_number, stated_expression, boxed_expression, stated_text, final_text, without_markup, boxed,
    lambda text: stated_option(text, "ABCD", ("one", "two", "three", "four")),
    lambda text: final_option(text, "ABCD"),
    lambda text: stated_word(text, YES_NO),
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=60))
@settings(deadline=1000)
def test_reading_never_fails(pieces):
    for read in READERS:
        read("".join(pieces))


@given(st.lists(PIECES, min_size=1, max_size=3))
@example(["1,"])
@example(["1,111"])
@example(["answer "])
@example(["####"])
@example(["-"])
@settings(deadline=None, max_examples=15)
def test_reading_is_linear_in_any_repetition(pieces):
    """Eight times the text takes no more than about eight times as long; a quadratic reader would take 64."""
    piece = "".join(pieces)

    def took(times):
        text = piece * times
        return seconds(lambda: [read(text) for read in READERS])

    small, large = min(took(200) for _ in range(3)), min(took(1600) for _ in range(3))
    assert large < 24 * small + 0.05


def test_what_a_model_asks_itself_is_not_its_answer():
    assert answer_part("#### 7\nQ: next") == "#### 7\n"
    assert answer_part("Question: is it so?") == "Question: is it so?"


def test_mathematics_is_compared_and_bounded():
    assert stated_expression("so \\boxed{\\frac{x+1}{2}} it is") == "\\frac{x+1}{2}"
    assert stated_expression("The answer is $x=3$.") == "x=3"
    assert boxed_expression("Thus\n\\boxed{\\{1,2\\}}") == "\\{1,2\\}"
    assert boxed_expression("\\boxed{1} first,\nthen more words") is None
    assert spelled("\\dfrac{1}{2}") == spelled("0.5") == "0.5"
    pytest.importorskip("math_verify")
    assert equal("(x+1)^2", "x^2+2x+1") is True
    assert equal("\\frac{\\pi}{2}", "0.5\\pi") is True
    assert equal("x+1", "x+2") is False
    start = time.perf_counter()
    reason = equal("9^{9^{9^{9^9}}}", "4", timeout_s=2)
    assert isinstance(reason, str)
    assert time.perf_counter() - start < 30
    # The next comparison finds a new process.
    assert equal("2x", "x+x") is True


def test_no_answer_is_run(tmp_path):
    pytest.importorskip("math_verify")
    mark = tmp_path / "mark"
    for code in (f"__import__('os').mkdir('{mark}')", f"\\text{{exec(\"open('{mark}','w')\")}}", f"open('{mark}','w')"):
        equal(code, "1", timeout_s=20)
    assert not mark.exists()


def test_what_a_busy_machine_lets_wait_is_not_out_of_time():
    """A process that is stopped for longer than it may compute has computed nothing meanwhile."""
    pytest.importorskip("math_verify")
    worker = Worker()
    try:
        worker.ask({"do": "math", "answer": "1", "target": "2"}, 20)
        process = worker._started()
        process.send_signal(signal.SIGSTOP)
        going_on = threading.Timer(1.5, process.send_signal, [signal.SIGCONT])
        going_on.start()
        assert worker.ask({"do": "math", "answer": "1/2", "target": "0.5"}, 1.0) == {"equal": True}
        going_on.join()
    finally:
        worker.close()


def test_a_process_that_computes_nothing_for_long_is_given_up(monkeypatch):
    monkeypatch.setattr(bounded, "PATIENCE", 3)
    worker = Worker()
    try:
        worker._started().send_signal(signal.SIGSTOP)
        with pytest.raises(OutOfTime):
            worker.ask({"do": "regex", "pattern": "a", "text": "a"}, 0.2)
    finally:
        worker.close()


def test_a_worker_that_dies_says_so(monkeypatch):
    worker = Worker()
    try:
        process = worker._started()
        process.kill()
        process.wait()
        # It is started again.
        with pytest.raises(OutOfTime):
            worker.ask({"do": "math", "answer": "9^{9^{9^{9}}}", "target": "1"}, 0.0)
        monkeypatch.setattr(mathematics, "worker", lambda: worker)
        worker._started().stdin.write("not json\n")
        worker._process.stdin.flush()
        with pytest.raises(WorkerDied):
            worker.ask({"do": "math", "answer": "1", "target": "2"}, 20)
    finally:
        worker.close()
