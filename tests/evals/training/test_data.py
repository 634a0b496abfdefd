"""What tiny debaters are trained on: right where it says so, in the protocol's prompts, and never what they are asked."""

import random
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.fingerprint import fingerprint
from agents.message import Message
from agents.prompts import Prompts
from agents.token_bytes import token_bytes
from agents.tokenization import segments
from debate.config.shipped import prompts_folder
from evals.task import create_task
from evals.tasks.sums import calculate, paper_form, split_of, value, worked, written
from evals.training.rows import UNSCORED, PackedRows
from evals.training.turns import Attempts, Curriculum, encode, mistaken
from evals.training.vocabulary import PHRASES, make_tokenizer

OPERANDS = st.tuples(*[st.integers(0, 29)] * 6)
EXPRESSION = re.compile(r"\d+\+\d+\*\d+\+\d+-\d+\*\d+")


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def prompts():
    return Prompts(prompts_folder("tiny"), "plain")


@pytest.fixture(scope="module")
def curriculum(prompts):
    operands = (1, 2, 3, 4, 5, 6)
    pool = [
        Attempts(operands, ("2*3=6, 5*6=35. 1+6=7, 7+4=11, 11-35=-24. Answer: -24", str(worked(paper_form(*operands)))))
    ]
    return Curriculum(prompts, Prompts(prompts_folder("tiny_own_first"), "plain"), pool)


def is_right(step):
    return step.result == calculate(step.left, step.operator, step.right)


@given(OPERANDS)
def test_a_worked_expression_is_right_in_every_step(operands):
    terms = paper_form(*operands)
    done = worked(terms)
    assert done.answer == value(terms) == eval(written(terms))
    assert all(map(is_right, (*done.products, *done.sums)))
    assert create_task("arithmetic").extract(str(done)) == str(done.answer)
    for step in re.findall(r"[\d+*=-]+=-?\d+", str(done)):
        left, _, right = step.partition("=")
        assert eval(left) == int(right)


@given(OPERANDS, st.integers(0, 4), st.sampled_from([-10, -1, 1, 100]))
def test_a_slip_is_one_wrong_step_that_later_ones_go_on_from(operands, place, missed):
    done = worked(paper_form(*operands), {place: missed})
    steps = [*done.products, *done.sums]
    assert [is_right(step) for step in steps] == [number != place for number in range(len(steps))]
    assert abs(done.answer) == abs(steps[-1].result)


def test_splits_have_their_shares_and_do_not_depend_on_the_process():
    rng = random.Random(0)
    drawn = [split_of(written(paper_form(*(rng.randrange(30) for _ in range(6))))) for _ in range(20_000)]
    assert drawn.count("test") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert drawn.count("validation") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert [split_of(text) for text in ("1+2*3+4-5*6", "0+0*0+0-0*0")] == ["train", "train"]


@pytest.mark.parametrize("split", ["test", "validation", "train"])
@pytest.mark.parametrize("name", ["arithmetic:held_out", "arithmetic6:held_out"])
def test_held_out_questions_are_of_their_split_alone(name, split):
    for sample in create_task(name, split=split).samples(300):
        (expression,) = EXPRESSION.findall(sample.question)
        assert split_of(expression) == split
        assert int(sample.target) == eval(expression)


def test_larger_operands_are_all_unseen():
    for sample in create_task("arithmetic:larger").samples(50):
        assert min(map(int, re.findall(r"\d+", sample.question))) >= 30


def test_no_training_example_holds_an_expression_of_another_split(curriculum, tokenizer):
    rng = random.Random(5)
    seen = 0
    for _ in range(3000):
        ids, *_ = encode(curriculum.draw(rng, {"steps": 1, "solve": 1, "debate": 1}), tokenizer)
        question = tokenizer.decode(ids).partition("\n")[0]
        found = EXPRESSION.findall(question)
        seen += len(found)
        assert {split_of(expression) for expression in found} <= {"train"}
    assert seen > 1500


def test_a_training_solution_is_right_whatever_was_heard(curriculum, tokenizer):
    rng = random.Random(6)
    for _ in range(500):
        ids, shown, _ = encode(curriculum.debate(rng), tokenizer)
        expression = EXPRESSION.findall(tokenizer.decode(ids))[0]
        said = tokenizer.decode(ids[shown:], skip_special_tokens=True)
        assert said.rpartition("Answer: ")[2] == str(eval(expression))
        assert ids[-1] == tokenizer.eos_token_id


