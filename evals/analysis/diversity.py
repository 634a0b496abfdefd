"""How many minds a debate keeps: the entropy of its agents' answers after each round (diversity collapse, arXiv:2604.18005).

Pure; nothing is played.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.analysis import stats
from evals.analysis.blocks import Block, heading, note, table
from evals.analysis.run_record import MethodRecord, spoken_in_rounds
from evals.analysis.stats import Interval

HOW = (
    "Entropy, in bits, of the last answers of the agents whose answers count, mean over questions; 0 where all agree, log2 of "
    "their number where all differ. Turns without an answer are one answer of their own. 95 % intervals by bootstrap over "
    "questions. kept: the last round's entropy over the first's."
)


@dataclass(frozen=True)
class Diversity:
    """The entropy of answers after a round.

    Attributes:
        method, round, agents: which, and among how many agents.
        bits: mean over questions.
        interval: of it.
    """

    method: str
    round: int
    agents: int
    bits: float
    interval: Interval


def answer_entropy(answers: Sequence[str | None]) -> float:
    """Return the entropy of answers in bits."""
    counts = np.array(list(Counter(answers).values()), dtype=float)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def diversity(method: MethodRecord, *, seed: int = 0) -> list[Diversity]:
    """Return the entropies of a method round by round; none of one agent. Who is silent in a round keeps its last answer."""
    voters = method.config.electorate.voters
    debates = [debate for debate in method.debates if debate.turns]
    if len(voters) < 2 or not debates:
        return []
    found = []
    by_round = [spoken_in_rounds(debate, method.config.electorate.members) for debate in debates]
    lasts: list[dict[str, str | None]] = [{} for _ in debates]
    for number in range(1, max(turn.round for debate in debates for turn in debate.turns) + 1):
        values = []
        for spoken, last in zip(by_round, lasts, strict=True):
            last |= {turn.agent: turn.answer for turn in spoken.get(number, ())}
            if len(last) > 1:
                values.append(answer_entropy(list(last.values())))
        if values:
            interval = stats.bootstrap(values, seed=seed)
            found.append(Diversity(method.name, number, len(voters), float(np.mean(values)), interval))
    return found


def diversity_blocks(methods: Sequence[MethodRecord], *, seed: int = 0) -> list[Block]:
    """Return the section of a report; empty where no debate has two agents and two rounds."""
    rows: list[list[object]] = []
    for method in methods:
        found = diversity(method, seed=seed)
        if len(found) < 2:
            continue
        for one in found:
            kept = f"{100 * one.bits / found[0].bits:.0f} %" if one is found[-1] and found[0].bits else "–"
            ends = f"{one.interval.low:.2f} to {one.interval.high:.2f}"
            rows.append([method.name, one.agents, one.round, f"{one.bits:.2f}", ends, kept])
    if not rows:
        return []
    header = ["method", "agents", "round", "bits", "95 %", "kept"]
    caption = "Entropy of the agents' answers after each round"
    return [heading("How many answers are left"), table(caption, header, rows, methods=True), note(HOW)]
