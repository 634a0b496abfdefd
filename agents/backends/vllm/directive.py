"""What a request tells the worker: how its beliefs become vectors. Travels in vLLM's `SamplingParams.extra_args`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agents.decoding.cipher_step import requested_encoder
from agents.errors import RequestError
from kernels.encoders import Encoder

KEY = "cipher"
# Token beliefs that the worker keeps per step at most; its buffers have this width.
MAX_BELIEFS = 32


@dataclass(frozen=True)
class Directive:
    """The CIPHER part of a request.

    Attributes:
        encoder: as `kernels.encoders.parse` reads it.
        temperature: of the belief softmax(z / temperature); None takes the request's own.
        seed: of encoders that draw; None takes the request's own, or 0.
        beliefs: K, how many tokens of each belief are kept.
        key: under which the finished vectors are asked for; unique among requests under way.
        hearers: `HearingTable.name` of each rendering besides the message's own: hashes of tables that the worker was given,
            with a content control before them where one is rendered.
    """

    encoder: str
    key: str
    temperature: float | None = None
    seed: int | None = None
    beliefs: int = 8
    hearers: tuple[str, ...] = ()

    def extra_args(self) -> dict[str, Any]:
        """Return what to put into `SamplingParams.extra_args`."""
        return {KEY: asdict(self)}

    def parsed(self) -> Encoder:
        """Return the encoder.

        Raises:
            RequestError: no such encoder.
        """
        return requested_encoder(self.encoder)


def read(extra_args: Mapping[str, Any] | None) -> Directive | None:
    """Return the directive of a request, or None where it has none.

    Raises:
        RequestError: it has one that cannot be followed; the text says why.
    """
    given = (extra_args or {}).get(KEY)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise RequestError(f"extra_args[{KEY!r}] must be a mapping, got {type(given).__name__}")
    known = ("encoder", "key", "temperature", "seed", "beliefs", "hearers")
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise RequestError(f"extra_args[{KEY!r}]: unknown key {unknown[0]!r}. Known: {', '.join(known)}.")
    if not isinstance(given.get("encoder"), str) or not isinstance(given.get("key"), str):
        raise RequestError(f"extra_args[{KEY!r}] needs an `encoder` and a `key`, both strings")
    hearers = given.get("hearers", ())
    if not isinstance(hearers, list | tuple) or not all(isinstance(name, str) for name in hearers):
        raise RequestError(f"extra_args[{KEY!r}].hearers must be a list of tables' hashes; got {hearers!r}")
    directive = Directive(**{**given, "hearers": tuple(hearers)})
    directive.parsed()
    temperature, beliefs = directive.temperature, directive.beliefs
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature < float("inf")):
        raise RequestError(f"extra_args[{KEY!r}].temperature must be finite and at least 0; got {temperature!r}")
    if not isinstance(beliefs, int) or not 0 <= beliefs <= MAX_BELIEFS:
        raise RequestError(f"extra_args[{KEY!r}].beliefs must be 0 to {MAX_BELIEFS}; got {beliefs!r}")
    if directive.seed is not None and not (isinstance(directive.seed, int) and 0 <= directive.seed < 2**63):
        raise RequestError(f"extra_args[{KEY!r}].seed must be 0 to 2**63 − 1; got {directive.seed!r}")
    return directive
