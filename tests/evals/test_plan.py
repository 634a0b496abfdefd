"""A plan is written down before its run, cannot be changed, and is held beside what was found."""

import asyncio
import json

import pytest
from support.rows import debate, method

from agents.errors import ConfigError, RunError
from debate.config.load import validate
from evals.analysis.planned import departures, findings, plan_blocks
from evals.analysis.report import run_blocks
from evals.analysis.run_record import RunRecord
from evals.evaluation import Selection, evaluate
from evals.outputs import analyse_run
from evals.plan import Plan, load_plan, planned_selection, read_plan

CONFIG = validate(
    {"backend": "mock", "model": "mock", "task": "arithmetic", "agents": {"ada": {}, "ben": {}}, "max_tokens": 48},
    source="x",
)


def plan(*claims, questions=3, **more):
    hypotheses = [{"claim": "c", "first": a, "second": b, "expect": expect} for a, b, expect in claims]
    return Plan.model_validate({"hypotheses": hypotheses, "questions": questions, **more})


def record(**right):
    """Return a run of 40 questions; each method is right on so many, the first ones."""
    methods = [
        method(name, [debate(f"q{n:02d}", "A", "A" if n < count else "B", []) for n in range(40)])
        for name, count in right.items()
    ]
    return RunRecord(None, CONFIG, {}, {}, {}, tuple(methods))


def test_what_is_found_of_each_kind_of_claim():
    run = record(cipher=35, text=35, single=5)
    claims = plan(
        ("cipher", "single", "greater"), ("cipher", "single", "less"), ("cipher", "text", "different"),
        ("cipher", "text", "equal"), ("cipher", "single", "equal"), ("cipher", "none", "greater"),
        margin=0.1, questions=40,
    )  # fmt: skip
    assert [one.verdict for one in findings(claims, run)] == [
        "supported", "contradicted", "not supported", "supported", "contradicted", "not tested: a row was not played",
    ]  # fmt: skip
    # Forty pairs that do not differ are no proof of a narrower equality.
    assert findings(plan(("cipher", "text", "equal"), margin=0.03), run)[0].verdict == "not supported"


def test_a_small_difference_that_shows_is_no_contradiction_of_equality():
    run = record(cipher=40, text=37)
    (found,) = findings(plan(("cipher", "text", "equal"), margin=0.1, questions=40), run)
    assert found.verdict == "not supported"


def test_a_run_that_is_not_finished_has_no_verdicts():
    run = record(cipher=35, single=5)
    claims = plan(("cipher", "single", "greater"), ("cipher", "single", "equal"), questions=200)
    assert [one.verdict for one in findings(claims, run)] == ["not finished: 40 of 200 questions"] * 2


def test_rows_that_were_left_out_count_in_the_correction():
    run = record(cipher=35, single=5)
    (alone,) = findings(plan(("cipher", "single", "greater"), questions=40), run)
    among, _ = findings(plan(("cipher", "single", "greater"), ("cipher", "none", "greater"), questions=40), run)
    assert among.comparison.adjusted == pytest.approx(2 * alone.comparison.adjusted)


def test_departures_are_said():
    run = record(cipher=35, text=30, single=5)
    claims = plan(("cipher", "text", "greater"), questions=50)
    comparisons = analyse_like(run)
    assert departures(claims, run, comparisons) == [
        "cipher: 40 of the 50 planned questions were played.",
        "text: 40 of the 50 planned questions were played.",
        "Not planned, and played: single.",
        "Not planned, and so exploratory: cipher − single, text − single.",
    ]
    assert plan_blocks(None, run, comparisons) == []


def analyse_like(run):
    from evals.analysis.summary import compare_methods

    by_name = {one.name: one for one in run.methods}
    pairs = [("cipher", "text"), ("cipher", "single"), ("text", "single")]
    return compare_methods([(by_name[a], by_name[b]) for a, b in pairs])


def test_a_run_by_a_plan(tmp_path):
    made, out = plan(("cipher", "text", "different"), title="Vectors or words"), tmp_path / "run"
    rows, limit = planned_selection(made, (), None)
    assert (rows, limit) == (("cipher", "text"), 3)

    def play(what, where=out):
        asyncio.run(evaluate(CONFIG, out=where, methods=rows, selection=Selection(limit=3), plan=what))

    play(made)
    found, kept = read_plan(out)
    assert (found, kept["sha256"]) == (made, made.sha256)
    first = json.loads((out / "journal.log").read_bytes().splitlines()[1].split(b" ", 1)[1])
    assert first["config"]["asked"]["plan"] == made.sha256
    blocks = run_blocks(analyse_run(out))
    texts = [block.get("text", "") for block in blocks]
    assert "What was planned" in texts
    assert any(made.sha256[:12] in text and "“Vectors or words”" in text for text in texts)
    play(made)
    with pytest.raises(RunError):
        play(plan(("cipher", "text", "equal")))
    with pytest.raises(RunError):
        play(None)
    play(None, tmp_path / "without")
    with pytest.raises(RunError):
        play(made, tmp_path / "without")
    changed = json.loads((out / "plan.json").read_text())
    changed["plan"]["margin"] = 0.5
    (out / "plan.json").write_text(json.dumps(changed))
    with pytest.raises(RunError, match="changed since it was written"):
        read_plan(out)


def test_a_plan_and_a_command_that_differ_are_refused(tmp_path):
    made = plan(("cipher", "text", "greater"), questions=100)
    with pytest.raises(ConfigError, match="--limit 50: the plan asks 100 questions"):
        planned_selection(made, (), 50)
    with pytest.raises(ConfigError, match="the plan plays text too"):
        planned_selection(made, ("cipher",), None)
    assert planned_selection(made, ("single", "cipher", "text"), 100) == (("single", "cipher", "text"), 100)
    with pytest.raises(ConfigError, match="no plan"):
        load_plan(tmp_path / "none.yaml")
    file = tmp_path / "plan.yaml"
    file.write_text("questions: 3\nhypotheses: [{claim: c, first: a, second: b, expect: best}]\n")
    with pytest.raises(ConfigError, match="plan.yaml: hypotheses.0.expect: Input should be 'greater', 'less'"):
        load_plan(file)
    file.write_text("questions: 3\nmethods: [a]\nhypotheses: [{claim: c, first: a, second: b, expect: less}]\n")
    with pytest.raises(ConfigError, match="is about 'b', which is none of the plan's methods"):
        load_plan(file)


def test_the_hash_is_of_what_the_plan_says_and_not_of_its_layout(tmp_path):
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("questions: 3\nhypotheses: [{claim: c, first: a, second: b, expect: less}]\n")
    other.write_text("hypotheses:\n- expect: less\n  second: b\n  first: a\n  claim: c\nquestions: 3\nalpha: 0.05\n")
    assert load_plan(one).sha256 == load_plan(other).sha256
    assert load_plan(one).sha256 != plan(("a", "b", "less"), questions=4).sha256
