"""A decision that a config names → its rule."""

from collections.abc import Callable, Sequence
from typing import Any

from agents.errors import ConfigError
from agents.registry import load_named, made, takes
from debate.decision import attended, ballots, belief_rules, fused, ordered
from debate.decision.answers import judge, last_speaker, likeliest, lowest_temperature, majority, verifier
from debate.decision.decision import Decode, Rule

GROUP = "debate.decisions"


def decision_rule(decision: str, decode: Decode | None = None, *, voters: Sequence[str] | None = None) -> Rule:
    """Return the rule that a config names, e.g. `weighted(by="entropy")`.

    Args:
        decision: a name, with parameters if need be.
        decode: token of a model → its text, for rules over beliefs.
        voters: agents whose answers will count, for rules that know some agents alone: others are refused now.

    Raises:
        UnknownName: no such rule.
        ConfigError: a parameter that it does not take or lacks, or a rule over beliefs without `decode`, or a voter that it does
            not know.
    """
    maker, named = load_named(decision, "decision", GROUP, rules(), given=("decode", "voters"))
    given: dict[str, Any] = {}
    for key, value in (("decode", decode), ("voters", voters)):
        if key in (getattr(maker, "__kwdefaults__", None) or {}):
            given[key] = value
    return _of_poll(named.name, made(maker, named, "decision", **given))


def _of_poll(name: str, rule: Any) -> Rule:
    """Return a rule that takes a poll, of one that does, or of one that takes (transcript, temperatures, extract).

    Raises:
        ConfigError: it takes neither.
    """
    if takes(rule, 1):
        poll_rule: Rule = rule
        return poll_rule
    if takes(rule, 3):
        return lambda poll: rule(poll.transcript, poll.electorate.of_voters, poll.extract)
    raise ConfigError(
        f"decision {name!r} makes no rule: a rule is a function of one argument, a debate.decision.decision.Poll, and returns "
        "a Decision"
    )


def rules() -> dict[str, Callable[..., Rule]]:
    """Return every rule by name."""
    return {
        "approval": ballots.approval,
        "attended": attended.attended,
        "belief_average": belief_rules.belief_average,
        "borda": ballots.borda,
        "cumulative": ballots.cumulative,
        "depth": belief_rules.deepest,
        "fused": fused.fused,
        "judge": judge,
        "last_speaker": last_speaker,
        "likeliest": likeliest,
        "lowest_temperature": lowest_temperature,
        "majority": majority,
        "ranked": ballots.ranked,
        "step_order": ordered.step_order,
        "verifier": verifier,
        "weighted": belief_rules.weighted,
    }
