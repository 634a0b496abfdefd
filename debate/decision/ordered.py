"""A decision by the order of steps: whose solution tells its steps in the most plausible order (MP3, Zhai et al., 2022)."""

from agents.errors import ConfigError
from agents.models.mp3.order_backend import load_judge
from agents.models.mp3.steps import steps_of
from debate.decision.decision import Decision, Poll, Rule

KINDS = ("votes", "best")
NEUTRAL = 0.5


def step_order(*, judge: str = "", by: str = "votes") -> Rule:
    """The answer of solutions whose steps stand in a plausible order: the geometric mean of the probabilities of their places.

    A solution without an order to judge, of one step, of steps that are all alike, or of more than the judge has places, weighs
    as the mean of the others, or 0.5 where there are none. Answers are not looked at, nor is whether a step is right but for what
    that does to its place.

    Args:
        judge: folder of `debate train mp3_order`; the shipped one, of sums of products, by default.
        by: `votes` weighs everybody's answer by the plausibility of the solution, `best` takes that of the most plausible.

    Raises:
        ConfigError: a `by` that is not known.
        ModelError: the folder holds no judge.
    """
    if by not in KINDS:
        raise ConfigError(f"decision step_order: by is {by!r}; known: {', '.join(KINDS)}")
    model, _ = load_judge(judge or None)

    def rule(poll: Poll) -> Decision:
        voters = {name: answer for name in poll.voters if (answer := poll.answers[name]) is not None}
        asked = poll.transcript.question.text
        found = {name: model.plausibility(asked, steps_of(poll.last_message(name).text)) for name in voters}
        known = [value for value in found.values() if value is not None]
        rest = sum(known) / len(known) if known else NEUTRAL
        votes: dict[str, float] = {}
        for name, answer in voters.items():
            weight = rest if (value := found[name]) is None else value
            votes[answer] = votes.get(answer, 0.0) + weight if by == "votes" else max(votes.get(answer, 0.0), weight)
        note = "" if len(known) == len(voters) else f"; no order to judge of {len(voters) - len(known)} agents"
        what = (
            "a weight of {:.3f} by the order of steps" if by == "votes" else "the most plausible order of steps, {:.3f}"
        )
        return poll.elect(votes, lambda most: what.format(most) + note)

    return rule
