"""Tasks and how answers are read out of responses."""

import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import TaskError, UnknownName
from evals.scoring.numbers import normalised, stated_number
from evals.task import create_task
from evals.tasks.sums import split_of


def test_arithmetic_is_the_papers_form_and_right():
    samples = create_task("arithmetic", seed=3).samples(300)
    operands = []
    for sample in samples:
        expression = sample.question.removeprefix("What is the result of ").removesuffix("?")
        a, rest = expression.split("+", 1)
        product, rest = rest.split("+", 1)
        d, last = rest.split("-")
        (b, c), (e, f) = product.split("*"), last.split("*")
        numbers = [int(x) for x in (a, b, c, d, e, f)]
        operands += numbers
        a, b, c, d, e, f = numbers
        assert int(sample.target) == a + b * c + d - e * f
    assert (min(operands), max(operands)) == (0, 29)
    assert len({sample.id for sample in samples}) == 300


def test_arithmetic_is_seeded_and_a_limit_takes_the_first():
    assert create_task("arithmetic", seed=1).samples(5) == create_task("arithmetic", seed=1).samples(9)[:5]
    assert create_task("arithmetic", seed=1).samples(5) != create_task("arithmetic", seed=2).samples(5)
    assert len(create_task("arithmetic").samples(None)) == 200


@pytest.mark.parametrize("split", ["test", "validation"])
def test_related_questions_share_eight_products_and_are_held_out(split):
    asked = create_task("arithmetic:related", seed=3, split=split).samples(200)
    counts = Counter()
    for sample in asked:
        expression = sample.question.removeprefix("What is the result of ").removesuffix("?")
        assert split_of(expression) == split
        b, c, e, f = (int(number) for number in re.findall(r"(\d+)\*(\d+)\+\d+-(\d+)\*(\d+)", expression)[0])
        counts.update([(b, c), (e, f)])
        assert (b, c) != (e, f)
        assert min(b, c, e, f) >= 10
        a, d = int(expression.split("+")[0]), int(expression.split("+")[2].split("-")[0])
        assert int(sample.target) == a + b * c + d - e * f
    assert len(counts) == 8
    assert all(30 < count < 70 for count in counts.values())
    other = create_task("arithmetic:related", seed=4, split=split).samples(2)
    assert [sample.question for sample in other] != [sample.question for sample in asked[:2]]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("2*5=10, 3*6=18. 14+7=21, 21-18=3. Answer: 3", "3"),
        ("Answer: -40", "-40"),
        ("The answer is **1,234.50** dollars", "1234.5"),
        ("so 40-80=-40\n#### -40", "-40"),
        ("5 apples and 7 pears make 12.", "12"),
        ("Answer: 12. Check: 13 is wrong", "12"),
        ("Answer: 5\nNo wait. Answer: 6", "6"),
        ("the answer is unclear", None),
        ("3+4", "7"),
        ("It costs $1,000.00.", "1000"),
        ("−7", "-7"),
        ("21-18", "3"),
        ("", None),
        ("Answer:", None),
        ("Answer: 0.0", "0"),
        ("Answer: -0", "0"),
    ],
)
def test_stated_number(response, answer):
    assert stated_number(response) == answer


@given(st.integers(-(10**9), 10**9))
def test_a_stated_integer_is_found(number):
    assert stated_number(f"Step 1 of 2.\nAnswer: {number}") == str(number)
    assert normalised(f"{number:,}") == str(number)


def gsm8k_file(tmp_path, *lines):
    path = tmp_path / "gsm.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


ROW = json.dumps({"question": "How many?", "answer": "Two <<1+1=2>>2\n#### 1,002"})


def test_gsm8k_reads_the_published_form(tmp_path):
    (sample,) = create_task("gsm8k", data=gsm8k_file(tmp_path, ROW)).samples(None)
    assert (sample.question, sample.target) == ("How many?", "1002")
    task = create_task("gsm8k")
    assert task.score(task.extract("I get 1002. Answer: 1,002"), sample.target).value == "correct"
    assert task.score(None, "1").value == "no answer"
    assert task.score("2", "1").value == "incorrect"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((ROW, "{broken"), r"gsm\.jsonl:2: not JSON"),
        ((ROW, '{"question": "x"}'), r"gsm\.jsonl:2: a row is an object with question and answer"),
        ((ROW, '{"question": "x", "answer": "no mark"}'), r"gsm\.jsonl:2: the answer does not end in '#### number'"),
        (("",), r"gsm\.jsonl: no questions"),
    ],
)
def test_a_broken_question_file_names_the_line(tmp_path, lines, sentence):
    with pytest.raises(TaskError, match=sentence):
        create_task("gsm8k", data=gsm8k_file(tmp_path, *lines)).samples(None)


def test_missing_and_unfitting_data(tmp_path):
    with pytest.raises(TaskError, match="cannot read .*No such file"):
        create_task("gsm8k", data=tmp_path / "none.jsonl").samples(None)
    with pytest.raises(TaskError, match="no file for the split 'test' of 'arithmetic'. Looked for: arithmetic/"):
        create_task("arithmetic", data=tmp_path).samples(None)
    with pytest.raises(TaskError, match="no test split on the hub: give a file or folder with --data"):
        create_task("addsub").samples(None)
    with pytest.raises(UnknownName, match="unknown task 'arithmetics'.*Did you mean 'arithmetic'"):
        create_task("arithmetics")
