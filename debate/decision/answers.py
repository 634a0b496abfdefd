"""Decisions over answers: whose counts, votes, a judge, a verifier."""

import math

from agents.errors import ConfigError
from debate.decision.decision import Decision, Poll, Rule


def lowest_temperature() -> Rule:
    """The answer of the agent with the lowest temperature, the first of equals (CIPHER, section 4).

    Chosen before the debate: picking the best agent afterwards would be choosing on the test set.
    """

    def rule(poll: Poll) -> Decision:
        agent = poll.by_temperature[0]
        reason = f"{agent} has the lowest temperature, {poll.electorate.temperatures[agent]:g}"
        if poll.answers[agent] is None:
            reason += ", and gave no answer"
        return poll.decide(poll.answers[agent], reason)

    return rule


def majority() -> Rule:
    """The answer that most agents gave last; of a tie, the one that the agent of lowest temperature among them gave."""

    def rule(poll: Poll) -> Decision:
        votes: dict[str, float] = {}
        for name in poll.voters:
            if (answer := poll.answers[name]) is not None:
                votes[answer] = votes.get(answer, 0) + 1
        return poll.elect(votes, lambda count: f"{count:.0f} of {len(poll.voters)} agents")

    return rule


def likeliest(*, by: str = "mean") -> Rule:
    """The answer of the text that its own model finds likeliest: best of n without a judge.

    Args:
        by: `mean` takes the log-likelihood a token, `sum` that of the whole text, which favours short ones.
    """
    if by not in ("mean", "sum"):
        raise ConfigError(f"decision likeliest: by is {by!r}; known: mean, sum")

    def rule(poll: Poll) -> Decision:
        scores: dict[str, float] = {}
        for name in poll.voters:
            turn = poll.transcript.last_of(name)
            if turn.log_likelihood is None or poll.answers[name] is None:
                continue
            length = max(turn.usage.generated_tokens, 1) if by == "mean" else 1
            scores[name] = turn.log_likelihood / length
        if not scores:
            return poll.decide(None, "no text has an answer and a likelihood")
        # Of equals the first: scores are in the order of the voters.
        best = max(scores, key=scores.__getitem__)
        unit = "nats a token" if by == "mean" else "nats"
        return poll.decide(poll.answers[best], f"{best}'s text is the likeliest, {scores[best]:.4g} {unit}")

    return rule


def judge(*, agent: str = "") -> Rule:
    """The judge's answer: of the named agent, or of the one that speaks last after hearing the others."""

    def rule(poll: Poll) -> Decision:
        judges = [name for name in poll.transcript.agents if name not in poll.electorate.members]
        name = agent or (judges[-1] if judges else poll.transcript.turns[-1].key.agent)
        if name not in poll.answers:
            return poll.decide(None, f"the judge {name} did not speak")
        said = "said so" if poll.answers[name] is not None else "gave no answer"
        return poll.decide(poll.answers[name], f"{name}, who judges, {said}")

    return rule


def last_speaker() -> Rule:
    """The answer in the turn said last (the relay and memory paradigms of MALLM)."""

    def rule(poll: Poll) -> Decision:
        agent = poll.transcript.turns[-1].key.agent
        reason = f"{agent} spoke last" + (", and gave no answer" if poll.answers[agent] is None else "")
        return poll.decide(poll.answers[agent], reason)

    return rule


def verifier(*, score: str) -> Rule:
    """The answer whose message a verifier scores highest: a dotted path to (question, response) → number.

    A verifier must not know the right answer: best of agents by the key is a bound, not a score.
    """
    from agents.registry import load, takes

    judged = load(score, "verifier", "debate.verifiers")
    if not takes(judged, 2):
        raise ConfigError(f"verifier {score!r} is no function of a question and a response")

    def rule(poll: Poll) -> Decision:
        scores: dict[str, float] = {}
        for name in poll.voters:
            if (answer := poll.answers[name]) is not None:
                found = float(judged(poll.transcript.question.text, poll.last_message(name).text))
                if not math.isfinite(found):
                    raise ConfigError(
                        f"verifier {score!r} scored the message of {name} as {found}: a finite number is needed"
                    )
                scores[answer] = max(found, scores.get(answer, float("-inf")))
        return poll.elect(scores, lambda best: f"the verifier's highest score, {best:g}")

    return rule
