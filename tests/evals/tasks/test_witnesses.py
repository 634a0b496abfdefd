"""Witnesses: posteriors and optima are those of brute force over whole strings, and nobody is shown what is another's."""

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.errors import ConfigError, TaskError, UnknownName
from agents.prompts import Prompts
from debate.config.shipped import prompts_folder, role_folder
from evals.task import create_task
from evals.tasks.evidence import (
    Line,
    World,
    asked,
    draw_case,
    likeliest,
    load_world,
    pooled,
    posterior,
    read_lines,
    read_shares,
    shares,
    tenths,
    worlds,
)
from evals.tasks.optima import optima, said, seen
from evals.tasks.sums import split_of

SMALL = [
    World(symbols=2, length=2, glimpses=1, noise=((2,), (1, 4))),
    World(symbols=3, length=1, glimpses=2, noise=((1, 6), (2,))),
    World(symbols=2, length=1, glimpses=2, noise=((3,), (1, 4), (2,))),
    World(symbols=2, length=2, glimpses=2, noise=((2,), (4,))),
]


def all_lines(world, witness):
    """Yield every line that a witness may see, as levels and glimpses."""
    texts = ["".join(symbols) for symbols in product(world.letters, repeat=world.length)]
    for levels in product(world.noise[witness], repeat=world.length):
        for glimpses in product(texts, repeat=world.glimpses):
            yield Line(levels, glimpses)


def chance(world, witness, line, string):
    """Return p(line | string), glimpse by glimpse, as the task's words define it."""
    found = 1.0
    for place, level in enumerate(line.levels):
        found /= len(world.noise[witness])
        for glimpse in line.glimpses:
            wrong = level / 10
            found *= 1 - wrong if glimpse[place] == string[place] else wrong / (world.symbols - 1)
    return found


def strings_of(world):
    return ["".join(symbols) for symbols in product(world.letters, repeat=world.length)]


def brute_force(world, messages):
    """Return how often the best decision is right that knows the first witness's line and a message of each other's.

    Args:
        messages: a line and its world → {message: probability}.
    """
    strings = strings_of(world)
    others = []
    for witness in range(1, len(world.noise)):
        table = {}
        for line in all_lines(world, witness):
            for message, share in messages(world, line).items():
                row = table.setdefault(message, np.zeros(len(strings)))
                row += [share * chance(world, witness, line, string) for string in strings]
        others.append(list(table.values()))
    total = 0.0
    for line in all_lines(world, 0):
        own = np.array([chance(world, 0, line, string) for string in strings])
        for heard in product(*others):
            total += float((own * np.prod(heard, axis=0)).max()) / len(strings)
    return total


def all_of_it(world, line):
    return {str(line): 1.0}


def best_strings(world, line):
    """Return the likeliest strings, each as often as it is drawn."""
    rows = [
        [s for s, p in zip(world.letters, row, strict=True) if p > row.max() - 1e-9] for row in posterior(world, line)
    ]
    found = ["".join(symbols) for symbols in product(*rows)]
    return dict.fromkeys(found, 1 / len(found))


def in_tenths(world, line):
    return {shares(world, posterior(world, line)): 1.0}


@pytest.mark.parametrize("world", SMALL, ids=lambda world: f"{world.symbols}x{world.length}x{len(world.noise)}")
def test_optima_are_those_of_brute_force(world):
    exact = optima(world).strings()
    assert exact["bayes"] == pytest.approx(brute_force(world, all_of_it), abs=1e-12)
    assert exact["text"] == pytest.approx(brute_force(world, best_strings), abs=1e-12)
    assert exact["shares"] == pytest.approx(brute_force(world, in_tenths), abs=1e-12)
    assert exact["single"] == pytest.approx(brute_force(world, lambda world, line: {"": 1.0}), abs=1e-12)
    assert exact["single"] <= exact["text"] <= exact["bayes"] + 1e-12
    assert exact["shares"] <= exact["bayes"] + 1e-12


@pytest.mark.parametrize("world", SMALL, ids=lambda world: f"{world.symbols}x{world.length}x{len(world.noise)}")
def test_posteriors_are_bayes_rule_over_whole_strings(world):
    strings, rng = strings_of(world), random.Random(0)
    for _ in range(20):
        case = draw_case(world, rng, "train")
        weights = np.ones(len(strings))
        for witness, line in enumerate(case.lines):
            weights *= [chance(world, witness, line, string) for string in strings]
        joint = weights / weights.sum()
        marginal = np.zeros((world.length, world.symbols))
        for string, share in zip(strings, joint, strict=True):
            for place, symbol in enumerate(string):
                marginal[place, world.letters.index(symbol)] += share
        found = pooled([posterior(world, line) for line in case.lines])
        np.testing.assert_allclose(found, marginal, atol=1e-12)
        # Places are independent: the likeliest string is the likeliest symbol of each.
        assert joint.max() == pytest.approx(found.max(axis=1).prod(), abs=1e-12)


