"""The counters of a run, scraped as Prometheus would while it is under way."""

import urllib.error
import urllib.request

import pytest

from agents.errors import ConfigError, RunError
from debate.config.load import validate
from debate.runtime.metrics import TOKEN, Metrics
from debate.runtime.observer import Observer, Together
from evals.evaluation import evaluate

parser = pytest.importorskip("prometheus_client.parser")
CONFIG = {"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "methods": {"text": {}, "cipher": {}}}


def scraped(port, path="/metrics", token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_while_the_run_is_under_way_and_after_counts_what_the_table_says(tmp_path, run):
    seen = []

    class Scraping(Observer):
        def turn_said(self, question, turn):
            if not seen:
                seen.append(scraped(metrics.port))

    with Metrics(0) as metrics:
        observer = Together(metrics, Scraping())
        rows = run(evaluate(validate(CONFIG, source="x"), out=tmp_path / "run", limit=4, observer=observer))
        found = scraped(metrics.port)
    assert seen[0]["debate_turns_total", "text"] == 1
    assert seen[0]["debate_debates_in_flight", "text"] == 4
    for row in rows:
        assert found["debate_turns_total", row.method] == row.turns
        assert found["debate_generated_tokens_total", row.method] == row.generated_tokens
        assert found["debate_message_bytes_total", row.method] == row.message_bytes
        assert found["debate_questions_asked", row.method] == 4
        assert found["debate_debates_in_flight", row.method] == 0
        assert found["debate_turns_in_flight", row.method] == 0
        ended = {key: value for key, value in found.items() if key[0] == "debate_questions_total" and row.method in key}
        assert sum(ended.values()) == row.total == 4
        assert ended.get(("debate_questions_total", row.method, "correct"), 0) == row.correct
    with pytest.raises(urllib.error.URLError):
        scraped(metrics.port)


def test_with_a_token_only_who_sends_it_is_answered(monkeypatch):
    monkeypatch.setenv(TOKEN, "secret")
    with Metrics(0) as metrics:
        for token in (None, "wrong"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                scraped(metrics.port, token=token)
        assert scraped(metrics.port, token="secret") == {}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            scraped(metrics.port, "/other", token="secret")


def test_beyond_loopback_a_token_is_asked_for(monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ConfigError, match=rf"others could read it\. Set a token in the environment \({TOKEN}\)"):
        Metrics(0, "0.0.0.0")
    with pytest.raises(ConfigError, match=r"no address, e\.g\. 127"):
        Metrics(0, "here")


def test_a_port_that_is_taken_is_named():
    with Metrics(0) as first, pytest.raises(RunError, match=rf"--metrics-port {first.port}: cannot listen at 127"):
        Metrics(first.port)


def test_the_command_line_serves_them(tmp_path, cli):
    code, _, error = cli("eval", "smoke", "--limit", 1, "--out", tmp_path / "run", "--metrics-port", 0)
    assert code == 0
    assert "metrics: http://127.0.0.1:" in error
