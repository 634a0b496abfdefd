"""Transcript → answer: pure functions by name. No answer is a value with a reason, never an empty string.

Ties are broken by the agent of lowest temperature among those tied, chosen before the debate, and the reason says so.
`ballots.py` has the votes that are more than an answer, `beliefs.py` the rules that look at what agents believe.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.errors import ConfigError, UnknownName
from agents.fingerprint import ModelFingerprint
from debate.call import check_parameters, parse_call

if TYPE_CHECKING:
    from debate.transcript import Transcript

Extract = Callable[[str], str | None]
Decode = Callable[[ModelFingerprint, int], str | None]
Rule = Callable[["Transcript", Mapping[str, float], Extract], "Decision"]


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


def lowest_temperature() -> Rule:
    """The answer of the agent with the lowest temperature, the first of equals (CIPHER, section 4).

    Chosen before the debate: picking the best agent afterwards would be choosing on the test set.
    """

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Extract) -> Decision:
        answers = last_answers(transcript, extract)
        agent = by_temperature(temperatures, transcript.agents)[0]
        reason = f"{agent} has the lowest temperature, {temperatures[agent]:g}"
        if answers[agent] is None:
            reason += ", and gave no answer"
        return Decision(answers[agent], reason, answers)

    return rule


def majority() -> Rule:
    """The answer that most agents gave last; of a tie, the one that the agent of lowest temperature among them gave."""

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Extract) -> Decision:
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

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Extract) -> Decision:
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

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Extract) -> Decision:
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

    def rule(transcript: "Transcript", temperatures: Mapping[str, float], extract: Extract) -> Decision:
        answers = last_answers(transcript, extract)
        scores: dict[str, float] = {}
        for name in transcript.agents:
            answer = answers[name]
            if name in temperatures and answer is not None:
                found = float(judged(transcript.question.text, transcript.last_of(name).message.text))
                scores[answer] = max(found, scores.get(answer, float("-inf")))
        return elected(scores, answers, temperatures, lambda best: f"the verifier's highest score, {best:g}")

    return rule


def last_answers(transcript: "Transcript", extract: Extract) -> dict[str, str | None]:
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


def decision_rule(decision: str, decode: Decode | None = None) -> Rule:
    """Return the rule that a config names, e.g. `weighted(by="entropy")`.

    Args:
        decision: a name, with parameters if need be.
        decode: token of a model → its text, for rules over beliefs.

    Raises:
        UnknownName: no such rule.
        ConfigError: a parameter that it does not take or lacks, or a rule over beliefs without `decode`.
    """
    call = parse_call(decision, "decision")
    known = rules()
    if call.name not in known:
        raise UnknownName("decision", call.name, known)
    made = known[call.name]
    check_parameters(call, "decision", made, given=("decode",))
    given: dict[str, Any] = dict(call.parameters)
    if "decode" in (made.__kwdefaults__ or {}):
        given["decode"] = decode
    try:
        return made(**given)
    except TypeError as error:
        raise ConfigError(f"decision {call.name!r}: {str(error).split('() ')[-1]}") from error


def rules() -> dict[str, Callable[..., Rule]]:
    """Return every rule by name."""
    from debate import ballots, beliefs

    return {
        "approval": ballots.approval,
        "belief_average": beliefs.belief_average,
        "borda": ballots.borda,
        "cumulative": ballots.cumulative,
        "depth": beliefs.deepest,
        "judge": judge,
        "last_speaker": last_speaker,
        "lowest_temperature": lowest_temperature,
        "majority": majority,
        "ranked": ballots.ranked,
        "verifier": verifier,
        "weighted": beliefs.weighted,
    }
