"""One verdict: what ties is said, and a difference that was found is not called nothing in the next line."""

from dataclasses import replace

import pytest

from evals.analysis.charts import charts
from evals.analysis.stats import compare
from evals.analysis.summary import Analysis, Share
from evals.analysis.verdict import remark, ties


class Method:
    def __init__(self, name, right, total, *, is_bound=False):
        self.name, self.is_bound = name, is_bound
        self.accuracy = Share.of([True] * right + [False] * (total - right))


def analysis(methods, comparisons=()):
    return Analysis(record=None, methods=tuple(methods), comparisons=tuple(comparisons))


def outcomes(right, total):
    return {f"q{place}": [float(place < right)] for place in range(total)}


def test_methods_that_tie_are_named():
    methods = [
        Method("text", 17, 20),
        Method("single", 4, 20),
        Method("cipher", 17, 20),
        Method("expert", 20, 20, is_bound=True),
    ]
    assert ties(methods) == "text and cipher tie for the highest accuracy: 17 of 20."
    assert ties([*methods, Method("vote", 34, 40)]) == "text, cipher and vote tie for the highest accuracy: 85.0 %."
    assert ties(methods[:2]) == ""
    assert ties([Method("text", 0, 0), Method("cipher", 0, 0)]) == ""


@pytest.mark.parametrize(("right", "said"), [(0, ""), (19, "20 questions show that it runs, not who wins.")])
def test_few_questions_are_remarked_only_where_nothing_was_found(right, said):
    found = compare("cipher", outcomes(20, 20), "single", outcomes(right, 20))
    assert found.is_distinguishable == (said == "")
    assert remark(analysis([Method("cipher", 20, 20), Method("single", right, 20)], [found])) == said


def test_many_questions_need_no_remark():
    assert remark(analysis([Method("cipher", 50, 100)])) == ""
    assert remark(analysis([Method("cipher", 1, 1)])) == "1 question shows that it runs, not who wins."


def test_belief_drifts_by_total_variation():
    from evals.analysis.summary import _drift

    class Belief:
        def __init__(self, **probabilities):
            self.probabilities = probabilities

    class Turn:
        def __init__(self, round, agent, belief):
            self.round, self.agent, self.belief = round, agent, belief

    class Debate:
        turns = (
            Turn(1, "a", Belief(A=1.0)),
            Turn(1, "b", Belief(A=0.5, B=0.5)),
            Turn(2, "a", Belief(B=1.0)),
            Turn(2, "b", Belief(A=0.5, B=0.5)),
            Turn(3, "a", None),
            Turn(3, "b", Belief(A=0.75, B=0.25)),
        )

    assert _drift([Debate()]) == ((2, 0.5, 2), (3, 0.25, 1))


def test_every_chart_has_the_method_s_name_as_its_colour(tmp_path):
    from support.viewer_runs import config_of, play

    from evals.outputs import analyse_run

    found = analyse_run(play(tmp_path / "run", config_of(), ["text", "cipher"], limit=2))
    moved = replace(found.methods[1], drift=((2, 0.5, 4),))
    made = charts([found.methods[0], moved])
    assert "Drift of belief" in {chart["title"] for chart in made}
    assert {line["method"] for chart in made for line in chart["series"]} <= {"text", "cipher"}
