"""What one server lets its clients ask for."""

from dataclasses import dataclass

from agents.errors import ConfigError

# Keys of `debate` in a request that change what is played.
OVERRIDES = ("rounds", "method", "seed", "temperature", "id")
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        max_concurrent: debates played at once.
        max_queue: debates that wait for a place; further ones are refused with 429.
        timeout_s: seconds from a request to its answer, waiting included.
        max_body: bytes of a request's body.
        max_tokens: tokens that a debate may generate, if every turn is as long as it may be; None for no limit.
        max_rounds: rounds that a request may ask for; None for those of the config.
        overrides: keys of `debate` that a request may have.
        heartbeat_s: seconds without a word after which a stream sends a comment, so that proxies keep it open.
        read_s: seconds in which a request's head must arrive, then its body, and each piece of a stream be taken.
    """

    max_concurrent: int = 32
    max_queue: int = 128
    timeout_s: float = 600.0
    max_body: int = MEGABYTE
    max_tokens: int | None = None
    max_rounds: int | None = None
    overrides: tuple[str, ...] = OVERRIDES
    heartbeat_s: float = 10.0
    read_s: float = 30.0

    def __post_init__(self) -> None:
        for name in self.overrides:
            if name not in OVERRIDES:
                raise ConfigError(f"--allow {name!r}: choose among {', '.join(OVERRIDES)}, or `none`")
