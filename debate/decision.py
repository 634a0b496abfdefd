"""Transcript → answer: pure functions by name. No answer is a value with a reason, never an empty string."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.errors import UnknownName
from debate.transcript import Transcript

Extract = Callable[[str], str | None]
Rule = Callable[[Transcript, Mapping[str, float], Extract], "Decision"]


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


def lowest_temperature(transcript: Transcript, temperatures: Mapping[str, float], extract: Extract) -> Decision:
    """The answer of the agent with the lowest temperature, the first of equals (CIPHER, section 4).

    Chosen before the debate: picking the best agent afterwards would be choosing on the test set.
    """
    answers = last_answers(transcript, extract)
    agent = min(transcript.agents, key=lambda name: (temperatures[name], list(temperatures).index(name)))
    reason = f"{agent} has the lowest temperature, {temperatures[agent]:g}"
    if answers[agent] is None:
        reason += ", and gave no answer"
    return Decision(answers[agent], reason, answers)


def majority(transcript: Transcript, temperatures: Mapping[str, float], extract: Extract) -> Decision:
    """The answer that most agents gave last; of a tie, the one that the agent of lowest temperature among them gave."""
    answers = last_answers(transcript, extract)
    votes = Counter(answer for answer in answers.values() if answer is not None)
    if not votes:
        return Decision(None, "nobody gave an answer", answers)
    most = max(votes.values())
    tied = [answer for answer, count in votes.items() if count == most]
    if len(tied) == 1:
        return Decision(tied[0], f"{most} of {len(answers)} agents", answers)
    order = sorted(temperatures, key=lambda name: (temperatures[name], list(temperatures).index(name)))
    agent = next(name for name in order if answers.get(name) in tied)
    return Decision(
        answers[agent], f"a tie of {len(tied)} answers, broken by the lowest temperature ({agent})", answers
    )


def last_answers(transcript: Transcript, extract: Extract) -> dict[str, str | None]:
    """Return the answer in each agent's last message."""
    return {agent: extract(transcript.last_of(agent).message.text) for agent in transcript.agents}


RULES: dict[str, Rule] = {"lowest_temperature": lowest_temperature, "majority": majority}


def decision_rule(name: str) -> Rule:
    """Return a rule by name.

    Raises:
        UnknownName: no such rule.
    """
    if name not in RULES:
        raise UnknownName("decision", name, RULES)
    return RULES[name]
