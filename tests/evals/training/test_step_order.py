"""The recipe of the judge of order: of whose solutions it learns, what is told apart, and the whole at its smallest."""

import json
import random

import pytest

from agents.errors import ConfigError, TaskError
from agents.models.blocks.config import EncoderConfig
from agents.models.mp3.order import OrderConfig
from evals.tasks.sums import split_of
from evals.training import step_order

ENCODER = EncoderConfig(8, 1, 2, 4, 8)


def expression(asked):
    return next(word.rstrip("?.=") for word in asked.split() if "*" in word)


def test_sums_are_of_the_training_split_alone_and_held_out_ones_of_none():
    rng = random.Random(0)
    drawn = [step_order.drawn_sum(rng) for _ in range(40)]
    assert {split_of(expression(each.question)) for each in drawn} == {"train"}
    held = step_order.held_out_sums(10)
    assert {split_of(expression(each.question)) for each in held} == {"test"}
    assert all(step[-1] not in ".,;" and "Answer" not in step for each in (*drawn, *held) for step in each.steps)


class Knowing:
    """A judge that finds an order the more plausible the earlier its steps stand in the alphabet."""

    def order_log_probabilities(self, question, orders):
        if question != "down":
            return [0.0 for _ in orders]
        return [-sum(place * ord(step) for place, step in enumerate(steps)) for steps in orders]


def test_pairs_are_told_apart_and_ties_are_half():
    down, up = (step_order.Solved("down", steps) for steps in (("d", "c", "b", "a"), ("a", "b", "c", "d")))
    alike, blind = step_order.Solved("down", ("a", "a")), step_order.Solved("?", ("a", "b"))
    for near in (False, True):
        assert step_order.told_apart(Knowing(), [down, alike], near=near) == 1
        assert step_order.told_apart(Knowing(), [down, up], near=near) == 0.5
        assert step_order.told_apart(Knowing(), [blind], near=near) == 0.5
        with pytest.raises(ConfigError, match="none of 1 solutions has another order"):
            step_order.told_apart(Knowing(), [alike], near=near)


@pytest.fixture
def tiny(monkeypatch):
    config = OrderConfig(("<pad>", "<unk>"), 8, 16, 40, ENCODER, ENCODER)
    for name in ("ARITHMETIC", "WORD_PROBLEMS"):
        monkeypatch.setattr(step_order, name, step_order.Recipe(2, 2, config=config))
    monkeypatch.setattr(step_order, "TESTED", 3)


def test_the_recipe_at_its_smallest(tmp_path, tiny):
    said = []
    found = step_order.claims(tmp_path / "out", seeds=1, progress=said.append)
    assert [claim.text for claim in found] == [step_order.SUMS, step_order.SUMS_NEAR, step_order.SUMS_ALONE]
    assert said[0] == "no GSM8K in --data: word problems are left out"
    solved = {"question": "How many?", "answer": "One and one.\nThen two.\nSo four.\n#### 4"}
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join([json.dumps(solved)] * 2))
    found = step_order.claims(tmp_path / "out", seeds=1, data=tmp_path)
    assert [claim.text for claim in found[3:]] == [
        step_order.PROBLEMS,
        step_order.PROBLEMS_NEAR,
        step_order.CARRIED_OVER,
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"arithmetic-0", "arithmetic-alone-0", "gsm8k-0"}
    model = step_order.OrderJudge.from_pretrained(str(tmp_path / "out" / "arithmetic-alone-0")).model
    assert not model.config.others


def test_damaged_word_problems_are_not_left_out_in_silence(tmp_path):
    (tmp_path / "test.jsonl").write_text('{"question": "How many?", "answer": "One.\\nTwo.\\n#### 2"}')
    # Without those to learn from there is nothing to ask.
    assert step_order.word_problems(tmp_path, "test") == []
    (tmp_path / "train.jsonl").write_text("{damaged")
    assert len(step_order.word_problems(tmp_path, "test")) == 1
    with pytest.raises(TaskError, match=r"train.jsonl:1"):
        step_order.word_problems(tmp_path, "train")
