"""What a finished run says: accuracy with intervals, rounds, changes of mind, calibration, cost. Pure; nothing is played.

The best agent picked after the fact is a bound, `best_of_agents`, and nowhere a score: it chooses on the test set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from evals.analysis import stats
from evals.analysis.agreement import agreement
from evals.analysis.run_record import DebateRow, MethodRecord, RunRecord, TurnRow, spoken_in_rounds
from evals.analysis.stats import Calibration, Comparison, Interval
from evals.methods import is_bound, pairs
from evals.scoring.belief_score import score_belief

CORRECT = "correct"


@dataclass(frozen=True)
class Share:
    """A count out of a total, with Wilson's interval; of clusters, as of agents over a question, `stats.clustered`."""

    count: int
    total: int
    interval: Interval

    @property
    def value(self) -> float:
        """The share; 0 of nothing."""
        return self.count / self.total if self.total else 0.0

    @classmethod
    def of(cls, flags: Iterable[bool]) -> "Share":
        """Count the true ones."""
        found = list(flags)
        return cls(sum(found), len(found), stats.wilson(sum(found), len(found)))

    @classmethod
    def of_clusters(cls, clusters: Iterable[Sequence[bool]]) -> "Share":
        """Count the true ones of all clusters."""
        found = [list(cluster) for cluster in clusters]
        return cls(sum(map(sum, found)), sum(map(len, found)), stats.clustered(found))


@dataclass(frozen=True)
class Round:
    """Where the debates stood after a round; an agent that did not speak in it is taken at its last word.

    Attributes:
        number: number of the round, from 1.
        deciding: accuracy of the agent whose answer counts by temperature.
        agents: accuracy over all agents whose answers count; its interval takes answers to one question as dependent.
        agreement: mean over questions of the share of pairs of agents with one answer; no answer agrees with nothing.
        compared: the questions that it is the mean of: those to which several agents have spoken.
        right_to_wrong, wrong_to_right, kept_right, kept_wrong, other_wrong: agents' moves since the round before;
            `other_wrong` went from one wrong answer to another.
    """

    number: int
    deciding: Share
    agents: Share
    agreement: float | None
    compared: int = 0
    right_to_wrong: int = 0
    wrong_to_right: int = 0
    kept_right: int = 0
    kept_wrong: int = 0
    other_wrong: int = 0


@dataclass(frozen=True)
class Point:
    """Accuracy for a budget: mean generated tokens a question, had every debate ended then."""

    tokens: float
    accuracy: Share


@dataclass(frozen=True)
class Budget:
    """What a method cost in all.

    Attributes:
        turns: number of turns.
        computed_tokens, cached_tokens: prompt tokens that were computed, and those taken from a cache.
        generated_tokens, message_bytes: tokens and bytes of the messages.
        turn_seconds: sum over all turns; turns that share a batch overlap.
        seconds: wall time; None if the run did not record it.
        joules: energy; None if the machine does not report it. `energy` says why, or names the counter.
    """

    turns: int
    computed_tokens: int
    cached_tokens: int
    generated_tokens: int
    message_bytes: int
    turn_seconds: float
    seconds: float | None
    joules: float | None
    energy: str


@dataclass(frozen=True)
class BeliefSummary:
    """How the deciding agents' last beliefs over the options of a choice fared.

    Attributes:
        count: debates with one.
        exact: those in which every option was among the tokens that the message kept; of the others a missing option has 0.
        correct: the option believed most was the right one.
        probability: mean probability of the right option.
        nll: mean of −log of it, in nats.
        brier: mean of Σ (p − 1[right])².
        calibration: calibration of the option believed most.
    """

    count: int
    exact: int
    correct: Share
    probability: float
    nll: float
    brier: float
    calibration: Calibration | None


