"""Decisions over answers: whose counts, votes, a judge, a verifier."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from debate.decision.decision import Decision, Reader, Rule, by_temperature, elected, last_answers

if TYPE_CHECKING:
    from debate.transcript import Transcript


def lowest_temperature() -> Rule:
    """The answer of the agent with the lowest temperature, the first of equals (CIPHER, section 4).

    Chosen before the debate: picking the best agent afterwards would be choosing on the test set.
    """

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Reader) -> Decision:
        answers = last_answers(transcript, extract)
        agent = by_temperature(temperatures, transcript.agents)[0]
        reason = f"{agent} has the lowest temperature, {temperatures[agent]:g}"
        if answers[agent] is None:
            reason += ", and gave no answer"
        return Decision(answers[agent], reason, answers)

    return rule


def majority() -> Rule:
    """The answer that most agents gave last; of a tie, the one that the agent of lowest temperature among them gave."""

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Reader) -> Decision:
        answers = last_answers(transcript, extract)
        voters = [name for name in transcript.agents if name in temperatures]
        votes: dict[str, float] = {}
        for name in voters:
            if (answer := answers[name]) is not None:
                votes[answer] = votes.get(answer, 0) + 1
        return elected(votes, answers, temperatures, lambda count: f"{count:.0f} of {len(voters)} agents")

    return rule


def judge(*, agent: str = "") -> Rule:
    """The judge's answer: of the named agent, or of the one that speaks last after hearing the others."""

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Reader) -> Decision:
        answers = last_answers(transcript, extract)
        # Judges are not among the temperatures: their answers are no votes.
        judges = [name for name in transcript.agents if name not in temperatures]
        name = agent or (judges[-1] if judges else transcript.turns[-1].key.agent)
        if name not in answers:
            return Decision(None, f"the judge {name} did not speak", answers)
        said = "said so" if answers[name] is not None else "gave no answer"
        return Decision(answers[name], f"{name}, who judges, {said}", answers)

    return rule


def last_speaker() -> Rule:
    """The answer in the turn said last (the relay and memory paradigms of MALLM)."""

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Reader) -> Decision:
        answers = last_answers(transcript, extract)
        agent = transcript.turns[-1].key.agent
        reason = f"{agent} spoke last" + (", and gave no answer" if answers[agent] is None else "")
        return Decision(answers[agent], reason, answers)

    return rule


def verifier(*, score: str) -> Rule:
    """The answer whose message a verifier scores highest: a dotted path to (question, response) → number.

    A verifier must not know the right answer: best of agents by the key is a bound, not a score.
    """
    from agents.registry import load

    judged = load(score, "verifier", "debate.verifiers")

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Reader) -> Decision:
        answers = last_answers(transcript, extract)
        scores: dict[str, float] = {}
        for name in transcript.agents:
            answer = answers[name]
            if name in temperatures and answer is not None:
                found = float(judged(transcript.question.text, transcript.last_of(name).message.text))
                scores[answer] = max(found, scores.get(answer, float("-inf")))
        return elected(scores, answers, temperatures, lambda best: f"the verifier's highest score, {best:g}")

    return rule
