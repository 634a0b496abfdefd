"""A run's counters for Prometheus, at http://127.0.0.1:PORT/metrics while it is under way."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from agents.backend import Backend
from agents.errors import ConfigError, MissingDependency, RunError
from agents.question import Question
from debate.access import LOOPBACK, is_loopback, same_token
from debate.decision.decision import Decision
from debate.orchestrator import Debate
from debate.runtime.observer import Observer
from debate.transcript import Turn, TurnKey

TOKEN = "CIPHER_DEBATE_METRICS_TOKEN"  # noqa: S105 - the name of a variable
PATH = "/metrics"


class Metrics(Observer):
    """Counts what it is told of, and serves it; a context manager that ends the server.

    Counters are of this session: what an earlier one said is in the journal (`debate status`).

    Args:
        port: to listen at; 0 takes a free one.
        host: an address. Beyond loopback the environment must have a token, which scrapers send as a bearer token.

    Raises:
        MissingDependency: prometheus_client is not installed.
        ConfigError: an address that is none, or open to others without a token.
        RunError: the port is taken.
    """

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app
        except ModuleNotFoundError as error:
            raise MissingDependency("--metrics-port", "prometheus_client", "metrics") from error
        token = os.environ.get(TOKEN, "")
        if not is_loopback(host, option="--metrics-host") and not token:
            raise ConfigError(
                f"--metrics-host {host}: others could read it. Set a token in the environment ({TOKEN}), which scrapers send as "
                f"a bearer token, or leave it at {LOOPBACK}."
            )
        registry = CollectorRegistry()
        of_method = {"labelnames": ["method"], "registry": registry}
        self.turns = Counter("debate_turns", "Turns said.", **of_method)
        self.tokens = Counter("debate_generated_tokens", "Steps decoded.", **of_method)
        self.prompts = Counter("debate_prompt_tokens", "Positions of prompts.", **of_method)
        self.bytes = Counter("debate_message_bytes", "Bytes of what was said.", **of_method)
        self.ended = Counter(
            "debate_questions",
            "Debates that ended: correct, incorrect, no answer, unscored or failed.",
            ["method", "outcome"],
            registry=registry,
        )
        self._asked = Gauge("debate_questions_asked", "Questions that the method was to play.", **of_method)
        self.debates = Gauge("debate_debates_in_flight", "Debates begun and not ended.", **of_method)
        self.waiting = Gauge("debate_turns_in_flight", "Turns submitted and not said.", **of_method)
        app = make_wsgi_app(registry)
        try:
            server = make_server(host, port, _guarded(app, token), server_class=WSGIServer, handler_class=_Quiet)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunError(f"--metrics-port {port}: cannot listen at {host}: {reason}. Choose another port.") from error
        self._server = server
        self.port = int(server.server_port)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def method_started(self, method: str, debate: Debate, total: int, backends: Sequence[Backend]) -> None:
        """Count what it is to play."""
        self._asked.labels(method).set(total)

    def of_method(self, method: str) -> Observer:
        """Return who counts a method's debates under its name."""
        return _OfMethod(self, method)

    def method_finished(self, row: Any) -> None:
        """Nothing is in flight any more, not even what a given-up debate had submitted."""
        self.waiting.labels(row.method).set(0)


class _OfMethod(Observer):
    """Counts the debates of one method."""

    def __init__(self, counters: Metrics, method: str) -> None:
        self._counters, self._method = counters, method

    def debate_started(self, question: Question) -> None:
        """One more is in flight."""
        self._counters.debates.labels(self._method).inc()

    def turn_started(self, question: Question, turn: TurnKey) -> None:
        """One more is under way."""
        self._counters.waiting.labels(self._method).inc()

    def turn_said(self, question: Question, turn: Turn) -> None:
        """Count a turn."""
        self._counters.waiting.labels(self._method).dec()
        self._counters.turns.labels(self._method).inc()
        self._counters.tokens.labels(self._method).inc(turn.usage.generated_tokens)
        self._counters.prompts.labels(self._method).inc(turn.usage.prompt_tokens)
        self._counters.bytes.labels(self._method).inc(turn.message.num_bytes)

    def debate_decided(self, question: Question, decision: Decision, score: Any) -> None:
        """Count a debate by its verdict."""
        self._end("unscored" if score is None else score.value)

    def debate_failed(self, question: Question, reason: str) -> None:
        """Count a debate that was given up."""
        self._end("failed")

    def _end(self, outcome: str) -> None:
        self._counters.debates.labels(self._method).dec()
        self._counters.ended.labels(self._method, outcome).inc()


class _Quiet(WSGIRequestHandler):
    """Says nothing of requests: the screen is the run's."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _guarded(app: Callable[..., Iterable[bytes]], token: str) -> Callable[..., Iterable[bytes]]:
    """Return an application that answers at one path, and where there is a token only who sends it."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        if token and not same_token(given, token):
            start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
            return [b""]
        if environ.get("PATH_INFO") != PATH or environ.get("REQUEST_METHOD") != "GET":
            start_response("404 Not Found", [])
            return [b""]
        return app(environ, start_response)

    return guarded
