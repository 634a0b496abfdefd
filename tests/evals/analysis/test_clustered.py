"""Intervals of agents' answers, which depend on each other: of all agents over the same questions."""

import numpy as np
import pytest

from evals.analysis import stats
from evals.analysis.summary import Share

pytest.importorskip("statsmodels")


def simulated(rng, questions, agents, share, alike):
    """Return agents' outcomes of questions that are easy or hard alike: a beta of that mean and intraclass correlation."""
    strength = (1 - alike) / alike
    easy = rng.beta(share * strength, (1 - share) * strength, size=questions)
    return [(rng.random(agents) < chance).tolist() for chance in easy]


@pytest.mark.parametrize(
    ("questions", "agents", "share", "alike"), [(60, 3, 0.6, 0.7), (40, 6, 0.3, 0.5), (100, 2, 0.8, 0.9)]
)
def test_intervals_of_dependent_answers_cover_the_truth(questions, agents, share, alike):
    rng = np.random.default_rng(7)
    runs = [simulated(rng, questions, agents, share, alike) for _ in range(250)]
    covered = np.mean([stats.clustered(run).covers(share) for run in runs])
    as_independent = np.mean([stats.wilson(sum(map(sum, run)), questions * agents).covers(share) for run in runs])
    assert covered >= 0.93
    assert as_independent < 0.9


def test_independent_answers_are_worth_their_number():
    rng = np.random.default_rng(7)
    run = [(rng.random(4) < 0.5).tolist() for _ in range(2000)]
    found, single = stats.clustered(run), stats.wilson(sum(map(sum, run)), 8000)
    assert found.high - found.low == pytest.approx(single.high - single.low, rel=0.1)


def test_answers_that_are_all_alike_count_once_a_question():
    assert stats.clustered([[True] * 3] * 10) == stats.wilson(10, 10)
    assert stats.clustered([[True] * 3] * 5 + [[False] * 3] * 5).high > stats.wilson(15, 30).high
    assert stats.clustered([]) == stats.Interval(0.0, 1.0)
    # No spread between questions: not worth more than independent answers.
    assert stats.clustered([[True, False]] * 10) == stats.wilson(10, 20)


def test_one_agent_has_wilsons_interval():
    share = Share.of_clusters([[True]] * 7 + [[False]] * 3)
    plain = stats.wilson(7, 10)
    assert (share.count, share.total) == (7, 10)
    assert share.interval.low == pytest.approx(plain.low, abs=0.03)
    assert share.interval.high == pytest.approx(plain.high, abs=0.03)
