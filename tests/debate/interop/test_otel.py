"""Traces of debates, as a collector of OTLP gets them over HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.serving import SUM, asking, serving, smoke

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typer.testing import CliRunner

from debate.cli.app import app
from debate.interop.otel import CONTENT, tracing
from debate.run_folder.reader import RunReader


class Collector(HTTPServer):
    """Keeps the spans that are sent to it, and their attributes as Python values."""

    def __init__(self):
        self.spans, self.resources = [], []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest()
                request.ParseFromString(body)
                for found in request.resource_spans:
                    collector.resources.append(values(found.resource.attributes))
                    collector.spans += [span for scope in found.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                return

        super().__init__(("127.0.0.1", 0), Handler)

    def named(self, start):
        return [span for span in self.spans if span.name.startswith(start)]


def values(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def collector(monkeypatch):
    with Collector() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{found.server_port}")
        monkeypatch.delenv(CONTENT, raising=False)
        yield found
        found.shutdown()
        thread.join()


def check_debate(collector, debate, rounds=3):
    """Turns are in the debate, each with the engine's work inside, and linked to those that it heard."""
    turns = [span for span in collector.named("invoke_agent ") if span.parent_span_id == debate.span_id]
    assert len(turns) == 2 * rounds
    by_id = {span.span_id: span for span in turns}
    for span in turns:
        said = values(span.attributes)
        (chat,) = (one for one in collector.named("chat ") if one.parent_span_id == span.span_id)
        found = values(chat.attributes)
        assert found["gen_ai.operation.name"] == "chat"
        assert found["gen_ai.request.model"] == "mock"
        assert found["gen_ai.provider.name"] == "mock"
        assert found["gen_ai.request.max_tokens"] == 64
        assert found["gen_ai.usage.output_tokens"] > 0
        assert (
            span.start_time_unix_nano <= chat.start_time_unix_nano <= chat.end_time_unix_nano <= span.end_time_unix_nano
        )
        heard = [values(by_id[link.span_id].attributes) for link in span.links]
        if said["cipher.round"] == 1:
            assert heard == []
        else:
            (one,) = heard
            assert one["cipher.round"] == said["cipher.round"] - 1
            assert one["gen_ai.agent.name"] != said["gen_ai.agent.name"]
    return turns


def test_an_evaluation_is_traced(collector, tmp_path):
    said = CliRunner().invoke(
        app, ["eval", "smoke", "--limit", "3", "--methods", "single,cipher", "--out", str(tmp_path / "run"), "--otel"]
    )
    assert said.exit_code == 0, said.output
    assert collector.resources[0]["service.name"] == "cipher-debate"
    debates = collector.named("invoke_workflow cipher")
    records = {one.transcript.question.id: one for one in RunReader(tmp_path / "run").debates("cipher")}
    assert len(debates) == len(records) == 3
    assert len(collector.named("invoke_workflow single")) == 3
    for debate in debates:
        assert debate.parent_span_id == b""
        found = values(debate.attributes)
        record = records[found["gen_ai.conversation.id"]]
        assert found["cipher.rounds"] == 3
        (event,) = debate.events
        assert event.name == "gen_ai.evaluation.result"
        result = values(event.attributes)
        assert result["gen_ai.evaluation.score.label"] == record.decision["score"]
        assert result["gen_ai.evaluation.score.value"] == float(record.decision["score"] == "correct")
        assert result["gen_ai.evaluation.explanation"] == record.decision["reason"]
        turns = check_debate(collector, debate)
        digests = {turn.message.digest for turn in record.transcript.turns}
        assert {values(span.attributes)["cipher.message.digest"] for span in turns} == digests
    # What was asked and said stays here unless it is asked for.
    assert not any(text in str(span) for span in collector.spans for text in ("What is the result", "Answer:"))


def test_served_debates_are_traced_by_their_ids_with_content_if_asked(collector, monkeypatch):
    monkeypatch.setenv(CONTENT, "true")
    with tracing() as observer, serving({"smoke": smoke()}, observer=observer) as served:
        ids = [served.post(asking(SUM, debate={"rounds": 2}))[1]["x-debate-id"] for _ in range(2)]
        assert served.post(asking("x", stream=False, debate={"rounds": 2}))[0] == 200
    debates = {values(span.attributes)["gen_ai.conversation.id"]: span for span in collector.named("invoke_workflow")}
    assert set(ids) < set(debates)
    for id in ids:
        check_debate(collector, debates[id], rounds=2)
        (asked,) = json.loads(values(debates[id].attributes)["gen_ai.input.messages"])
        assert asked["parts"][0]["content"] == SUM
    said = [values(span.attributes)["gen_ai.output.messages"] for span in collector.named("chat ")]
    assert any("Answer: 15" in text for text in said)


def test_a_debate_that_fails_is_an_error_in_its_trace(collector):
    config = smoke(options={"script": {"nothing that is asked": "x"}})
    with tracing() as observer, serving({"smoke": config}, observer=observer) as served:
        assert served.post(asking(SUM))[0] == 400
    (debate,) = collector.named("invoke_workflow")
    assert debate.status.code == 2
    assert "no pattern" in debate.status.message
    assert all(span.end_time_unix_nano for span in collector.named("invoke_agent"))
