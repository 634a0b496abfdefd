"""Whether debating raises expected correctness: the change of E[p(correct)] from round to round, agent by agent.

If each agent's belief is a martingale over the rounds (arXiv:2508.17536), these changes have mean 0 and a debate is worth no more
than its first round. p(correct) of a turn is the belief that it holds in the right option, where all turns that are compared hold
beliefs over the options; elsewhere it is 1 or 0 as the turn's answer is right or not, whose mean is the same expectation.
Pure; nothing is played.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from evals.analysis import stats
from evals.analysis.blocks import Block, heading, note, table
from evals.analysis.run_record import DebateRow, MethodRecord, TurnRow
from evals.analysis.stats import Interval

HOW = (
    "Change of the mean p(correct) into a round, over questions; 95 % interval by bootstrap over questions, of answers Tango's "
    "score interval; p of a sign-flip test corrected by Holm over the table. A martingale has changes of mean 0. A debate that "
    "ended early counts to its last turn in the row over all rounds."
)


@dataclass(frozen=True)
class Change:
    """One agent's change of p(correct) into a round.

    Attributes:
        method, agent: whose.
        first, last: rounds compared; the last row of an agent is over the whole debate, to its last turn where it ended early.
        by: `belief` or `answer`.
        questions: number of questions.
        before, after: mean p(correct) in both rounds.
        interval: of the mean change; None where beliefs did not differ in their changes, which says nothing of its width.
        p_value, adjusted: that changes are symmetric about 0, alone and corrected for the table.
    """

    method: str
    agent: str
    first: int
    last: int
    by: str
    questions: int
    before: float
    after: float
    interval: Interval | None
    p_value: float
    adjusted: float = 1.0

    @property
    def change(self) -> float:
        """Mean of the changes."""
        return self.after - self.before


def changes(methods: Sequence[MethodRecord], *, seed: int = 0) -> list[Change]:
    """Return the changes of every agent whose answer counts, of methods with more than a round; p values corrected together."""
    found = [change for method in methods for change in _of_method(method, seed)]
    adjusted = stats.holm([change.p_value for change in found])
    return [Change(**{**vars(change), "adjusted": p}) for change, p in zip(found, adjusted, strict=True)]


def change_blocks(methods: Sequence[MethodRecord], *, seed: int = 0) -> list[Block]:
    """Return the section of a report; empty where no method has two rounds."""
    found = changes(methods, seed=seed)
    if not found:
        return []
    header = [
        "method",
        "agent",
        "rounds",
        "p(correct) by",
        "questions",
        "before",
        "after",
        "change, points",
        "95 %",
        "p",
    ]
    rows = [
        [
            one.method,
            one.agent,
            f"{one.first} → {one.last}",
            one.by,
            one.questions,
            f"{100 * one.before:.1f}",
            f"{100 * one.after:.1f}",
            _points(one.change),
            "–" if one.interval is None else f"{_points(one.interval.low)} to {_points(one.interval.high)}",
            f"{one.adjusted:.2g}",
        ]
        for one in found
    ]
    caption = "Expected correctness of each agent from round to round (the martingale test)"
    return [heading("Does debating raise expected correctness?"), table(caption, header, rows, methods=True), note(HOW)]


def _of_method(method: MethodRecord, seed: int) -> list[Change]:
    voters = method.config.electorate.voters
    # Agent → question → round → turn.
    taken: dict[str, dict[str, dict[int, tuple[TurnRow, DebateRow]]]] = {agent: {} for agent in voters}
    for debate in method.debates:
        for turn in debate.turns:
            if turn.agent in taken:
                taken[turn.agent].setdefault(debate.question, {})[turn.round] = turn, debate
    found = []
    for agent, of_question in taken.items():
        played = [turns for _, turns in sorted(of_question.items())]
        rounds = sorted({round for turns in played for round in turns})
        spans = [
            (first, last, [(turns[first], turns[last]) for turns in played if first in turns and last in turns])
            for first, last in pairwise(rounds)
        ]
        if len(rounds) > 2:
            # Whether a debate comes to the last round follows from its beliefs: those that came alone are no fair sample.
            whole = [(turns[rounds[0]], turns[max(turns)]) for turns in played if rounds[0] in turns]
            spans.append((rounds[0], rounds[-1], whole))
        found += [_change(method.name, agent, (first, last), pairs, seed) for first, last, pairs in spans if pairs]
    return found


def _interval(moved: Sequence[float], *, by_belief: bool, seed: int) -> Interval | None:
    """Return the interval of a mean change; None where it would have no width."""
    if not by_belief:
        return stats.score_interval(sum(m > 0 for m in moved), sum(m < 0 for m in moved), len(moved))
    return stats.bootstrap(moved, seed=seed) if len(set(moved)) > 1 else None


def _change(
    method: str,
    agent: str,
    rounds: tuple[int, int],
    pairs: Sequence[tuple[tuple[TurnRow, DebateRow], tuple[TurnRow, DebateRow]]],
    seed: int,
) -> Change:
    # One measure for all questions: a mean over both would move with how many turns say a belief.
    by_belief = all(turn.belief is not None for pair in pairs for turn, _ in pair)
    before, after = (
        np.array([_probability(turn, debate, by_belief=by_belief) for turn, debate in side])
        for side in zip(*pairs, strict=True)
    )
    moved = (after - before).tolist()
    return Change(
        method,
        agent,
        *rounds,
        "belief" if by_belief else "answer",
        len(moved),
        float(before.mean()),
        float(after.mean()),
        _interval(moved, by_belief=by_belief, seed=seed),
        stats.sign_flip(moved, seed=seed),
    )


def _probability(turn: TurnRow, debate: DebateRow, *, by_belief: bool) -> float:
    if by_belief and turn.belief is not None:
        return float(turn.belief.probabilities.get(debate.target, 0.0))
    return float(turn.verdict == "correct")


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")
