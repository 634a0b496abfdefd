"""Generated tasks with their own verifiers, and what those are not given."""

import ast
import inspect
import re

import pytest

from agents.errors import TaskError
from evals.scoring import reasoning_gym as ours
from evals.scoring.bounded import Worker
from evals.task import create_task
from evals.tasks.reasoning_gym import ReasoningGym

library = pytest.importorskip("reasoning_gym.factory")

# The answer of these is one of many, and none is written down.
UNWRITTEN = {"boxnet", "graph_color", "rubiks_cube", "rush_hour", "propositional_logic"}


def test_every_task_is_there_by_name():
    assert set(ReasoningGym.variants()) == set(library.DATASETS) - {"composite"}
    with pytest.raises(TaskError, match=r"write reasoning_gym:NAME"):
        create_task("reasoning_gym")
    with pytest.raises(TaskError, match="takes no data file"):
        create_task("reasoning_gym:chain_sum", data=ours.__file__)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ReasoningGym.variants() if n != "knight_swap"])
def test_the_answer_of_each_task_gets_the_full_mark(name):
    task = create_task(f"reasoning_gym:{name}")
    samples = task.load(2).samples
    assert samples == create_task(f"reasoning_gym:{name}").load(2).samples
    if name in UNWRITTEN:
        assert all(task.score_sample("nothing", sample).value == "incorrect" for sample in samples)
        return
    for sample in samples:
        said = task.extract(f"Let me think.\nAnswer: {sample.target}")
        score = task.score_sample(said, sample)
        assert (score.value, score.credit) == ("correct", 1.0), (sample.target, said, score)


@pytest.mark.slow
def test_another_process_draws_the_same_questions():
    first, second = Worker(), Worker()
    try:
        for name in ReasoningGym.variants():
            if name == "knight_swap":
                continue
            request = {"do": "generate", "task": name, "size": 200, "seed": 5, "count": 2}
            assert first.ask(request, 60) == second.ask(request, 60), name
    finally:
        first.close()
        second.close()


def test_seeds_and_splits_do_not_share_questions():
    made = {
        (split, seed): {
            s.question for s in create_task("reasoning_gym:chain_sum", split=split, seed=seed).load(100).samples
        }
        for split in ("test", "validation", "train")
        for seed in (0, 1)
    }
    names = list(made)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            assert len(made[one] & made[other]) <= 2, (one, other)


def test_a_limit_takes_the_first():
    task = create_task("reasoning_gym:acre")
    assert task.load(2).samples == task.load(5).samples[:2]
    assert len(task.load().samples) == 200
    assert len(task.load(201).samples) == 201


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("I think.\n<answer>\n1 2\n3 4\n</answer> done", "1 2\n3 4"),
        ("Answer: 1 2\n3 4", "1 2\n3 4"),
        ("Thus \\boxed{17}", "17"),
        ("The answer is 12.", "12"),
        ("so\n12", "12"),
        ("", None),
    ],
)
def test_extraction(response, answer):
    assert create_task("reasoning_gym:chain_sum").extract(response) == answer


def test_credit_and_scores_by_target():
    task = create_task("reasoning_gym:chain_sum")
    samples = task.load(20).samples
    assert task.score(samples[0].target, samples[0].target).value == "correct"
    assert task.score("12345678", samples[0].target).value == "incorrect"
    assert task.score(None, samples[0].target).value == "no answer"
    with pytest.raises(TaskError, match="no loaded question has the target"):
        task.score("1", "none of them")


CODE = "__import__('pathlib').Path('{}').touch()"


@pytest.mark.parametrize(
    "name", [*ours.PARSED, "binary_matrix", "spiral_matrix", "string_insertion", "n_queens", "number_sorting"]
)
def test_verifiers_do_not_run_an_answer(name, tmp_path):
    task = create_task(f"reasoning_gym:{name}")
    (sample,) = task.load(1).samples
    mark = tmp_path / "mark"
    for code in (CODE.format(mark), f"[{CODE.format(mark)}]", f"(lambda: {CODE.format(mark)})()"):
        assert task.score_sample(code, sample).value == "incorrect"
    assert not mark.exists()


@pytest.mark.parametrize("answer", ["x.__class__", "exec(1)", "x**2; y", "a_b", "'x'", "x.diff", "[1]", "2 .real"])
def test_what_the_parser_is_not_given(answer):
    assert ours._odd(answer)
    assert not ours._odd("x**2/3 + sin(2*x)*exp(-x) + C - 1.5")


def test_nothing_else_in_the_library_evaluates():
    """Every call in a verifier that could run an answer is one of those that are guarded: a new release is read by this."""
    parsed, evaluated = set(), set()
    for name, (dataset, _) in library.DATASETS.items():
        source = inspect.getsource(inspect.getmodule(dataset))
        scoring = [
            node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)
            and re.match(r"(score|verify|check|is_valid|_?validate|parse_answer|_parse)", node.name)
        ]  # fmt: skip
        for function in scoring:
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                called = getattr(call.func, "id", getattr(call.func, "attr", ""))
                given = ast.unparse(call)
                if called in ("eval", "exec", "compile", "__import__", "loads") and "pickle" in given:
                    evaluated.add(name)
                if called in ("eval", "exec", "__import__") and "entry" not in given and "problem" not in given:
                    evaluated.add(name)
                if called in ("parse_expr", "sympify", "S"):
                    parsed.add(name)
    assert parsed == set(ours.PARSED) | ({"propositional_logic"} & parsed)
    assert {f"algorithmic.{n}" if n != "n_queens" else f"games.{n}" for n in evaluated} == set(ours.EVALUATING)


def test_a_question_of_many_right_answers_shows_one_where_one_is_written_down():
    targets = {name: ours.questions(name, 20, 0, 1)[0]["target"] for name in UNWRITTEN}
    assert targets["propositional_logic"] == "(Q ∨ P)"
    assert targets["graph_color"].startswith("{0: 1, ")
    assert {targets[name] for name in ("boxnet", "rubiks_cube", "rush_hour")} == {
        "any answer that the verifier accepts"
    }