@dataclass(frozen=True)
class Summary:
    """One method.

    Attributes:
        name: its row.
        asked: number of questions begun, ended or not.
        accuracy, strict: accuracy of the decision, read flexibly and strictly; strict is None for decisions over beliefs.
        no_answer, failed: numbers of questions that count as not correct.
        best_of_agents: a bound, not a score: share of questions on which any agent's last answer was right.
        rounds: state of the debates after each round.
        curve: accuracy against generated tokens.
        calibration: calibration of the beliefs in agents' last messages; None if none is measured or stated.
        confident: number of those messages.
        held: beliefs over options; None if no message holds one.
        entropy: entropy in nats by position in a message, mean over CIPHER messages, and the number of messages that reach it.
        drift: (round, mean, count): total variation distance of agents' beliefs over the options to those of their turns before.
        budget: cost.
        is_dependent: whether its questions depend on those before them, so that no interval over questions holds.
    """

    name: str
    asked: int
    accuracy: Share
    strict: Share | None
    no_answer: int
    failed: int
    best_of_agents: Share | None
    rounds: tuple[Round, ...]
    curve: tuple[Point, ...]
    calibration: Calibration | None
    confident: int
    held: BeliefSummary | None
    entropy: tuple[tuple[float, int], ...]
    drift: tuple[tuple[int, float, int], ...]
    budget: Budget
    is_dependent: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether the row bounds debates rather than competes with them."""
        return is_bound(self.name)


@dataclass(frozen=True)
class Analysis:
    """A run: its methods, and their paired comparisons corrected together."""

    record: RunRecord
    methods: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]


def analyse(record: RunRecord) -> Analysis:
    """Return the summary of every method of a run and their comparisons."""
    methods = {method.name: method for method in record.methods if method.debates}
    outcomes = {name: method.outcomes() for name, method in methods.items()}
    comparable = [(a, b) for a, b in pairs(list(methods)) if set(outcomes[a]) & set(outcomes[b])]
    return Analysis(
        record,
        tuple(summarise(method, record) for method in record.methods),
        tuple(stats.compare_all(outcomes, comparable, seed=record.config.seed, dependent=dependent(methods.values()))),
    )


def dependent(methods: Iterable[MethodRecord]) -> set[str]:
    """Return the names of methods whose questions depend on each other."""
    return {method.name for method in methods if method.is_dependent}


def compare_runs(one: RunRecord, other: RunRecord) -> list[Comparison]:
    """Return the paired comparisons of two runs: each method that both have, else their only ones.

    Raises:
        StatisticsError: they have no method, or no question, in common.
    """
    return compare_methods(matched_methods(one, other), (_label(one, other), _label(other, one)))


def matched_methods(one: RunRecord, other: RunRecord) -> list[tuple[MethodRecord, MethodRecord]]:
    """Return the methods of two runs that are compared: those that both have, else their only ones.

    Raises:
        StatisticsError: they have no method in common.
    """
    ours = {method.name: method for method in one.methods if method.debates}
    theirs = {method.name: method for method in other.methods if method.debates}
    wanted = [(name, name) for name in ours if name in theirs]
    if not wanted and len(ours) == len(theirs) == 1:
        wanted = [(next(iter(ours)), next(iter(theirs)))]
    if not wanted:
        raise stats.StatisticsError(
            f"{one.path} has {', '.join(ours) or 'no method'} and {other.path} has {', '.join(theirs) or 'no method'}: "
            "no method in common. Name two with --methods FIRST,SECOND."
        )
    return [(ours[a], theirs[b]) for a, b in wanted]


def compare_methods(
    matched: Sequence[tuple[MethodRecord, MethodRecord]], labels: tuple[str, str] = ("", "")
) -> list[Comparison]:
    """Return the paired comparison of each pair of methods, corrected together; labels tell runs apart."""
    outcomes, wanted = {}, []
    hang: set[str] = set()
    for a, b in matched:
        names = (f"{labels[0]}{a.name}", f"{labels[1]}{b.name}")
        outcomes[names[0]], outcomes[names[1]] = a.outcomes(), b.outcomes()
        hang |= {name for name, method in zip(names, (a, b), strict=True) if method.is_dependent}
        wanted.append(names)
    return stats.compare_all(outcomes, wanted, dependent=hang)


def _label(run: RunRecord, other: RunRecord) -> str:
    return f"{run.path.name}/" if run.path.name != other.path.name else f"{run.path}/"


def summarise(method: MethodRecord, record: RunRecord) -> Summary:
    """Return what one method of a run came to."""
    debates, voters = method.debates, method.config.electorate.members
    strict = [debate.strict_verdict for debate in debates if debate.strict_verdict is not None]
    last = [turn for debate in debates for turn in _last_words(debate.turns) if turn.agent in voters]
    held = [turn for turn in last if turn.confidence is not None]
    answered = [debate for debate in debates if debate.turns]
    return Summary(
        name=method.name,
        asked=len(debates) + method.unfinished,
        accuracy=Share.of(debate.verdict == CORRECT for debate in debates),
        # Failed debates have no strict verdict; they are not correct.
        strict=Share(strict.count(CORRECT), len(debates), stats.wilson(strict.count(CORRECT), len(debates)))
        if strict
        else None,
        no_answer=sum(debate.verdict == "no answer" for debate in debates),
        failed=sum(debate.verdict == "failed" for debate in debates),
        best_of_agents=Share.of(
            any(turn.verdict == CORRECT for turn in _last_words(debate.turns)) for debate in debates
        )
        if len(voters) > 1
        else None,
        rounds=_rounds(answered, method),
        curve=_curve(debates),
        calibration=stats.calibration(
            [float(turn.confidence) for turn in held if turn.confidence is not None],
            [turn.verdict == CORRECT for turn in held],
        ),
        confident=len(held),
        held=_held(debates),
        entropy=_entropy([turn for debate in debates for turn in debate.turns]),
        drift=_drift(debates),
        budget=_budget(method, record),
        is_dependent=method.is_dependent,
    )


def _held(debates: Sequence[DebateRow]) -> BeliefSummary | None:
    last = [(debate, turn.belief) for debate in debates for turn in _last_words(debate.turns) if turn.is_deciding]
    known = [
        (belief, score_belief(belief.probabilities, debate.target)) for debate, belief in last if belief is not None
    ]
    if not known:
        return None
    scores = [score for _, score in known]
    return BeliefSummary(
        count=len(known),
        exact=sum(belief.is_exact for belief, _ in known),
        correct=Share.of(score.correct for score in scores),
        probability=float(np.mean([score.probability for score in scores])),
        nll=float(np.mean([score.nll for score in scores])),
        brier=float(np.mean([score.brier for score in scores])),
        calibration=stats.calibration(
            [belief.probabilities[score.top] for belief, score in known], [score.correct for score in scores]
        ),
    )


def _last_words(turns: Sequence[TurnRow]) -> list[TurnRow]:
    """Return the last turn of each agent, in the order in which they first spoke."""
    last: dict[str, TurnRow] = {}
    for turn in turns:
        if turn.agent not in last or turn.round >= last[turn.agent].round:
            last[turn.agent] = turn
    return list(last.values())


def _rounds(debates: Sequence[DebateRow], method: MethodRecord) -> tuple[Round, ...]:
    by_round = [(debate.question, spoken_in_rounds(debate, method.config.electorate.members)) for debate in debates]
    last: list[dict[str, TurnRow]] = [{} for _ in debates]
    count = max((turn.round for debate in debates for turn in debate.turns), default=0)
    found: list[Round] = []
    before: dict[tuple[str, str], TurnRow] = {}
    for number in range(1, count + 1):
        now: dict[tuple[str, str], TurnRow] = {}
        agreed: list[float] = []
        by_question: dict[str, list[bool]] = {}
        for (question, spoken), words in zip(by_round, last, strict=True):
            words |= {turn.agent: turn for turn in spoken.get(number, ())}
            now |= {(question, agent): turn for agent, turn in words.items()}
            by_question.setdefault(question, []).extend(turn.verdict == CORRECT for turn in words.values())
            if (share := agreement(turn.answer for turn in words.values())) is not None:
                agreed.append(share)
        moves = _moves(before, now)
        found.append(
            Round(
                number,
                deciding=Share.of(turn.verdict == CORRECT for turn in now.values() if turn.is_deciding),
                agents=Share.of_clusters(by_question.values()),
                agreement=float(np.mean(agreed)) if agreed else None,
                compared=len(agreed),
                **moves,
            )
        )
        before = now
    return tuple(found)


def _moves(before: dict[tuple[str, str], TurnRow], now: dict[tuple[str, str], TurnRow]) -> dict[str, int]:
    found = {"right_to_wrong": 0, "wrong_to_right": 0, "kept_right": 0, "kept_wrong": 0, "other_wrong": 0}
    for who, turn in now.items():
        if who not in before:
            continue
        match before[who].verdict == CORRECT, turn.verdict == CORRECT:
            case True, True:
                found["kept_right"] += 1
            case True, False:
                found["right_to_wrong"] += 1
            case False, True:
                found["wrong_to_right"] += 1
            case _:
                found["kept_wrong" if before[who].answer == turn.answer else "other_wrong"] += 1
    return found


def _curve(debates: Sequence[DebateRow]) -> tuple[Point, ...]:
    """Return accuracy against generated tokens; debates that ended early stay where they ended."""
    known = [debate.prefixes for debate in debates if debate.prefixes]
    if not known:
        return ()
    longest = max(len(prefixes) for prefixes in known)
    reached = [[prefixes[min(place, len(prefixes) - 1)] for prefixes in known] for place in range(longest)]
    return tuple(
        Point(float(np.mean([tokens for tokens, _ in cut])), Share.of(verdict == CORRECT for _, verdict in cut))
        for cut in reached
    )


def _entropy(turns: Sequence[TurnRow]) -> tuple[tuple[float, int], ...]:
    held = [turn.entropy for turn in turns if len(turn.entropy)]
    if not held:
        return ()
    total = np.zeros(max(len(values) for values in held))
    reach = np.zeros_like(total)
    for values in held:
        total[: len(values)] += values
        reach[: len(values)] += 1
    return tuple((float(mean), int(number)) for mean, number in zip(total / reach, reach, strict=True))


def _drift(debates: Sequence[DebateRow]) -> tuple[tuple[int, float, int], ...]:
    """Return how far beliefs moved into each round, of turns and turns before that both hold one."""
    moved: dict[int, list[float]] = {}
    for debate in debates:
        before: dict[str, TurnRow] = {}
        for turn in debate.turns:
            earlier, before[turn.agent] = before.get(turn.agent), turn
            if earlier is None or earlier.belief is None or turn.belief is None:
                continue
            one, other = earlier.belief.probabilities, turn.belief.probabilities
            distance = 0.5 * sum(abs(one.get(o, 0.0) - other.get(o, 0.0)) for o in {*one, *other})
            moved.setdefault(turn.round, []).append(distance)
    return tuple((number, float(np.mean(moved[number])), len(moved[number])) for number in sorted(moved))


def _budget(method: MethodRecord, record: RunRecord) -> Budget:
    turns = [turn for debate in method.debates for turn in debate.turns]
    energy = record.energy.get(method.name)
    return Budget(
        turns=len(turns),
        computed_tokens=sum(turn.prompt_tokens - turn.cached_tokens for turn in turns),
        cached_tokens=sum(turn.cached_tokens for turn in turns),
        generated_tokens=sum(turn.generated_tokens for turn in turns),
        message_bytes=sum(turn.message_bytes for turn in turns),
        turn_seconds=sum(turn.seconds or 0.0 for turn in turns),
        seconds=record.seconds.get(method.name),
        joules=energy.joules if energy else None,
        energy=energy.source if energy else "not measured",
    )


def changed_their_minds(method: MethodRecord) -> list[tuple[DebateRow, TurnRow, TurnRow]]:
    """Return (debate, before, after) of every agent's answer that changed from right to wrong or back."""
    found = []
    for debate in method.debates:
        by_agent: dict[str, list[TurnRow]] = {}
        for turn in debate.turns:
            by_agent.setdefault(turn.agent, []).append(turn)
        for spoken in by_agent.values():
            ordered = sorted(spoken, key=lambda turn: turn.round)
            found += [(debate, a, b) for a, b in pairwise(ordered) if (a.verdict == CORRECT) != (b.verdict == CORRECT)]
    return found
