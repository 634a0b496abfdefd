"""Statistics: a fake gain does not appear, a real one is found, and the numbers are those of scipy and statsmodels."""

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.errors import MissingDependency
from evals.analysis import stats

pytest.importorskip("statsmodels")

SIMULATIONS = 1000
# Of 1,000 draws at 95 %: four standard deviations of the count.
TOLERANCE = 4 * math.sqrt(0.95 * 0.05 / SIMULATIONS)


@pytest.fixture
def fewer_resamples(monkeypatch):
    """A tenth of the resamples: thousands of simulated evaluations in seconds, each end a little noisier."""
    monkeypatch.setattr(stats, "RESAMPLES", 1000)


def outcomes(values):
    return {str(number): [float(value)] for number, value in enumerate(values)}


def test_wilson_is_statsmodels_and_the_formula():
    from statsmodels.stats.proportion import proportion_confint

    for successes, total in ((0, 10), (3, 10), (200, 200), (85, 200)):
        low, high = proportion_confint(successes, total, method="wilson")
        found = stats.wilson(successes, total)
        assert (found.low, found.high) == pytest.approx((max(low, 0), min(high, 1)), abs=1e-12)
    assert stats.wilson(0, 0) == stats.Interval(0.0, 1.0)
    with pytest.raises(stats.StatisticsError, match="between 0 and the total of 3; got 4"):
        stats.wilson(4, 3)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test_and_statsmodels(first, second):
    from scipy.stats import binomtest
    from statsmodels.stats.contingency_tables import mcnemar

    found = stats.mcnemar(first, second)
    if first + second == 0:
        assert found == 1.0
        return
    assert found == pytest.approx(binomtest(first, first + second).pvalue, abs=1e-12)
    assert found == pytest.approx(mcnemar([[7, first], [second, 3]], exact=True).pvalue, abs=1e-12)


def test_the_bootstrap_is_scipys_and_close_to_the_normal_interval():
    from scipy.stats import bootstrap

    values = np.random.default_rng(5).choice([-1.0, 0.0, 1.0], size=300, p=[0.1, 0.7, 0.2])
    found = stats.bootstrap(values, seed=3)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=stats.RESAMPLES, method="percentile", rng=np.random.default_rng(3), batch=6666
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    spread = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - spread, abs=0.006)
    assert found.high == pytest.approx(values.mean() + spread, abs=0.006)
    assert stats.bootstrap(values, seed=3) == found


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 300))
def test_the_score_interval_excludes_zero_just_where_mcnemars_score_test_does(first, second, rest):
    """At a difference of zero Tango's statistic is McNemar's without correction: the two are one test."""
    from statsmodels.stats.contingency_tables import mcnemar

    total = first + second + rest
    found = stats.score_interval(first, second, total)
    assert -1 <= found.low <= (first - second) / total <= found.high <= 1
    turned = stats.score_interval(second, first, total)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-6)
    if first + second:
        p_value = mcnemar([[0, first], [second, 0]], exact=False, correction=False).pvalue
        if abs(p_value - 0.05) > 1e-6:
            assert found.covers(0.0) == (p_value > 0.05)


def test_the_score_interval_keeps_its_width_where_all_pairs_agree():
    """With no pair that differs the limit is z² / (n + z²), by hand from Tango's equation."""
    for total in (1, 10, 200):
        z = 1.959963984540054**2
        found = stats.score_interval(0, 0, total)
        assert (found.low, found.high) == pytest.approx((-z / (total + z), z / (total + z)), abs=1e-6)
    assert stats.score_interval(7, 0, 7).high == 1.0
    assert stats.score_interval(0, 0, 0) == stats.Interval(-1.0, 1.0)


