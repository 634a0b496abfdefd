"""Transcript → answer: pure functions by name. No answer is a value with a reason, never an empty string.

Ties are broken by the agent of lowest temperature among those tied, chosen before the debate, and the reason says so.
`ballots.py` has the votes that are more than an answer, `belief_rules.py` the rules that look at what agents believe.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.fingerprint import ModelFingerprint

if TYPE_CHECKING:
    from debate.transcript import Transcript

Reader = Callable[[str], str | None]
Decode = Callable[[ModelFingerprint, int], str | None]
Rule = Callable[["Transcript", Mapping[str, float], Reader], "Decision"]


@dataclass(frozen=True)
class Decision:
    """What a debate came to.

    Fields:
        answer: None where there is none; `reason` says why.
        reason: how it was reached, in words.
        answers: each agent's last answer.
    """

    answer: str | None
    reason: str
    answers: Mapping[str, str | None]


def last_answers(transcript: "Transcript", extract: Reader) -> dict[str, str | None]:
    """Return the answer in each agent's last message."""
    return {agent: extract(transcript.last_of(agent).message.text) for agent in transcript.agents}


def by_temperature(temperatures: Mapping[str, float], spoke: Sequence[str]) -> list[str]:
    """Return those who spoke and count, lowest temperature first, of equals the first."""
    place = {name: number for number, name in enumerate(temperatures)}
    counted = [name for name in temperatures if name in spoke] or list(spoke)
    return sorted(counted, key=lambda name: (temperatures.get(name, 0.0), place.get(name, 0)))


def elected(
    votes: Mapping[str, float],
    answers: Mapping[str, str | None],
    temperatures: Mapping[str, float],
    describe: Callable[[float], str],
) -> Decision:
    """Return the answer with most votes; of a tie, the one that the agent of lowest temperature among the tied gave."""
    if not votes:
        return Decision(None, "nobody gave an answer", answers)
    most = max(votes.values())
    tied = [answer for answer, count in votes.items() if abs(count - most) <= 1e-12]
    if len(tied) == 1:
        return Decision(tied[0], describe(most), answers)
    order = by_temperature(temperatures, list(answers))
    agent = next((name for name in order if answers.get(name) in tied), None)
    if agent is None:
        return Decision(tied[0], f"a tie of {len(tied)} answers, none of them anyone's last; the first named", answers)
    return Decision(
        answers[agent], f"a tie of {len(tied)} answers, broken by the lowest temperature ({agent})", answers
    )
