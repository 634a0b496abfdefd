"""The martingale test, the entropy of answers, and one confidence for a debate, on runs whose figures are known."""

import numpy as np
import pytest
from support.rows import debate, method, turn

from evals.analysis.confidence import auarc, confidence_blocks, confidence_of, debate_confidence
from evals.analysis.diversity import answer_entropy, diversity, diversity_blocks
from evals.analysis.martingale import change_blocks, changes


def moved(before, after, count):
    """Return a method in which ada is right with these shares of its questions in rounds 1 and 2; ben always says B."""
    debates = []
    for n in range(count):
        answers = ["A" if n < round(share * count) else "B" for share in (before, after)]
        turns = [turn(f"q{n}", number, "ada", said, "A") for number, said in enumerate(answers, start=1)]
        turns += [turn(f"q{n}", number, "ben", "B", "A") for number in (1, 2)]
        debates.append(debate(f"q{n}", "A", answers[-1], turns))
    return method("m", debates)


def test_a_drift_is_found_and_none_where_there_is_none():
    ada, ben = changes([moved(0.2, 0.8, 40)])
    assert (ada.agent, ada.first, ada.last, ada.by, ada.questions) == ("ada", 1, 2, "answer", 40)
    assert (ada.before, ada.after) == pytest.approx((0.2, 0.8))
    assert ada.interval.low > 0.4
    assert ada.adjusted < 1e-3
    assert (ben.change, ben.adjusted) == (0.0, 1.0)
    # Forty answers that did not change do not say that none ever would.
    assert ben.interval.low < -0.05 < 0.05 < ben.interval.high
    assert change_blocks([moved(0.2, 0.2, 4)])[1]["rows"][0][7] == "+0.0"
    assert change_blocks([method("single", [debate("q", "A", "A", [turn("q", 1, "ada", "A", "A")])])]) == []


def test_beliefs_count_where_every_turn_holds_one():
    def held(number, p):
        return turn("q", number, "ada", "A", "A", belief={"A": p, "B": 1 - p})

    (one,) = changes([method("m", [debate("q", "A", "A", [held(1, 0.5), held(2, 0.75)])], agents=("ada",))])
    assert (one.by, one.change, one.interval) == ("belief", pytest.approx(0.25), None)
    mixed = [held(1, 0.5), turn("q", 2, "ada", "A", "A")]
    (one,) = changes([method("m", [debate("q", "A", "A", mixed)], agents=("ada",))])
    assert (one.by, one.change) == ("answer", 0.0)


def test_three_rounds_have_a_row_over_all_of_them():
    turns = [turn("q", number, "ada", said, "A") for number, said in enumerate("BAA", start=1)]
    found = changes([method("m", [debate("q", "A", "A", turns)], agents=("ada",))])
    assert [(one.first, one.last, one.change) for one in found] == [(1, 2, 1.0), (2, 3, 0.0), (1, 3, 1.0)]


def test_debates_that_ended_early_count_in_the_row_over_all_rounds():
    # Those whose answer turned right stop at round 2: the others alone come to round 3.
    def played(n, said):
        turns = [turn(f"q{n}", number, "ada", answer, "A") for number, answer in enumerate(said, start=1)]
        return debate(f"q{n}", "A", said[-1], turns)

    found = changes(
        [method("m", [played(0, "BA"), played(1, "BA"), played(2, "ABB"), played(3, "ABB")], agents=("ada",))]
    )
    whole = found[-1]
    assert (whole.first, whole.last, whole.questions, whole.before, whole.after) == (1, 3, 4, 0.5, 0.5)


@pytest.mark.parametrize(
    ("answers", "bits"),
    [(["7"], 0.0), (["7", "7"], 0.0), (["7", "8"], 1.0), (["7", "7", "8", None], 1.5), ([None, None], 0.0)],
)
def test_entropy_of_answers(answers, bits):
    assert answer_entropy(answers) == pytest.approx(bits)


def test_answers_that_collapse():
    said = [(1, "ada", "A"), (1, "ben", "B"), (2, "ada", "A"), (2, "ben", "A")]
    debates = [
        debate(f"q{n}", "A", "A", [turn(f"q{n}", number, agent, answer, "A") for number, agent, answer in said])
        for n in range(3)
    ]
    first, last = diversity(method("m", debates))
    assert (first.round, first.bits, last.round, last.bits) == (1, 1.0, 2, 0.0)
    rows = diversity_blocks([method("m", debates)])[1]["rows"]
    assert [row[-1] for row in rows] == ["–", "0 %"]
    assert diversity_blocks([method("m", debates, agents=("ada",))]) == []


def test_confidence_of_a_debate_is_the_mean_belief_in_the_decision():
    sure = turn("q", 1, "ada", "A", "A", confidence=0.8)
    against = turn("q", 1, "ben", "B", "A", confidence=0.9)
    held = turn("q", 2, "ben", "B", "A", belief={"A": 0.4, "B": 0.6})
    assert debate_confidence(debate("q", "A", "A", [sure, against]), ("ada", "ben")) == pytest.approx(0.4)
    assert debate_confidence(debate("q", "A", "A", [sure, against, held]), ("ada", "ben")) == pytest.approx(0.6)
    assert debate_confidence(debate("q", "A", "A", [sure, turn("q", 1, "ben", "A", "A")]), ("ada", "ben")) is None
    assert debate_confidence(debate("q", "A", None, [sure]), ("ada",)) is None


def test_auarc_against_its_definition():
    drawn = np.random.default_rng(0)
    held, right = drawn.random(50), drawn.random(50) < 0.4
    ranked = right[np.argsort(-held)]
    exact = np.mean([ranked[: k + 1].mean() for k in range(50)])
    assert auarc(held.tolist(), right.tolist()) == pytest.approx(exact)
    # Where all are as sure the order is chance, and the area is the accuracy.
    assert auarc([0.5] * 10, [True] * 3 + [False] * 7) == pytest.approx(0.3)
    assert auarc([0.9, 0.1], [True, False]) == pytest.approx(0.75)
    assert auarc([0.1, 0.9], [True, False]) == pytest.approx(0.25)


def test_a_method_with_confidences_has_a_row():
    debates = [
        debate(f"q{n}", "A", said, [turn(f"q{n}", 1, "ada", said, "A", confidence=0.9 if said == "A" else 0.2)])
        for n, said in enumerate("AAAB")
    ]
    found = confidence_of(method("m", debates, agents=("ada",)))
    assert (found.questions, found.accuracy, found.auarc) == (4, 0.75, pytest.approx((3 + 0.75) / 4))
    assert found.ece == pytest.approx(0.75 * 0.1 + 0.25 * 0.2)
    assert confidence_blocks([method("m", debates, agents=("ada",))])[1]["rows"][0][:3] == ["m", "4", "0.750"]
    assert confidence_blocks([moved(0.5, 0.5, 4)]) == []