def test_two_identical_methods_do_not_differ_at_the_stated_rate(fewer_resamples):
    """1,000 evaluations of 200 questions by two methods that are equally good: 95 % of the intervals cover zero."""
    draw = np.random.default_rng(0)
    score = resampled = found = 0
    for _ in range(SIMULATIONS):
        hard = draw.random(200) * 0.8 + 0.1
        one, other = draw.random(200) < hard, draw.random(200) < hard
        comparison = stats.compare("a", outcomes(one), "b", outcomes(other))
        score += comparison.interval.covers(0.0)
        resampled += comparison.resampled.covers(0.0)
        found += comparison.is_distinguishable
    assert score / SIMULATIONS == pytest.approx(0.95, abs=TOLERANCE)
    assert resampled / SIMULATIONS == pytest.approx(0.95, abs=TOLERANCE)
    # The exact test errs on the safe side.
    assert found / SIMULATIONS <= 0.05 + TOLERANCE


def test_a_true_difference_is_covered_and_found_with_the_stated_power(fewer_resamples):
    draw = np.random.default_rng(1)
    questions, discordant = 200, 0.2
    difference = stats.detectable_difference(questions, discordant)
    assert difference is not None
    assert stats.power(questions, discordant, difference) == pytest.approx(0.8, abs=0.01)
    chances = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    covered = found = 0
    for _ in range(SIMULATIONS):
        kind = draw.choice(3, size=questions, p=chances)
        comparison = stats.compare("a", outcomes(kind != 1), "b", outcomes(kind != 0))
        covered += comparison.interval.covers(difference)
        found += comparison.is_distinguishable
    assert covered / SIMULATIONS == pytest.approx(0.95, abs=TOLERANCE)
    assert found / SIMULATIONS == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / SIMULATIONS) + 0.01)


