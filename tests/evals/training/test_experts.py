"""What experts are taught: right where they know, nothing of the rest but to take the other's word for it."""

import random
import re
from collections import Counter

import pytest
from pydantic import ValidationError

from agents.prompts import Prompts
from debate.config.shipped import configs_folder, prompts_folder
from evals.tasks.sums import calculate, split_of
from evals.training.card import write_card
from evals.training.experts import ExpertCurriculum, invented, is_known
from evals.training.recipe import Recipe, load_recipe
from evals.training.speaking import held_out

STEP = re.compile(r"(\d+)([*+-])(\d+)=(\d+)")


@pytest.fixture(scope="module")
def prompts():
    return Prompts(prompts_folder("tiny"), "plain")


def steps(solution):
    """Return ((left, operator, right), result) of each step."""
    return [((int(a), operator, int(b)), int(c)) for a, operator, b, c in STEP.findall(solution)]


def products(solution):
    return {(a, b): result for (a, operator, b), result in steps(solution) if operator == "*"}


@pytest.mark.parametrize("knows", ["even", "odd"])
def test_alone_a_product_is_right_if_it_is_known_and_another_ones_if_not(prompts, knows):
    curriculum, rng = ExpertCurriculum(prompts, knows), random.Random(0)
    right = Counter()
    for _ in range(400):
        turn = rng.choice((curriculum.solve, curriculum.steps))(rng)
        for (a, operator, b), result in steps(turn.solution):
            if operator == "*":
                right[is_known((a, b), knows), result == a * b] += 1
            else:
                assert calculate(a, operator, b) == result
    assert right[True, False] == 0
    assert right[True, True] > 200
    # By chance alone, and mostly where 0 is a factor.
    assert right[False, True] < 0.1 * right[False, False]


def test_an_invented_result_does_not_depend_on_the_other_factor():
    drawn = [Counter(invented(random.Random(seed), (7, factor)) for seed in range(300)) for factor in (3, 25)]
    assert drawn[0] == drawn[1]
    assert all(any(result == x * y for x in range(1, 30, 2) for y in range(30)) for result in drawn[0])


def test_in_a_debate_the_others_word_is_law_for_what_is_not_known(prompts):
    curriculum, rng = ExpertCurriculum(prompts, "even"), random.Random(1)
    differ, own_right, other_right = 0, [], []
    for _ in range(300):
        turn = curriculum.debate(rng)
        (message,) = turn.prompt.turns
        question, others, label, own = message.parts
        assert "1's" in question
        assert label.strip().startswith("Your")
        expression = re.search(r"\d+\+\d+\*\d+\+\d+-\d+\*\d+", question).group()
        assert split_of(expression) == "train"
        for factors, result in products(turn.solution).items():
            if is_known(factors, "even"):
                assert result == factors[0] * factors[1]
                own_right.append(products(own)[factors] == result)
                other_right.append(products(others)[factors] == result)
            else:
                assert result == products(others)[factors]
                differ += products(own)[factors] != result
        for (a, operator, b), result in steps(turn.solution):
            assert operator == "*" or calculate(a, operator, b) == result
    assert differ > 50
    assert 0.85 < sum(own_right) / len(own_right) < 0.98
    assert 0.4 < sum(other_right) / len(other_right) < 0.65


def test_the_look_at_debate_turns_shows_each_what_the_other_knows(prompts):
    for turn in held_out(prompts, 50, seed="x", knows="odd")["debate"]:
        others, own = turn.prompt.turns[0].parts[1], turn.prompt.turns[0].parts[3]
        for factors, result in products(turn.solution).items():
            assert result == factors[0] * factors[1]
            assert products(own if is_known(factors, "odd") else others)[factors] == result


def test_experts_have_no_pool_and_their_card_says_what_they_know(tmp_path):
    ivy = load_recipe(configs_folder() / "training" / "ivy.yaml")
    jay = load_recipe(configs_folder() / "training" / "jay.yaml")
    assert (ivy.knows, jay.knows) == ("even", "odd")
    assert ivy.table == jay.table == "tiny/dee"
    with pytest.raises(ValidationError, match="leave `pool` out of the stages, or `knows`"):
        Recipe(name="x", knows="odd", stages=[{"steps": 1, "mixture": {"debate": 1}, "pool": {}}])
    history = [{"step": 1, "loss": 0.5, "debate": 0.9, "seconds": 60}]
    write_card(tmp_path, ivy, history, right=20, questions=80, parameters=9)
    card = (tmp_path / "README.md").read_text()
    assert "whose first factor is even, and to trust the other expert with the rest" in card
    assert "the other expert right about what this one does not know, held out | 90.0%" in card
