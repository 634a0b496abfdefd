"""Inspect itself: its provider for servers, ours, the solver with its spans, and the log of a run that its own reader opens."""

import json
import subprocess
import sys

import pytest
from support.serving import serving, smoke
from typer.testing import CliRunner

from agents.errors import ConfigError, DebateError, RequestError
from debate.cli.app import app
from debate.config.load import load_config
from debate.run_folder.reader import RunReader
from evals import evaluate_sync
from evals.task import create_task

pytest.importorskip("inspect_ai")

from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.agent import as_solver
from inspect_ai.dataset import Sample
from inspect_ai.event import timeline_build
from inspect_ai.log import read_eval_log
from inspect_ai.model import ChatMessageUser, ContentImage, ContentReasoning, ContentText, get_model
from inspect_ai.scorer import pattern
from inspect_ai.solver import generate

from debate.interop.inspect_outputs import text_messages
from debate.interop.inspect_registry import debate_agent, debate_solver

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)
COUNT = 8


def task(name="arithmetic", solver=None, count=COUNT):
    samples = create_task(name, seed=0).load(count).samples[:count]
    asked = [Sample(id=one.id, input=one.question, target=one.target) for one in samples]
    return Task(dataset=asked, solver=solver or generate(), scorer=pattern(r"Answer: (-?\d+)"), name="sums")


def played(tmp_path, model, made=None, **options):
    (log,) = inspect_eval(
        made or task(), model=model, log_dir=str(tmp_path), display="none", log_format="eval", **options
    )
    assert log.status == "success", log.error
    return read_eval_log(log.location)


