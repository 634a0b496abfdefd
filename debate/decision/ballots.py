"""Votes that say more than one answer: approval, points, rankings (the voting protocols of MALLM, Becker et al., 2025).

An agent's ballot is what it wrote in its last message, `Approve: 4, 7`, `Points: 4=3, 7=1` or `Ranking: 4 > 7`;
without such a line it is what the agent's own answers over the rounds say, the latest first. Every entry is read as
the task reads answers.
"""

import re
from collections.abc import Callable

from agents.errors import ConfigError
from debate.decision.decision import Decision, Poll, Rule

_LINE = re.compile(r"^[ \t]*(approve|points|ranking)[ \t]*:[ \t]*(.+)$", re.IGNORECASE | re.MULTILINE)
# Between entries: no comma of thousands, as in 1,200.
_BETWEEN = re.compile(r"[>;]|,(?!(?<=\d,)\d{3}(?!\d))")
Ballot = dict[str, float]


def approval() -> Rule:
    """The answer that most agents approve of; each approves of as many as it likes."""
    return _rule("approve", lambda ranked: dict.fromkeys(ranked, 1.0), "{:.0f} approvals")


def cumulative(*, points: int = 10) -> Rule:
    """The answer with most points; each agent shares out the same number, a later answer twice the one before."""
    if points < 1:
        raise ConfigError(f"decision cumulative: each agent has at least 1 point to share out; got points={points}")

    def share(ranked: list[str]) -> Ballot:
        halves = [0.5**place for place in range(len(ranked))]
        return {answer: points * half / sum(halves) for answer, half in zip(ranked, halves, strict=True)}

    return _rule("points", share, "{:.1f} points", total=points)


def borda() -> Rule:
    """The answer with most Borda points: of n answers given, an agent's first gets n − 1, its next n − 2, and so on."""

    def rule(poll: Poll) -> Decision:
        rankings = _rankings(poll)
        table = {answer for ranking in rankings for answer in ranking}
        votes = {answer: 0.0 for ranking in rankings for answer in ranking}
        for ranking in rankings:
            for place, answer in enumerate(ranking):
                votes[answer] += len(table) - 1 - place
        return poll.elect(votes, lambda most: f"{most:.0f} Borda points")

    return rule


def ranked() -> Rule:
    """Instant run-off: answers with fewest first places are struck until one has more than half of the ballots."""

    def rule(poll: Poll) -> Decision:
        rankings = _rankings(poll)
        struck: set[str] = set()
        for run in range(1, len({answer for ranking in rankings for answer in ranking}) + 1):
            left = [[answer for answer in ranking if answer not in struck] for ranking in rankings]
            firsts = {answer: 0.0 for ranking in left for answer in ranking}
            counted = [ranking for ranking in left if ranking]
            for ranking in counted:
                firsts[ranking[0]] += 1
            if max(firsts.values()) * 2 > len(counted) or len(set(firsts.values())) == 1:
                describe = f"{{:.0f}} first places in run {run}".format
                return poll.elect(firsts, describe)
            struck |= {answer for answer, count in firsts.items() if count == min(firsts.values())}
        return poll.decide(None, "nobody gave an answer")

    return rule


def _rule(line: str, derive: Callable[[list[str]], Ballot], describe: str, total: float | None = None) -> Rule:
    def rule(poll: Poll) -> Decision:
        votes: Ballot = {}
        for name in poll.voters:
            ballot = _written(poll, name, line) or derive(_own_answers(poll, name))
            if total is None:
                # Of an answer one agent has one approval, whatever it wrote beside it, as in "Approve: 4=100"; or none, for 0.
                ballot = {answer: 1.0 for answer, weight in ballot.items() if weight > 0}
            scale = total / sum(ballot.values()) if total and sum(ballot.values()) > 0 else 1.0
            for answer, weight in ballot.items():
                votes[answer] = votes.get(answer, 0.0) + weight * scale
        return poll.elect(votes, describe.format)

    return rule


def _rankings(poll: Poll) -> list[list[str]]:
    return [list(_written(poll, name, "ranking")) or _own_answers(poll, name) for name in poll.voters]


def _written(poll: Poll, agent: str, line: str) -> Ballot:
    """Return the ballot of a message's last line of that kind, in the order written; empty without one."""
    lines = [text for kind, text in _LINE.findall(poll.last_message(agent).text) if kind.lower() == line]
    ballot: Ballot = {}
    for entry in _BETWEEN.split(lines[-1]) if lines else []:
        written, _, points = entry.partition("=")
        try:
            weight = float(points) if points.strip() else 1.0
        except ValueError:
            continue
        answer = poll.extract(f"Answer: {written.strip()}")
        if answer is not None and 0 <= weight < float("inf"):
            ballot.setdefault(answer, weight)
    return ballot


def _own_answers(poll: Poll, agent: str) -> list[str]:
    """Return an agent's different answers over the rounds, the latest first."""
    said = sorted(poll.transcript.turns_of(agent), key=lambda turn: -turn.key.round)
    found = (poll.extract(turn.message.text) for turn in said)
    return list(dict.fromkeys(answer for answer in found if answer is not None))