def test_debate_turns_hear_right_wrong_and_inconsistent_solutions_and_sometimes_only_wrong_ones(curriculum, tokenizer):
    rng = random.Random(7)
    counts = {"right": 0, "wrong": 0, "inconsistent": 0, "all wrong": 0}
    for _ in range(500):
        ids, shown, _ = encode(curriculum.debate(rng), tokenizer)
        heard = re.findall(r"solution: (.*)", tokenizer.decode(ids[:shown]))
        right = tokenizer.decode(ids[shown:], skip_special_tokens=True)
        counts["all wrong"] += right not in heard
        for solution in heard:
            last = solution.rpartition(". Answer: ")
            kind = (
                "right"
                if solution == right
                else "wrong"
                if last[0].endswith(f"={last[2].lstrip('-')}")
                else "inconsistent"
            )
            counts[kind] += 1
    assert all(count > 20 for count in counts.values()), counts


def test_mistakes_are_mistakes():
    rng = random.Random(8)
    terms = paper_form(3, 4, 5, 6, 7, 8)
    wrong = [str(mistaken(rng, terms)) != str(worked(terms)) for _ in range(200)]
    assert all(wrong)


def test_the_tokenizer_takes_digits_one_by_one_and_gives_every_text_back(tokenizer):
    assert len(tokenizer("1729", add_special_tokens=False).input_ids) == 4
    for text in ("What is the result of 1+2*3?", "Agent 2's solution: a, b. C", *PHRASES, " two  spaces\n\nlines "):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids
    assert len(tokenizer) <= 200
    pieces = token_bytes(tokenizer)
    assert all(pieces[token] == tokenizer.decode([token]).encode() for token in range(4, len(tokenizer)))


def test_the_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "What is the result of 1+2*3?\nSolution:2*3=6. 1+6=7. Answer: 7"
    assert loaded(text).input_ids == tokenizer(text).input_ids
    assert loaded.decode(loaded(text).input_ids, skip_special_tokens=True) == text
    assert loaded.eos_token_id == tokenizer.eos_token_id


def test_a_training_prompt_is_the_one_that_a_debate_shows(prompts, tokenizer):
    """In training solutions are text, in a debate they are messages whose tokens go in as they were said."""
    model = fingerprint("x", torch.zeros(len(tokenizer), 4), tokenizer)

    def said(text):
        return Message(text, model, 0.5, tuple(tokenizer(text, add_special_tokens=False).input_ids))

    solutions = [str(worked(paper_form(*[number] * 6))) for number in (3, 14, 25)]
    question = "What is the result of 3+3*3+3-3*3?"
    for heard in (solutions[1:2], solutions[1:]):
        as_text = segments(prompts.debate(question, solutions[0], heard), tokenizer, model)
        as_messages = segments(prompts.debate(question, said(solutions[0]), [said(s) for s in heard]), tokenizer, model)
        assert as_text == as_messages
        assert len(as_text) == 1


def test_a_row_depends_on_its_number_alone_and_scores_solutions_only(curriculum, tokenizer):
    def rows(count):
        return PackedRows(curriculum, tokenizer, mixture={"solve": 1, "debate": 1}, rows=count, tokens=256, seed="s")

    row, again = rows(9)[7], rows(100)[7]
    assert all(torch.equal(row[name], again[name]) for name in row)
    assert not torch.equal(rows(9)[6]["input_ids"], row["input_ids"])
    starts = (row["position_ids"] == 0).nonzero().flatten().tolist()
    assert (row["input_ids"][starts] == tokenizer.bos_token_id).all()
    cue = tokenizer.convert_tokens_to_ids("Solution:")
    for start, end in zip(starts, [*starts[1:], 256], strict=True):
        ids = row["input_ids"][start:end].tolist()
        labels = row["labels"][start:end].tolist()
        shown = ids.index(cue) + 1 if cue in ids else len(ids)
        assert set(labels[:shown]) <= {UNSCORED}
        assert labels[shown:] == ids[shown:]
