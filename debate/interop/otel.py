"""Debates as traces: OpenTelemetry's conventions for generative AI (v0.1.0, in development), sent by OTLP.

debate = `invoke_workflow`, turn = `invoke_agent` in it, the engine's work for it = `chat`; who heard whom = links between turns;
what it came to = an event `gen_ai.evaluation.result`. What was said is sent only where the variable `CONTENT` is true. Where to,
the standard variables say (OTEL_EXPORTER_OTLP_ENDPOINT, …_HEADERS).
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from agents.backend import Backend
from agents.installed import installed_version
from agents.question import Question
from debate.decision.decision import Decision
from debate.orchestrator import Debate
from debate.runtime.observer import Observer
from debate.transcript import Turn, TurnKey

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
SERVICE = "OTEL_SERVICE_NAME"
NAME = "cipher-debate"
FAILED = "failed"


@contextlib.contextmanager
def tracing() -> Iterator[Observer]:
    """Yield an observer whose traces are exported while the block runs; what is left is sent at its end."""
    version = installed_version(NAME) or ""
    resource = Resource.create({"service.name": os.environ.get(SERVICE, NAME), "service.version": version})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield DebateTracer(
            provider.get_tracer(NAME, version), shows_content=os.environ.get(CONTENT, "").lower() == "true"
        )
    finally:
        provider.shutdown()


@dataclass
class _Spans:
    """The spans of one debate: its own, its turns', and when each turn began, in nanoseconds since 1970."""

    debate: Span
    turns: dict[TurnKey, Span] = field(default_factory=dict)
    began: dict[TurnKey, int] = field(default_factory=dict)
    rounds: int = 0


class DebateTracer(Observer):
    """Makes spans of what it is told.

    Args:
        tracer: takes them.
        shows_content: whether they say what was asked and said.
        method: of the debates.
        debates: method → agents, as they are told of.
        conversation: id of the one debate; None where each has its question's.
    """

    def __init__(
        self,
        tracer: Tracer,
        *,
        shows_content: bool = False,
        method: str = "debate",
        debates: dict[str, Debate] | None = None,
        conversation: str | None = None,
    ) -> None:
        self._tracer, self._shows, self._method = tracer, shows_content, method
        self._debates: dict[str, Debate] = {} if debates is None else debates
        self._conversation = conversation
        self._open: dict[str, _Spans] = {}

    def of_method(self, method: str) -> Observer:
        """Return who is told of one method's debates."""
        return DebateTracer(self._tracer, shows_content=self._shows, method=method, debates=self._debates)

    def of_debate(self, id: str) -> Observer:
        """Return who is told of one debate under an id of its own."""
        return DebateTracer(self._tracer, shows_content=self._shows, method=self._method, conversation=id)

    def method_started(self, method: str, debate: Debate, total: int, backends: Sequence[Backend]) -> None:
        """Note who speaks."""
        self._debates[method] = debate
        if self._conversation is not None:
            self._method = method

    def debate_started(self, question: Question) -> None:
        """Begin a trace."""
        span = self._tracer.start_span(
            f"invoke_workflow {self._method}",
            # A debate belongs to no trace that happens to be open.
            context=Context(),
            kind=SpanKind.INTERNAL,
            attributes={
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.agent.name": self._method,
                "gen_ai.conversation.id": self._conversation or question.id,
                "cipher.question.id": question.id,
                **self._content("gen_ai.input.messages", "user", question.text),
            },
        )
        self._open[question.id] = _Spans(span)

    def turn_started(self, question: Question, turn: TurnKey) -> None:
        """Begin a turn's span."""
        spans = self._open.get(question.id)
        if spans is None:
            return
        spans.began[turn] = time.time_ns()
        spans.turns[turn] = self._tracer.start_span(
            f"invoke_agent {turn.agent}",
            context=set_span_in_context(spans.debate),
            kind=SpanKind.INTERNAL,
            start_time=spans.began[turn],
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": turn.agent,
                "cipher.round": turn.round,
            },
        )

    def turn_said(self, question: Question, turn: Turn) -> None:
        """End a turn's span, linked to those that it heard, with the engine's work inside it."""
        spans = self._open.get(question.id)
        if spans is None or turn.key not in spans.turns:
            return
        span = spans.turns[turn.key]
        spans.rounds = max(spans.rounds, turn.key.round)
        for key in turn.heard:
            # Those said in an earlier session have no span in this one.
            if key in spans.turns:
                span.add_link(spans.turns[key].get_span_context(), {"cipher.heard": f"{key.round}/{key.agent}"})
        message = turn.message
        span.set_attributes({"cipher.message.digest": message.digest, "cipher.message.bytes": message.num_bytes})
        if message.encoder is not None:
            span.set_attribute("cipher.encoder", message.encoder)
        chat = self._tracer.start_span(
            f"chat {message.model.model}",
            context=set_span_in_context(span),
            kind=SpanKind.CLIENT,
            start_time=spans.began[turn.key],
            attributes={**self._chat(turn), **self._content("gen_ai.output.messages", "assistant", message.text)},
        )
        chat.end()
        span.end()

    def debate_decided(self, question: Question, decision: Decision, score: Any) -> None:
        """End a debate's span with what it came to."""
        spans = self._open.pop(question.id, None)
        if spans is None:
            return
        result: dict[str, Any] = {
            "gen_ai.evaluation.name": "decision",
            "gen_ai.evaluation.explanation": decision.reason,
        }
        if score is not None:
            result["gen_ai.evaluation.score.label"] = score.value
            if score.value != FAILED:
                result["gen_ai.evaluation.score.value"] = float(score.value == "correct")
        if self._shows and decision.answer is not None:
            result["cipher.answer"] = decision.answer
        spans.debate.add_event("gen_ai.evaluation.result", result)
        spans.debate.set_attribute("cipher.rounds", spans.rounds)
        self._close(spans)

    def debate_failed(self, question: Question, reason: str) -> None:
        """End a debate's span, and those of turns that were never said, with the reason."""
        spans = self._open.pop(question.id, None)
        if spans is not None:
            spans.debate.set_status(Status(StatusCode.ERROR, reason))
            self._close(spans)

    def _close(self, spans: _Spans) -> None:
        for span in spans.turns.values():
            if span.is_recording():
                span.set_status(Status(StatusCode.ERROR, "the debate ended before it was said"))
                span.end()
        spans.debate.end()

    def _chat(self, turn: Turn) -> dict[str, Any]:
        message, usage = turn.message, turn.usage
        found: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": message.model.model,
            "gen_ai.request.temperature": message.temperature,
            "gen_ai.request.seed": turn.seed,
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.generated_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.response.finish_reasons": [turn.finish_reason],
        }
        debate = self._debates.get(self._method)
        if debate is not None and turn.key.agent in debate.agents:
            agent = debate.agents[turn.key.agent]
            found["gen_ai.provider.name"] = _provider(agent.backend)
            sampling = agent.sampling
            found["gen_ai.request.max_tokens"] = sampling.max_tokens
            if sampling.top_p is not None:
                found["gen_ai.request.top_p"] = sampling.top_p
            if sampling.top_k is not None:
                found["gen_ai.request.top_k"] = sampling.top_k
        return found

    def _content(self, name: str, role: str, text: str) -> dict[str, str]:
        if not self._shows:
            return {}
        return {name: json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)}


def _provider(backend: Backend) -> str:
    """Return which kind of engine a backend is, as its config calls it."""
    name = str(getattr(backend, "name", "")).partition(":")[0]
    return name or type(backend).__name__.removesuffix("Backend").lower()