def test_samples_of_one_question_count_as_one_cluster(fewer_resamples):
    """Five samples that always agree carry no more than one: an unclustered interval would be √5 too narrow."""
    draw = np.random.default_rng(2)
    covered = naive = 0
    for _ in range(SIMULATIONS // 2):
        one, other = draw.random(100) < 0.6, draw.random(100) < 0.6
        first = {str(n): [float(value)] * 5 for n, value in enumerate(one)}
        second = {str(n): [float(value)] * 5 for n, value in enumerate(other)}
        comparison = stats.compare("a", first, "b", second)
        covered += comparison.interval.covers(0.0)
        flat = np.repeat(one.astype(float) - other, 5)
        naive += abs(flat.mean()) <= 1.96 * flat.std(ddof=1) / math.sqrt(len(flat))
    assert covered / (SIMULATIONS // 2) == pytest.approx(0.95, abs=2 * TOLERANCE)
    assert naive / (SIMULATIONS // 2) < 0.75
    assert comparison.samples == 500
    assert "100 paired questions with 5 samples each" in comparison.sentence


def test_power_is_that_of_simulated_tests():
    draw = np.random.default_rng(3)
    found = 0
    for _ in range(2000):
        first, second, _ = draw.multinomial(60, [0.25, 0.08, 0.67])
        found += stats.mcnemar(first, second) < 0.05
    assert stats.power(60, 0.33, 0.17) == pytest.approx(found / 2000, abs=4 * math.sqrt(0.25 / 2000))
    assert stats.power(60, 0.33, -0.17) == pytest.approx(stats.power(60, 0.33, 0.17), abs=1e-12)
    assert stats.power(60, 0.0, 0.0) == 0.0
    with pytest.raises(stats.StatisticsError, match="needs a share of differing pairs"):
        stats.power(60, 0.1, 0.2)


def test_few_questions_find_nothing_and_say_so():
    assert stats.detectable_difference(5, 0.2) is None
    assert stats.detectable_difference(0, 0.2) is None
    sentence = stats.compare("a", outcomes([1, 1, 0]), "b", outcomes([1, 0, 0])).sentence
    assert sentence.endswith("3 paired questions: not distinguishable (3 questions cannot show any difference)")
    alike = stats.compare("a", outcomes([1]), "b", outcomes([1])).sentence
    assert alike.endswith(
        "1 paired question: not distinguishable, no pair differs (1 question cannot show any difference)"
    )
    even = stats.compare("a", outcomes([1, 0]), "b", outcomes([0, 1])).sentence
    assert even.endswith("2 paired questions: not distinguishable (2 questions cannot show any difference)")
    more = [stats.detectable_difference(n, 0.2) for n in (20, 50, 100, 400, 1600)]
    assert all(a > b for a, b in pairwise(more))


def test_the_sentence_is_plain_words():
    one = outcomes([1] * 110 + [0] * 90)
    other = outcomes([1] * 105 + [0] * 93 + [1] * 2)
    comparison = stats.compare("CIPHER", one, "text", other)
    assert comparison.sentence.startswith(
        "CIPHER − text = +1.5 points, 95 % interval −1.4 to +4.9, 200 paired questions"
    )
    assert "not distinguishable (p = 0.45; detectable:" in comparison.sentence
    better = stats.compare("a", outcomes([1] * 40 + [0] * 10), "b", outcomes([0] * 30 + [1] * 10 + [0] * 10))
    assert better.sentence.endswith("50 paired questions: a is better (p = 1.9e-09)")
    assert stats.compare("b", outcomes([0] * 50), "a", outcomes([1] * 50)).verdict == "b is worse"


def test_only_questions_that_both_answered_are_compared():
    comparison = stats.compare("a", {"x": [1], "y": [0]}, "b", {"y": [1], "z": [1]})
    assert (comparison.questions, comparison.difference) == (1, -1.0)
    with pytest.raises(stats.StatisticsError, match="no question in common"):
        stats.compare("a", {"x": [1]}, "b", {"z": [1]})
    with pytest.raises(stats.StatisticsError, match="question 'x' has 2 samples of a and 1 of b"):
        stats.compare("a", {"x": [1, 0]}, "b", {"x": [1]})
    with pytest.raises(stats.StatisticsError, match="question 'x' has no samples"):
        stats.compare("a", {"x": []}, "b", {"x": []})


def test_many_comparisons_are_corrected_together():
    from statsmodels.stats.multitest import multipletests

    p_values = [0.01, 0.04, 0.03, 0.5]
    assert stats.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=1e-12)
    assert stats.holm([]) == []
    draw = np.random.default_rng(4)
    found = stats.compare_all({name: outcomes(draw.random(80) < 0.5) for name in "abcd"})
    assert [(c.first, c.second) for c in found] == [*(("a", x) for x in "bcd"), *(("b", x) for x in "cd"), ("c", "d")]
    assert [c.adjusted for c in found] == pytest.approx(stats.holm([c.p_value for c in found]), abs=1e-12)
    uncorrected = corrected = 0
    for _ in range(SIMULATIONS):
        right = draw.random((4, 200)) < 0.5
        pairs = [(right[a], right[b]) for a in range(4) for b in range(a)]
        p_values = [stats.mcnemar(int((a & ~b).sum()), int((b & ~a).sum())) for a, b in pairs]
        uncorrected += min(p_values) < 0.05
        corrected += min(stats.holm(p_values)) < 0.05
    # Family-wise: of four equally good methods somebody "wins" in at most 5 % of evaluations, not in a fifth of them.
    assert corrected / SIMULATIONS <= 0.05 + TOLERANCE
    assert uncorrected / SIMULATIONS > 0.12


@pytest.mark.parametrize("differences", [[0.5] * 9 + [-0.5] * 3, [1.0, 0.5, 0.5, -0.25, 2.0, -0.5]])
def test_sign_flips_are_those_of_all_signs(differences):
    sums = [np.dot(signs, differences) for signs in product((1, -1), repeat=len(differences))]
    as_far = np.mean([abs(one) >= abs(sum(differences)) - 1e-12 for one in sums])
    assert stats.sign_flip([*differences, 0.0]) == pytest.approx(as_far, abs=1e-12)


def test_where_nothing_differs_no_sign_is_flipped():
    assert stats.sign_flip([0.0, 0.0]) == 1.0


def test_one_question_that_differs_shows_nothing():
    # Both signs of one difference are as far from zero: p = 1.
    assert stats.sign_flip([0.0, 0.5, 0.0]) == 1.0
    found = stats.compare("a", {"q": [1, 1], "r": [0, 0]}, "b", {"q": [0, 1], "r": [0, 0]})
    assert (found.difference, found.p_value, found.is_distinguishable) == (0.25, 1.0, False)


def test_calibration_by_hand():
    found = stats.calibration([0.95, 0.85, 0.15, 0.15], [True, False, False, True])
    # Bins 0.9–1: |1 − 0.95|·1/4; 0.8–0.9: |0 − 0.85|·1/4; 0.1–0.2: |0.5 − 0.15|·2/4.
    assert found.error == pytest.approx(0.05 / 4 + 0.85 / 4 + 0.35 / 2)
    assert [b.count for b in found.bins] == [2, 1, 1]
    assert stats.calibration([], []) is None
    assert stats.calibration([1.0], [True]).error == 0.0
    with pytest.raises(stats.StatisticsError, match="between 0 and 1"):
        stats.calibration([1.5], [True])


def test_a_perfectly_calibrated_belief_has_a_small_error():
    draw = np.random.default_rng(6)
    held = draw.random(20_000)
    assert stats.calibration(held, draw.random(20_000) < held).error < 0.02


def test_share_clusters_by_question():
    assert stats.share(outcomes([1] * 8 + [0] * 2)) == stats.wilson(8, 10)
    wide = stats.share({str(n): [1.0] * 5 if n < 60 else [0.0] * 5 for n in range(100)})
    assert wide.high - wide.low == pytest.approx(0.19, abs=0.02)
    assert stats.share({"a": [1, 1], "b": [1, 1]}) == stats.wilson(2, 2)


def test_power_counts_outcomes_that_just_reach_the_level():
    """Of two pairs that differ, none lost or none won has probability 1/4 each way: at the level 1/2 the test just rejects."""
    assert stats.power(2, 1.0, 0.0, alpha=0.5) == pytest.approx(0.5)
    assert stats.power(2, 1.0, 0.0, alpha=0.49) == 0.0


def test_confidences_from_0_to_1_are_calibrated_and_no_others():
    found = stats.calibration([0.0, 0.0, 1.0, 1.0], [False, False, True, True])
    assert (found.error, [one.count for one in found.bins]) == (0.0, [2, 2])
    assert stats.calibration([], []) is None
    for wrong in ([-0.1], [1.1], [0.5, 0.5]):
        with pytest.raises(stats.StatisticsError, match="between 0 and 1 for each outcome"):
            stats.calibration(wrong, [True])


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("scipy", MissingDependency),
        ("patsy.api", MissingDependency),
        ("other", ModuleNotFoundError),
        (None, ModuleNotFoundError),
    ],
)
def test_a_package_of_the_statistics_that_is_not_there_is_named_and_no_other(monkeypatch, missing, said):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises((MissingDependency, ModuleNotFoundError)) as caught:
        stats.wilson(1, 2)
    assert type(caught.value) is said


