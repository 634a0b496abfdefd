"""What `cache:` and `attention:` of an agent's options name: of transformers' engine, and of encoders."""

from collections.abc import Callable

from agents.attention.clipped import clipped
from agents.attention.combiner import combiner
from agents.attention.ecoformer import EcoFormer, ecoformer
from agents.attention.hard import hard
from agents.attention.harmonic import harmonic
from agents.attention.probabilistic import probabilistic
from agents.attention.row_attention import RowAttention
from agents.attention.staircase import Staircase, staircase, uniform
from agents.errors import ConfigError
from agents.registry import check_parameters, load_named, parse_named

CACHES: dict[str, Callable[..., Staircase]] = {"staircase": staircase, "uniform": uniform}
GROUP = "debate.attentions"
ATTENTIONS: dict[str, Callable[..., RowAttention | EcoFormer]] = {
    "clipped": clipped,
    "combiner": combiner,
    "hard": hard,
    # Known by name, and refused in a sentence.
    "ecoformer": ecoformer,
    "harmonic": harmonic,
    "probabilistic": probabilistic,
}
ENCODER_ATTENTIONS: dict[str, Callable[..., EcoFormer]] = {"ecoformer": ecoformer}


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
    """Return the attention of a causal model that an option names, e.g. `combiner(segment=16)`.

    Raises:
        UnknownName: there is no such attention.
        ConfigError: an encoder's attention, a parameter that it does not take, or of another type or size.
    """
    function, named = load_named(text, "attention", GROUP, ATTENTIONS)
    found = function(**named.parameters)
    if isinstance(found, EcoFormer):
        raise ConfigError(
            f"attention {named.name!r} hears what stands behind a token, which a causal model may not: give it to an encoder "
            "that has hashes, e.g. the backend text_encoder with a checkpoint of `debate train text_encoder:ecoformer`"
        )
    if not isinstance(found, RowAttention):
        raise ConfigError(f"attention {named.name!r} returns no {RowAttention.__name__}, but a {type(found).__name__}")
    return found


def encoder_attention_of(text: str) -> EcoFormer:
    """Return the attention of an encoder that an option or a checkpoint names, e.g. `ecoformer(bits=16)`.

    A checkpoint is anybody's, so that nothing is imported by the name that it holds.

    Raises:
        ConfigError: there is no such attention of an encoder, a parameter that it does not take, or of another type or size.
    """
    named = parse_named(text, "attention")
    if named.name not in ENCODER_ATTENTIONS:
        raise ConfigError(
            f"attention {named.name[:60]!r} is none of an encoder's layers: write {', '.join(ENCODER_ATTENTIONS)}, or leave it "
            "out for a softmax"
        )
    function = ENCODER_ATTENTIONS[named.name]
    check_parameters(named, "attention", function)
    return function(**named.parameters)
