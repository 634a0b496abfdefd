"""What `decoding:` of an agent names: a way of decoding beyond sampling, with its parameters."""

from collections.abc import Callable

from agents.decoding.acbs import ConditionalBeam
from agents.decoding.future_blocks import Feed, FutureBlocks
from agents.decoding.hso import HiddenStateOptimisation
from agents.errors import ConfigError, DebateError, RequestError, UnknownName
from agents.registry import check_parameters, parse_named

Decoding = HiddenStateOptimisation | ConditionalBeam | FutureBlocks


def hso(*, steps: int = 1, rate: float = 0.01, bound: float = 0.1, window: int = 0) -> HiddenStateOptimisation:
    """Hidden state optimisation of heard vectors; see `agents/decoding/hso.py`."""
    return HiddenStateOptimisation(steps, rate, bound, window)


def acbs(
    *,
    width: int = 4,
    least: int = 1,
    most: int = 0,
    loop: int = 0,
    classifier: str = "",
    considered: int = 0,
    weight: float = 1.0,
) -> ConditionalBeam:
    """Conditional beam search for a text; see `agents/decoding/acbs.py`.

    Raises:
        ConfigError: a value out of range, or one that only a classifier has a use for, without one.
    """
    if not classifier and (considered or weight != 1.0):
        raise ConfigError(
            'decoding acbs: considered and weight are of a classifier: name its file, classifier="…", or leave them out'
        )
    return ConditionalBeam(width, least, most, loop, weight, classifier, considered)


def ftp_blocks(*, n: int = 4, feed: Feed = "argmax") -> FutureBlocks:
    """Messages by blocks; see `agents/decoding/future_blocks.py`."""
    return FutureBlocks(n, feed)


RULES: dict[str, Callable[..., Decoding]] = {"hso": hso, "acbs": acbs, "ftp_blocks": ftp_blocks}


def parse_decoding(text: str) -> Decoding:
    """Return the way of decoding that a config names, e.g. `hso(steps=2)`.

    Raises:
        UnknownName: there is no such way.
        ConfigError: a parameter that it does not take, or a value out of range.
    """
    named = parse_named(text, "decoding")
    if named.name not in RULES:
        raise UnknownName("decoding", named.name, RULES)
    rule = RULES[named.name]
    check_parameters(named, "decoding", rule)
    return rule(**named.parameters)


def of_reading(decoding: str | None) -> str | None:
    """Return a way of decoding where it says how a prompt is read; None of one that says how a message is found."""
    return decoding if decoding is not None and isinstance(parse_decoding(decoding), HiddenStateOptimisation) else None


def requested_decoding(text: str) -> Decoding:
    """Return the way of decoding that a request names.

    Raises:
        RequestError: see `parse_decoding`.
    """
    try:
        return parse_decoding(text)
    except DebateError as error:
        raise RequestError(str(error)) from error