def right(log):
    return sum(sample.scores["pattern"].value == "C" for sample in log.samples)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A run of `debate eval` over the same questions."""
    out = tmp_path_factory.mktemp("runs") / "run"
    rows = evaluate_sync(smoke(), out=out, methods=["single", "cipher"], limit=COUNT)
    return out, {row.method: row for row in rows}


def test_the_provider_answers_with_the_debate_as_reasoning(tmp_path):
    log = played(tmp_path, "cipher-debate/smoke", model_args={"method": "cipher", "rounds": 2})
    sample = log.samples[0]
    reasoning, text = sample.output.choices[0].message.content
    assert isinstance(reasoning, ContentReasoning)
    assert isinstance(text, ContentText)
    assert "ada, round 1:" in reasoning.reasoning
    assert "ben, round 2:" in reasoning.reasoning
    assert text.text in reasoning.reasoning
    assert sample.output.metadata["rounds"] == 2
    usage = sample.output.usage
    assert usage.total_tokens == usage.input_tokens + usage.input_tokens_cache_read + usage.output_tokens
    assert 0 < usage.reasoning_tokens < usage.output_tokens
    assert 0 < right(log) <= COUNT
    assert sample.output.stop_reason == "stop"


def test_one_agent_of_temperature_zero_scores_as_in_an_evaluation(tmp_path):
    rows = evaluate_sync(load_config("debaters/experts"), out=tmp_path / "run", methods=["single"], limit=COUNT)
    log = played(tmp_path, "cipher-debate/debaters/experts", task("arithmetic:held_out"), model_args={"agent": "ivy"})
    assert right(log) == rows[0].correct
    assert isinstance(log.samples[0].output.choices[0].message.content[0], ContentText)


def test_the_solver_says_what_an_evaluation_says_with_a_span_for_each_round_and_agent(tmp_path, ours):
    _, rows = ours
    log = played(tmp_path, "none/none", task(solver=debate_solver("smoke", method="cipher")))
    assert right(log) == rows["cipher"].correct
    spans = [(event.type, event.name) for event in log.samples[0].events if event.event == "span_begin"]
    for round in (1, 2, 3):
        assert ("round", f"round {round}") in spans
    assert spans.count(("agent", "ada")) == spans.count(("agent", "ben")) == 3
    said = [event.data for event in log.samples[0].events if event.event == "info" and "said" in event.data]
    assert [(one["round"], one["agent"]) for one in said] == [(r, a) for r in (1, 2, 3) for a in ("ada", "ben")]
    assert said[2]["heard"] == ["1/ben"]
    names = _agents(timeline_build(log.samples[0].events).root)
    assert names.count("ada") == names.count("ben") == 3


def _agents(span):
    found = [span.name] if span.span_type == "agent" and span.name != "main" else []
    return found + [name for one in span.content if hasattr(one, "content") for name in _agents(one)]


@pytest.mark.parametrize("way", ["provider", "solver", "agent"])
def test_each_epoch_is_a_debate_of_its_own(tmp_path, way):
    solvers = {"provider": None, "solver": debate_solver("smoke"), "agent": as_solver(debate_agent("smoke"))}
    model = "cipher-debate/smoke" if way == "provider" else "none/none"
    first, again = (
        {
            (sample.id, sample.epoch): sample.output.choices[0].message.text
            for sample in played(tmp_path / folder, model, task(solver=solvers[way], count=6), epochs=3).samples
        }
        for folder in ("first", "again")
    )
    assert first == again
    ids = {id for id, _ in first}
    assert any(len({first[id, epoch] for epoch in (1, 2, 3)}) > 1 for id in ids)
    once = played(tmp_path / "once", model, task(solver=solvers[way], count=6))
    assert {sample.id: sample.output.choices[0].message.text for sample in once.samples} == {
        id: first[id, 1] for id in ids
    }


def test_mistakes_are_sentences(tmp_path):
    with pytest.raises(ConfigError, match="unknown option 'mehtod'.*Known: agent, method"):
        get_model("cipher-debate/smoke", mehtod="text")
    (log,) = inspect_eval(
        task(count=1), model="cipher-debate/smoke", model_args={"method": "no"}, log_dir=str(tmp_path), display="none"
    )
    assert log.status == "error"
    assert "method" in str(log.error.message)


def test_what_is_no_text_is_refused():
    assert text_messages([ChatMessageUser(content="Why?")]) == [{"role": "user", "content": "Why?"}]
    with pytest.raises(RequestError, match="'image'"):
        text_messages([ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AAAA")])])


def test_its_own_provider_asks_the_server(tmp_path, monkeypatch):
    with serving({"smoke": smoke()}) as served:
        monkeypatch.setenv("DEBATE_API_KEY", "unused")
        monkeypatch.setenv("DEBATE_BASE_URL", served.url)
        log = played(tmp_path, "openai-api/debate/smoke")
    message = log.samples[0].output.choices[0].message
    assert isinstance(message.content[0], ContentReasoning)
    assert "ada, round 1:" in message.content[0].reasoning
    assert 0 < right(log) <= COUNT


def test_a_run_becomes_a_log_that_its_own_reader_opens(tmp_path, ours):
    run, rows = ours
    said = CliRunner().invoke(app, ["export", str(run), str(tmp_path / "logs"), "--to", "inspect"])
    assert said.exit_code == 0, said.output
    log = read_eval_log(str(tmp_path / "logs" / "cipher.eval"))
    assert (log.status, log.eval.task, log.eval.model) == ("success", "arithmetic", "cipher-debate/cipher")
    assert log.results.scores[0].metrics["accuracy"].value == rows["cipher"].correct / rows["cipher"].total
    assert sum(one.scores["debate"].value == "C" for one in log.samples) == rows["cipher"].correct
    records = {record.transcript.question.id: record for record in RunReader(run).debates("cipher")}
    for sample in log.samples:
        record = records[sample.id]
        assert sample.target == record.decision["target"]
        assert sample.scores["debate"].answer == record.decision["answer"]
        assert sample.output.completion == record.transcript.last_of("ada").message.text
        turns = [event for event in sample.events if event.event == "model"]
        assert [(one.role, one.output.completion) for one in turns] == [
            (turn.key.agent, turn.message.text) for turn in record.transcript.turns
        ]
        assert len(turns[-1].input) == 2
        timeline = timeline_build(sample.events)
        assert sorted(_agents(timeline.root)) == ["ada"] * 3 + ["ben"] * 3
        said = sum(turn.usage.generated_tokens for turn in record.transcript.turns)
        assert timeline.root.total_tokens() >= said
    listed = subprocess.run(
        [sys.executable, "-m", "inspect_ai", "log", "dump", str(tmp_path / "logs" / "single.eval")],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["eval"]["model"] == "cipher-debate/single"


def test_what_cannot_be_exported_is_a_sentence(tmp_path, ours):
    run, _ = ours
    for given, sentence in (
        ([str(tmp_path / "x.eval")], "name one with --method"),
        ([str(tmp_path / "x"), "--method", "cipehr"], "Did you mean 'cipher'"),
        ([str(tmp_path / "x"), "--to", "docent"], "choose inspect"),
    ):
        with pytest.raises(DebateError, match=sentence):
            CliRunner().invoke(app, ["export", str(run), *given], catch_exceptions=False)
