"""A server's counters for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from debate.serving.debates import Tally
from debate.transcript import Turn

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Counters(Tally):
    """Counts requests, debates, turns and tokens."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "debate_serve_requests", "Responses by path and status.", ["path", "status"], registry=registry
        )
        self._debates = Counter("debate_serve_debates", "Debates that ended.", ["outcome"], registry=registry)
        self._seconds = Histogram(
            "debate_serve_debate_seconds", "Time of a debate, without waiting.", buckets=SECONDS, registry=registry
        )
        self._turns = Counter("debate_serve_turns", "Turns said.", registry=registry)
        self._tokens = Counter("debate_serve_tokens", "Tokens by kind.", ["kind"], registry=registry)

    def watch(self, inside: Callable[[], int], playing: Callable[[], int]) -> None:
        """Show how many debates are played, and how many wait."""
        Gauge("debate_serve_playing", "Debates played now.", registry=self._registry).set_function(playing)
        Gauge("debate_serve_waiting", "Debates that wait for a place.", registry=self._registry).set_function(
            lambda: inside() - playing()
        )

    def answered(self, path: str, status: int) -> None:
        """Count a response."""
        self._requests.labels(path, str(status)).inc()

    def said(self, turn: Turn) -> None:
        """Count a turn."""
        self._turns.inc()
        self._tokens.labels("prompt").inc(turn.usage.prompt_tokens)
        self._tokens.labels("cached").inc(turn.usage.cached_tokens)
        self._tokens.labels("generated").inc(turn.usage.generated_tokens)

    def ended(self, outcome: str, seconds: float) -> None:
        """Count a debate: `answered`, `failed` or `cancelled`."""
        self._debates.labels(outcome).inc()
        self._seconds.observe(seconds)

    def page(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        page: bytes = generate_latest(self._registry)
        return page
