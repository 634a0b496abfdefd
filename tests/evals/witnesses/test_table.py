"""The table: a hearer at the optimum has slope 1, shares of the gain are what they say, and runs are read as they were played."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from agents.errors import RunError
from evals.task import create_task
from evals.tasks.evidence import load_world, pooled, posterior, read_lines
from evals.witnesses.page import finite, markdown
from evals.witnesses.reading import Beliefs, Row, WorldRun
from evals.witnesses.table import (
    Witnessed,
    calibration_error,
    divergence,
    share_of_gain,
    slope,
    tabulate,
    world_table,
)


def beliefs_of(count, held):
    """Return beliefs of the first witness over some questions; `held` makes its own of what it and the other may believe."""
    task = create_task("witnesses:eight_mid")
    own, others, right, levels = [], [], [], []
    for sample in task.load(count).samples:
        first, second = read_lines(sample.question)
        own.append(posterior(task.world, first))
        others.append(posterior(task.world, second))
        right += [task.world.letters.index(symbol) for symbol in sample.target]
        levels += second.levels
    one, other = np.concatenate(own), np.concatenate(others)
    return Beliefs(held(one, other), one, other, np.array(right), np.array(levels))


def normed(rows):
    return rows / rows.sum(axis=1, keepdims=True)


def test_the_optimum_has_slope_one_everywhere_and_is_calibrated():
    best = beliefs_of(500, lambda own, others: pooled([own, others]))
    assert slope(best) == pytest.approx(1, abs=1e-9)
    for level in (2, 6):
        assert slope(best, best.levels == level) == pytest.approx(1, abs=1e-9)
    assert divergence(pooled([best.own, best.others]), best.held) == pytest.approx(0, abs=1e-12)
    # 2,000 places: what chance leaves.
    assert calibration_error(best) < 0.03


def test_who_does_not_listen_has_slope_zero_and_who_doubts_half():
    deaf = beliefs_of(50, lambda own, others: own)
    assert slope(deaf) == pytest.approx(0, abs=1e-9)
    half = beliefs_of(50, lambda own, others: normed(own * np.sqrt(others)))
    assert slope(half) == pytest.approx(0.5, abs=1e-9)
    best = pooled([half.own, half.others])
    assert divergence(best, half.held) > 0.01
    overconfident = beliefs_of(500, lambda own, others: normed((own * others) ** 3))
    assert calibration_error(overconfident) > 0.05


def test_the_share_of_the_gain_is_counted_from_one_witness_to_the_optimum():
    single, bayes = np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 1, 0])
    assert share_of_gain(single, single, bayes) == 0
    assert share_of_gain(bayes, single, bayes) == 1
    assert share_of_gain(np.array([1.0, 1, 0, 0]), single, bayes) == 0.5
    assert np.isnan(share_of_gain(single, single, single))


def played(path, rows):
    """Return the run of a world in which rows were right of the first so many of 300 questions."""
    questions = tuple(f"{number:03}" for number in range(300))
    right = {name: (np.arange(300) < count).astype(float) for name, count in rows.items()}
    made = {name: Row(values, values, np.ones(300)) for name, values in right.items()}
    return WorldRun(path, "four_mid", load_world("four_mid"), questions, made, None, {}, "")


def test_a_row_that_is_never_right_is_not_known_exactly_and_pairs_are_compared(tmp_path):
    run = played(tmp_path, {"bayes": 112, "single": 44, "text": 75, "trained": 111, "cipher": 0})
    table = world_table({1: run})
    never = table.cells["cipher"].interval
    assert (never.low, never.high) == (pytest.approx(0), pytest.approx(0.0126, abs=1e-4))
    again = world_table({1: run, 2: run}).cells["cipher"].interval
    assert (again.low, again.high) == (never.low, never.high)
    one, trained, bayes = table.pairs
    assert (one.first, one.second, trained.second, bayes.second) == ("cipher", "text", "text", "bayes")
    assert trained.difference == pytest.approx(0.12)
    assert trained.verdict == "trained is better"
    assert bayes.verdict == "not distinguishable"
    assert f"- {trained.sentence}\n" in markdown(Witnessed((table,), "x"))


def test_each_seed_s_difference_stands_beside_the_mean_with_the_interval_over_seeds(tmp_path):
    runs = {
        seed: played(tmp_path, {"bayes": 112, "single": 44, "text": 75, "trained": 75 + 3 * seed}) for seed in (1, 2, 3)
    }
    table = world_table(runs)
    (differences, _) = table.by_seed
    assert differences == pytest.approx((0.01, 0.02, 0.03))
    # 2 points, Student's t of two degrees of freedom times 1 / √3.
    said = "by seed +1.0, +2.0, +3.0 (95 % over seeds −0.5 to +4.5)"
    assert f"- {table.pairs[0].sentence}; {said}\n" in markdown(Witnessed((table,), "x"))


def test_a_folder_without_runs_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(RunError, match="debate witnesses --out"):
        tabulate(tmp_path)
    assert load_world("four_mid").symbols == 4


def test_seeds_with_different_rows_are_refused_with_the_rows(tmp_path):
    rows = {"bayes": 112, "single": 44, "text": 75}
    runs = {1: played(tmp_path / "one", rows), 2: played(tmp_path / "two", {**rows, "trained": 100})}
    with pytest.raises(RunError, match=r"different rows \(trained in one alone\)"):
        world_table(runs)


def test_where_the_other_witness_adds_nothing_the_share_of_the_gain_is_no_number_and_null_in_json(tmp_path):
    run = played(tmp_path, {"bayes": 44, "single": 44})
    alone = run.world.model_copy(update={"noise": run.world.noise[:1]})
    table = world_table({1: replace(run, world=alone)})
    assert table.optima.bayes == table.optima.single
    assert "| *best decision with all evidence (Bayes)* | 13.0 (exact) | | nan (exact) | | |" in markdown(
        Witnessed((table,), "x")
    )
    figures = json.loads(json.dumps(finite(asdict(table)), allow_nan=False))
    assert figures["cells"]["bayes"]["gain"] is None
    assert figures["cells"]["bayes"]["right"] == pytest.approx(44 / 300)