@pytest.mark.parametrize("name", worlds())
def test_channels_of_the_shipped_worlds_are_distributions(name):
    world = load_world(name)
    for channel in (seen(world, 0), said(seen(world, 1))):
        np.testing.assert_allclose(channel.sum(axis=0), 1, atol=1e-12)


def test_three_witnesses_of_eight_symbols_have_an_optimum_too():
    exact = optima(World(symbols=8, length=4, noise=((2, 6),) * 3))
    assert exact.single < exact.text < exact.shares <= exact.bayes < 1


@given(st.sampled_from(worlds()), st.sampled_from(["test", "validation", "train"]), st.integers(0, 50))
def test_a_question_has_lines_of_its_split_and_each_prompt_one_of_them(name, split, place):
    task = create_task(f"witnesses:{name}", split=split)
    sample = task.load(place + 1).samples[place]
    lines = read_lines(sample.question)
    assert sample.question == asked(task.world, lines)
    assert {split_of(str(line)) for line in lines} == {split}
    for number, line in enumerate(lines, start=1):
        prompts = Prompts(prompts_folder("witnesses"), "plain", role=role_folder(f"witness_{number}"))
        for prompt in (prompts.initial(sample.question), prompts.debate(sample.question, "own", ["heard"])):
            shown = "".join(part for turn in prompt.turns for part in turn.parts)
            assert str(line) in shown
            assert not any(str(other) in shown for other in lines if other != line)
            assert "own" not in shown


def test_samples_follow_from_world_split_seed_and_number_alone():
    few, many = (create_task("witnesses:eight_low", seed=3).load(count).samples for count in (5, 9))
    assert few == many[:5]
    assert create_task("witnesses:eight_low", seed=4).load(5).samples != few


def test_an_answer_is_the_last_string_and_is_right_as_a_whole_with_credit_for_its_places():
    task = create_task("witnesses:four_mid")
    assert task.extract("I heard abca, and say abcd.") == "abcd"
    assert task.extract("abcde") is None
    assert task.extract("abce") is None
    assert (task.extract_strict("abcd"), task.extract_strict("it is abcd")) == ("abcd", None)
    score = task.score("abca", "abcd")
    assert (score.value, score.credit) == ("incorrect", 0.75)
    assert task.score(None, "abcd").value == "no answer"


def test_equal_beliefs_are_drawn_evenly_and_shares_are_tenths():
    world, rng = World(symbols=2, length=1, noise=((3,),)), random.Random(1)
    belief = posterior(world, Line((3,), ("a", "b")))
    drawn = [likeliest(world, belief, rng) for _ in range(400)]
    assert 150 < drawn.count("a") < 250
    said = shares(World(symbols=2, length=2, noise=((3,),)), np.array([[0.3, 0.7], [1.0, 0.0]]))
    assert said == "a39b70"


@pytest.mark.parametrize("name", worlds())
def test_stated_shares_are_read_as_they_were_stated_and_nothing_else_is(name):
    world, rng = load_world(name), random.Random(2)
    for _ in range(20):
        belief = posterior(world, draw_case(world, rng, "train").lines[0])
        stated = shares(world, belief)
        read = read_shares(world, stated)
        assert read is not None
        assert np.array_equal(read, tenths(belief))
        # No share is further from its digit than the tenth that the digit stands for, and 0.9 stands for more.
        assert ((belief - read / 10 > -1e-9) & (belief - read / 10 < 0.1 + 1e-9)).all()
        for other in (stated[:-1], stated[1:], f"{stated}1", stated.replace("b", "a"), "abcd", ""):
            assert read_shares(world, other) is None
        # A statement of shares is no answer.
        assert create_task(f"witnesses:{name}").extract(stated) is None


def test_a_statement_of_one_place_is_no_answer_either(tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text("{symbols: 2, length: 1, noise: [[1], [2]]}\n")
    task = create_task("witnesses", data=file)
    assert task.extract("a9b0") is None
    assert task.extract("a9b0, so a") == "a"


def test_what_is_no_world_or_no_line_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="1 to 9 tenths"):
        World(symbols=2, length=1, noise=((0,),))
    with pytest.raises(UnknownName, match="four_mid"):
        create_task("witnesses:four_med")
    with pytest.raises(TaskError, match="15 ab ad"):
        Line.read("15 abc")
    file = tmp_path / "wide.yaml"
    file.write_text("{symbols: 9, length: 2, noise: [[1], [2]]}\n")
    with pytest.raises(ConfigError, match=r"wide\.yaml: symbols"):
        create_task("witnesses", data=file).load(1)
    file.write_text("{symbols: 2, length: 2, noise: [[1], [2], [3]]}\n")
    assert len(read_lines(create_task("witnesses", data=file).load(1).samples[0].question)) == 3
