"""When a debate ends before its last round: rules by name, asked after each complete round.

A rule sees every turn said so far and the round's number, and returns why the debate ends, or None. `gate` is the rule
that debates only questions on which the first answers split.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agents.errors import ConfigError
from agents.registry import load_named, made
from debate.decision.depth import embed
from debate.protocol.stopped import StoppingRule
from debate.transcript import SpokenTurns, TurnKey

if TYPE_CHECKING:
    from debate.transcript import Turn

# A response and its question's options → the answer in it.
Extract = Callable[[str, Sequence[str]], str | None]


def options_of(said: Mapping[TurnKey, "Turn"]) -> Sequence[str]:
    """Return the options of the question that is debated."""
    return said.options if isinstance(said, SpokenTurns) else ()


@dataclass(frozen=True)
class StoppingContext:
    """What rules look at.

    Attributes:
        voters: the agents whose answers count.
        chairs: moderators and summarisers.
        extract: a response and its question's options → its answer; None where no task tells.
    """

    voters: Sequence[str]
    chairs: Sequence[str] = ()
    extract: Extract | None = None

    def answers(self, said: Mapping[TurnKey, "Turn"], round: int) -> list[str | None]:
        """Return the voters' answers of a round."""
        if self.extract is None:
            raise ConfigError("this stopping rule compares answers, and only a task tells what they are; give --task")
        keys = (TurnKey(round, name) for name in self.voters)
        return [self.extract(said[key].message.text, options_of(said)) for key in keys if key in said]


def unanimity(watch: StoppingContext, *, first_round: int = 1) -> StoppingRule:
    """Everyone gives the same answer (DebateLLM has it as a wish, MALLM as a decision)."""

    def rule(said: Mapping[TurnKey, "Turn"], round: int) -> str | None:
        if round < first_round:
            return None
        answers = watch.answers(said, round)
        if None in answers or len(set(answers)) != 1:
            return None
        return f"all {len(answers)} answers agree in round {round}"

    return rule


def gate(watch: StoppingContext) -> StoppingRule:
    """The first answers agree: debate only where they split (selective debate; DOWN, Eo et al., 2025)."""
    agree = unanimity(watch)
    return lambda said, round: agree(said, round) if round == 1 else None


def stable(watch: StoppingContext, *, rounds: int = 1) -> StoppingRule:
    """Nobody's answer has changed for so many rounds."""

    def rule(said: Mapping[TurnKey, "Turn"], round: int) -> str | None:
        if round <= rounds:
            return None
        recent = [watch.answers(said, number) for number in range(round - rounds, round + 1)]
        return f"no answer changed since round {round - rounds}" if all(a == recent[0] for a in recent) else None

    return rule


def belief(watch: StoppingContext, *, distance: float = 0.01) -> StoppingRule:
    """No agent's message moved more than a cosine distance since the round before.

    Of CIPHER messages the mean vectors are compared, of text the tokens said.
    """

    def rule(said: Mapping[TurnKey, "Turn"], round: int) -> str | None:
        pairs = [(TurnKey(round - 1, name), TurnKey(round, name)) for name in watch.voters]
        kept = [(said[a].message, said[b].message) for a, b in pairs if a in said and b in said]
        if not kept:
            return None
        moved = max(1.0 - float(np.dot(*embed(pair))) for pair in kept)
        return f"no message moved more than {moved:.4f} in round {round}" if moved <= distance else None

    return rule


def sure(watch: StoppingContext, *, least: float = 0.9) -> StoppingRule:
    """Every voter's message gives, at each of its steps, a token at least so much of its belief: nobody doubts what it says.

    Of an agent that holds a belief over labels that is, where they differ by their tokens, its belief in the best one. A message
    in words alone is not sure of anything.
    """

    def rule(said: Mapping[TurnKey, "Turn"], round: int) -> str | None:
        messages = [said[key].message for name in watch.voters if (key := TurnKey(round, name)) in said]
        weakest = [
            float(m.cipher.max_probability.min()) if m.cipher is not None and len(m.cipher) else 0.0 for m in messages
        ]
        if weakest and min(weakest) >= least:
            return f"everyone is sure, by {min(weakest):.3f} at least"
        return None

    return rule


def margin(watch: StoppingContext, *, votes: int = 2) -> StoppingRule:
    """The leading answer is so many votes ahead of the next."""

    def rule(said: Mapping[TurnKey, "Turn"], round: int) -> str | None:
        counts = Counter(a for a in watch.answers(said, round) if a is not None).most_common(2)
        lead = (counts[0][1] if counts else 0) - (counts[1][1] if len(counts) > 1 else 0)
        return f"an answer leads by {lead} votes in round {round}" if lead >= votes else None

    return rule


def share(watch: StoppingContext, *, of: float = 0.667) -> StoppingRule:
    """More than this share of the agents give one answer (DyLAN's two thirds, Liu et al., 2023)."""

    def rule(said: Mapping[TurnKey, "Turn"], round: int) -> str | None:
        answers = watch.answers(said, round)
        counts = Counter(a for a in answers if a is not None).most_common(1)
        most = counts[0][1] if counts else 0
        return f"{most} of {len(answers)} answers agree in round {round}" if most > of * len(answers) else None

    return rule


def budget(watch: StoppingContext, *, tokens: int = 0, seconds: float = 0.0) -> StoppingRule:
    """Stops after the round that reaches `tokens` or `seconds` (0: no limit).

    Seconds are the wall clock's: two runs may end in different rounds.
    """
    if tokens <= 0 and seconds <= 0:
        raise ConfigError("stopping rule 'budget' needs tokens or seconds above 0, e.g. budget(tokens=2000)")

    def rule(said: Mapping[TurnKey, "Turn"], round: int) -> str | None:
        passed = time.monotonic() - said.began if isinstance(said, SpokenTurns) else 0.0
        if 0 < seconds <= passed:
            return f"{passed:.1f} seconds passed, of a budget of {seconds:g}"
        spent = sum(turn.usage.generated_tokens for turn in said.values())
        return f"{spent} tokens were generated, of a budget of {tokens}" if 0 < tokens <= spent else None

    return rule


def moderator(watch: StoppingContext) -> StoppingRule:
    """The moderator's message holds an answer (MAD, Liang et al., 2023)."""

    def rule(said: Mapping[TurnKey, "Turn"], round: int) -> str | None:
        led = StoppingContext(watch.chairs, (), watch.extract).answers(said, round)
        return f"the moderator gave an answer in round {round}" if any(a is not None for a in led) else None

    return rule


def fixed(watch: StoppingContext) -> None:
    """Every round is played."""
    return


RULES: dict[str, Callable[..., StoppingRule]] = {
    "belief": belief,
    "budget": budget,
    "gate": gate,
    "margin": margin,
    "moderator": moderator,
    "share": share,
    "stable": stable,
    "sure": sure,
    "unanimity": unanimity,
}
GROUP = "debate.stopping_rules"
NEVER = "fixed"


def stopping_rule(stopping: str, watch: StoppingContext) -> StoppingRule | None:
    """Return the rule that a config names, e.g. `margin(votes=3)`; None for `fixed`, which plays every round.

    Raises:
        UnknownName: no such rule.
        ConfigError: a parameter that it does not take.
    """
    maker, named = load_named(stopping, "stopping rule", GROUP, {NEVER: fixed, **RULES}, positional=1)
    rule: StoppingRule | None = made(maker, named, "stopping rule", watch)
    if rule is not None and not callable(rule):
        raise ConfigError(
            f"stopping rule {named.name!r} makes no rule: a rule is a function, which is asked after each round"
        )
    return rule
