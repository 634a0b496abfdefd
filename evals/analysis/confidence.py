"""One confidence for a whole debate: the mean belief in what was decided; how well it ranks and how well it is calibrated.

A deciding agent's belief in the decision is what its last message holds of that option, where it holds a belief over the options;
elsewhere its message's confidence if its answer is the decision, and 0 if it is another. Pure; nothing is played.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from evals.analysis import stats
from evals.analysis.blocks import Block, heading, note, table
from evals.analysis.run_record import DebateRow, MethodRecord, TurnRow
from evals.analysis.stats import Interval

RESAMPLES = 2_000
HOW = (
    "Confidence of a debate: mean over its deciding agents of the belief in what was decided. AUARC: area under the accuracy of "
    "the most confident share of the questions, over all shares; at best 1, and the accuracy itself where confidence says "
    "nothing. ECE: expected calibration error in ten bins. 95 % interval of AUARC − accuracy by bootstrap over questions. Only "
    "questions on which every deciding agent holds or states a confidence count."
)


@dataclass(frozen=True)
class DebateConfidence:
    """How the confidence of a method's debates fared.

    Attributes:
        method: its row.
        questions: those with a confidence.
        accuracy: over these.
        auarc: area under the accuracy-rejection curve.
        gain: interval of auarc − accuracy.
        ece: expected calibration error.
    """

    method: str
    questions: int
    accuracy: float
    auarc: float
    gain: Interval
    ece: float


def debate_confidence(debate: DebateRow, voters: Collection[str]) -> float | None:
    """Return the mean belief of the deciding agents in the decision; None where one has no confidence, or nothing was decided."""
    last: dict[str, TurnRow] = {turn.agent: turn for turn in debate.turns if turn.agent in voters}
    if debate.answer is None or not last:
        return None
    held = [_belief(turn, debate.answer) for turn in last.values()]
    known = [value for value in held if value is not None]
    return float(np.mean(known)) if len(known) == len(held) else None


def _belief(turn: TurnRow, answer: str) -> float | None:
    if turn.belief is not None:
        return float(turn.belief.probabilities.get(answer, 0.0))
    if turn.confidence is None:
        return None
    return turn.confidence if turn.answer == answer else 0.0


def auarc(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """Return the area under the accuracy-rejection curve (Nadeem et al., 2009).

    That is the mean over k of the accuracy of the k most confident. Ties count as their mean over all orders.
    """
    held, right = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    order = np.argsort(-held, kind="stable")
    held, right = held[order], right[order]
    # Within a tie every question counts as the tie's share of right ones: the expectation over its orders.
    _, place, counts = np.unique(-held, return_inverse=True, return_counts=True)
    expected = (np.bincount(place, weights=right) / counts)[place]
    return float((expected.cumsum() / np.arange(1, len(expected) + 1)).mean())


def confidence_of(method: MethodRecord, *, seed: int = 0) -> DebateConfidence | None:
    """Return how a method's confidences fared; None without any."""
    voters = method.config.electorate.members
    found = [
        (confidence, debate.verdict == "correct")
        for debate in method.debates
        if (confidence := debate_confidence(debate, voters)) is not None
    ]
    if not found:
        return None
    held, right = np.array([c for c, _ in found]), np.array([r for _, r in found])
    drawn = np.random.default_rng(seed).integers(0, len(found), (RESAMPLES, len(found)))
    gains = [auarc(held[rows], right[rows]) - float(right[rows].mean()) for rows in drawn]
    low, high = np.percentile(gains, [2.5, 97.5])
    calibration = stats.calibration(held.clip(0, 1).tolist(), right.tolist())
    assert calibration is not None, "there is at least one"
    return DebateConfidence(
        method.name,
        len(found),
        float(right.mean()),
        auarc(held.tolist(), right.tolist()),
        Interval(float(low), float(high)),
        calibration.error,
    )


def confidence_blocks(methods: Sequence[MethodRecord], *, seed: int = 0) -> list[Block]:
    """Return the section of a report; empty where no debate has a confidence."""
    found = [one for method in methods if (one := confidence_of(method, seed=seed)) is not None]
    if not found:
        return []
    header = ["method", "questions", "accuracy", "AUARC", "AUARC − accuracy, 95 %", "ECE"]
    rows = [
        [
            one.method,
            one.questions,
            f"{one.accuracy:.3f}",
            f"{one.auarc:.3f}",
            f"{one.gain.low:+.3f} to {one.gain.high:+.3f}".replace("-", "−"),
            f"{one.ece:.3f}",
        ]
        for one in found
    ]
    caption = "One confidence for each debate"
    return [heading("How sure the whole debate is"), table(caption, header, rows, methods=True), note(HOW)]