def test_a_difference_counts_where_interval_and_corrected_test_both_say_so():
    found = stats.compare("a", outcomes([1] * 40 + [0] * 10), "b", outcomes([0] * 30 + [1] * 10 + [0] * 10))
    assert found.verdict == "a is better"
    for change in ({"adjusted": 0.06}, {"interval": stats.Interval(0.0, 0.5)}, {"interval": stats.Interval(-0.5, 0.0)}):
        assert replace(found, **change).verdict == "not distinguishable"


def test_of_several_samples_a_question_the_test_is_one_of_signs():
    several = stats.compare(
        "a", {str(n): [1, n % 2] for n in range(4)}, "b", {str(n): [0, 0] if n else [1, 1] for n in range(4)}
    )
    # Differences of −1/2, 1, 1/2, 1: of 16 ways to sign them 6 come as far as their sum, 2.
    assert (several.only_first, several.only_second, several.p_value) == (3, 1, 0.375)
    assert stats.mcnemar(3, 1) == 0.625


def test_of_nothing_there_is_no_bootstrap():
    with pytest.raises(stats.StatisticsError, match="an interval needs at least one value"):
        stats.bootstrap([])


def test_a_difference_whose_power_is_just_what_is_wanted_is_found():
    assert stats.detectable_difference(50, 0.2, wanted=stats.power(50, 0.5, 0.5)) <= 0.5


@pytest.mark.parametrize(("value", "covered"), [(0.19, False), (0.2, True), (0.3, True), (0.4, True), (0.41, False)])
def test_an_interval_covers_its_ends(value, covered):
    assert stats.Interval(0.2, 0.4).covers(value) == covered
