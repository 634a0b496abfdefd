"""Orders of solutions as questions, written digits and film reviews: what is asked, what is right, what is left out."""

import gzip
import json

import pytest
from support.small_data import reviews

from agents.errors import TaskError, UnknownName
from agents.models.mp3.steps import steps_of
from evals.task import create_task
from evals.tasks.sums import split_of


def test_orders_of_sums():
    task = create_task("step_order")
    samples = task.samples(6)
    assert samples == create_task("step_order").samples(6)
    for sample in samples:
        (asked,) = sample.observations
        right = sample.options["ABCD".index(sample.target)]
        assert len(set(sample.options)) == 4
        assert all(sorted(option.split("\n")) == sorted(right.split("\n")) for option in sample.options)
        assert split_of(asked.text.removeprefix("What is the result of ").rstrip("?")) == "test"
        # The first step is a product of the question, and the answer is no step.
        assert right.split("\n")[0].partition("=")[0] in asked.text
        assert "Answer" not in sample.question
        # A debater's text of the right order is what the judge reads.
        assert steps_of(right) == tuple(right.split("\n"))
    assert len({sample.target for sample in task.samples(40)}) == 4


def test_orders_of_word_problems(tmp_path):
    rows = [
        {"question": "Two steps?", "answer": "He has 1+1=<<1+1=2>>2.\nSo 2*3=<<2*3=6>>6\n#### 6"},
        {"question": "One step?", "answer": "It is 4.\n#### 4"},
        {"question": "Alike?", "answer": "It is 4.\nIt is 4.\n#### 4"},
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    loaded = create_task("step_order:gsm8k", data=tmp_path).load()
    (sample,) = loaded.samples
    assert sorted(sample.options) == ["He has 1+1=2\nSo 2*3=6", "So 2*3=6\nHe has 1+1=2"]
    assert sample.options["AB".index(sample.target)].startswith("He has")
    assert loaded.removed == {"its solution has not 2 to 12 steps that differ": 2}
    with pytest.raises(UnknownName, match="variant of task .step_order. .mmlu.. Known: gsm8k"):
        create_task("step_order:mmlu")


def test_written_digits():
    pytest.importorskip("sklearn")
    task = create_task("digits")
    samples = task.samples()
    assert (len(samples), samples[0].observations[0].pixels.shape) == (540, (1, 8, 8))
    assert [sample.id for sample in samples] != [sample.id for sample in create_task("digits", seed=1).samples()]
    assert {sample.id for sample in samples} == {sample.id for sample in create_task("digits", seed=1).samples()}
    assert task.extract("I see a three or 8. Answer: Seven.") == "7"
    assert task.extract("An 8, I think") == "8"
    assert task.extract("3 or 8") is None


def test_reviews(tmp_path):
    task = create_task("sst2", data=reviews(tmp_path))
    sample = task.samples()[0]
    assert (sample.target, sample.observations[0].text) == ("positive", "b a d e .")
    assert task.labels(sample) == ("negative", "positive")
    assert task.extract("Answer: Negative.") == "negative"
    (tmp_path / "dev.tsv.gz").write_bytes(gzip.compress(b"label\tsentence\nx\n"))
    with pytest.raises(TaskError, match="a line is a label, 0 or 1"):
        create_task("sst2", data=tmp_path).load()
    with pytest.raises(TaskError, match="sst2 has no hub source"):
        create_task("sst2").load()
