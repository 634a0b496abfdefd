"""A decision that a config names → its rule."""

from collections.abc import Callable
from typing import Any

from agents.errors import ConfigError, UnknownName
from debate.config.named import check_parameters, parse_named
from debate.decision import ballots, belief_rules
from debate.decision.answers import judge, last_speaker, lowest_temperature, majority, verifier
from debate.decision.decision import Decode, Rule


def decision_rule(decision: str, decode: Decode | None = None) -> Rule:
    """Return the rule that a config names, e.g. `weighted(by="entropy")`.

    Args:
        decision: a name, with parameters if need be.
        decode: token of a model → its text, for rules over beliefs.

    Raises:
        UnknownName: no such rule.
        ConfigError: a parameter that it does not take or lacks, or a rule over beliefs without `decode`.
    """
    call = parse_named(decision, "decision")
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
    return {
        "approval": ballots.approval,
        "belief_average": belief_rules.belief_average,
        "borda": ballots.borda,
        "cumulative": ballots.cumulative,
        "depth": belief_rules.deepest,
        "judge": judge,
        "last_speaker": last_speaker,
        "lowest_temperature": lowest_temperature,
        "majority": majority,
        "ranked": ballots.ranked,
        "verifier": verifier,
        "weighted": belief_rules.weighted,
    }
