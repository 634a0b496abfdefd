"""What a plan came to: each hypothesis beside its result, and what was done that no plan has. Pure; nothing is played."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.analysis import stats
from evals.analysis.blocks import Block, heading, items, note, table, text
from evals.analysis.run_record import RunRecord
from evals.analysis.stats import Comparison, Interval
from evals.analysis.summary import dependent
from evals.plan import Hypothesis, Plan


@dataclass(frozen=True)
class Finding:
    """A hypothesis and what was found.

    Attributes:
        hypothesis: the claim.
        comparison: the rows' comparison, corrected over the plan; None where a row was not played.
        interval: that decides: at level 1 − alpha, for `equal` at 1 − 2 alpha.
        verdict: supported, not supported, contradicted, not tested, or not finished.
    """

    hypothesis: Hypothesis
    comparison: Comparison | None
    interval: Interval | None
    verdict: str


def findings(plan: Plan, record: RunRecord) -> list[Finding]:
    """Return the findings of a plan, in its order.

    p values are corrected over all of the plan's hypotheses: one that was not tested counts as a test that found nothing.
    """
    outcomes = {method.name: method.outcomes() for method in record.methods if method.debates}
    tested = [
        hypothesis
        for hypothesis in plan.hypotheses
        if set(outcomes.get(hypothesis.first, ())) & set(outcomes.get(hypothesis.second, ()))
    ]
    pairs = [(hypothesis.first, hypothesis.second) for hypothesis in tested]
    compared = stats.compare_all(
        outcomes, pairs, confidence=1 - plan.alpha, seed=record.config.seed, dependent=dependent(record.methods)
    )
    left_out = len(plan.hypotheses) - len(tested)
    adjusted = stats.holm([*(one.p_value for one in compared), *[1.0] * left_out])[: len(compared)]
    found = {
        id(hypothesis): replace(comparison, adjusted=p)
        for hypothesis, comparison, p in zip(tested, compared, adjusted, strict=True)
    }
    return [_finding(hypothesis, found.get(id(hypothesis)), plan) for hypothesis in plan.hypotheses]


def _finding(hypothesis: Hypothesis, comparison: Comparison | None, plan: Plan) -> Finding:
    if comparison is None:
        return Finding(hypothesis, None, None, "not tested: a row was not played")
    if comparison.is_dependent:
        return Finding(hypothesis, comparison, None, f"not tested: {stats.DEPENDENT}")
    unfinished = f"not finished: {comparison.questions} of {plan.questions} questions"
    if hypothesis.expect == "equal":
        counts = comparison.only_first, comparison.only_second, comparison.questions
        interval = stats.score_interval(*counts, confidence=1 - 2 * plan.alpha)
        within = -plan.margin < interval.low and interval.high < plan.margin
        beyond = interval.low >= plan.margin or interval.high <= -plan.margin
        verdict = "supported" if within else "contradicted" if beyond else "not supported"
        return Finding(
            hypothesis, comparison, interval, verdict if comparison.questions >= plan.questions else unfinished
        )
    found = comparison.is_distinguishable
    as_expected = {"greater": comparison.difference > 0, "less": comparison.difference < 0, "different": True}
    verdict = "not supported" if not found else "supported" if as_expected[hypothesis.expect] else "contradicted"
    if comparison.questions < plan.questions:
        verdict = unfinished
    return Finding(hypothesis, comparison, comparison.interval, verdict)


def departures(plan: Plan, record: RunRecord, comparisons: Sequence[Comparison]) -> list[str]:
    """Return in sentences what was done that the plan does not have, or was planned and not done."""
    said = []
    played = {method.name: len(method.debates) for method in record.methods}
    for name in plan.rows:
        if played.get(name, 0) != plan.questions:
            said.append(f"{name}: {played.get(name, 0)} of the {plan.questions} planned questions were played.")
    if more := [name for name in played if name not in plan.rows]:
        said.append(f"Not planned, and played: {', '.join(more)}.")
    planned = {frozenset((hypothesis.first, hypothesis.second)) for hypothesis in plan.hypotheses}
    other = [one for one in comparisons if frozenset((one.first, one.second)) not in planned]
    if other:
        names = ", ".join(f"{one.first} − {one.second}" for one in other)
        said.append(f"Not planned, and so exploratory: {names}.")
    return said


def plan_blocks(
    found: tuple[Plan, Mapping[str, Any]] | None, record: RunRecord, comparisons: Sequence[Comparison]
) -> list[Block]:
    """Return the section of a report; of a run without a plan nothing."""
    if found is None:
        return []
    plan, kept = found
    header = ["claim", "expected", "difference, points", "interval", "p", "found"]
    rows = []
    for one in findings(plan, record):
        hypothesis, comparison = one.hypothesis, one.comparison
        expected = f"{hypothesis.first} − {hypothesis.second}: {hypothesis.expect}"
        if hypothesis.expect == "equal":
            expected += f" (within {100 * plan.margin:g} points)"
        if comparison is None or one.interval is None:
            rows.append([hypothesis.claim, expected, "–", "–", "–", one.verdict])
            continue
        ends = f"{100 * one.interval.low:+.1f} to {100 * one.interval.high:+.1f}".replace("-", "−")
        p = "–" if hypothesis.expect == "equal" else f"{comparison.adjusted:.2g}"
        difference = f"{100 * comparison.difference:+.1f}".replace("-", "−")
        rows.append([hypothesis.claim, expected, difference, ends, p, one.verdict])
    said = departures(plan, record, comparisons)
    what = f"“{plan.title}”" if plan.title else "A plan"
    return [
        heading("What was planned"),
        text(
            f"{what} of {kept.get('written', 'an unknown time')}, SHA-256 {plan.sha256[:12]}, made before the first turn."
        ),
        table("Hypotheses, as they were written down, and what was found", header, rows),
        items(said or ["Nothing was played or compared that was not planned."]),
        note(
            f"Exact McNemar tests at {100 * plan.alpha:g} %, p values corrected by Holm over the plan; Tango's score intervals "
            f"at {100 * (1 - plan.alpha):g} %, for equality at {100 * (1 - 2 * plan.alpha):g} %, which have to lie within "
            "the margin."
        ),
    ]
