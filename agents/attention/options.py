"""What `cache:` and `attention:` of an agent's options name, by transformers' engine."""

from collections.abc import Callable

from agents.attention.clipped import clipped
from agents.attention.combiner import combiner
from agents.attention.hard import hard
from agents.attention.harmonic import harmonic
from agents.attention.probabilistic import probabilistic
from agents.attention.row_attention import RowAttention
from agents.attention.staircase import Staircase, staircase, uniform
from agents.errors import ConfigError
from agents.registry import load_named

CACHES: dict[str, Callable[..., Staircase]] = {"staircase": staircase, "uniform": uniform}
GROUP = "debate.attentions"
ATTENTIONS: dict[str, Callable[..., RowAttention]] = {
    "clipped": clipped,
    "combiner": combiner,
    "hard": hard,
    "harmonic": harmonic,
    "probabilistic": probabilistic,
}


def cache_of(text: str) -> Staircase:
    """Return the cache that an option names, e.g. `staircase(bits=(8, 4, 2), chunk=16)`.

    Raises:
        UnknownName: there is no such cache.
        ConfigError: a parameter that it does not take, or of another type or size.
    """
    function, named = load_named(text, "cache", "debate.caches", CACHES)
    found = function(**named.parameters)
    if not isinstance(found, Staircase):
        raise ConfigError(f"cache {named.name!r} does not return a {Staircase.__name__}, but a {type(found).__name__}")
    return found


def attention_of(text: str) -> RowAttention:
    """Return the attention that an option names, e.g. `combiner(segment=16)`.

    Raises:
        UnknownName: there is no such attention.
        ConfigError: a parameter that it does not take, or of another type or size.
    """
    function, named = load_named(text, "attention", GROUP, ATTENTIONS)
    found = function(**named.parameters)
    if not isinstance(found, RowAttention):
        raise ConfigError(f"attention {named.name!r} returns no {RowAttention.__name__}, but a {type(found).__name__}")
    return found
