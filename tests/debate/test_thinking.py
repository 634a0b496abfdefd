"""Debates of reasoning models: what they thought is written down, and heard by nobody unless it is asked for."""

import json

import pytest

from agents.backends.mock import MockBackend
from agents.errors import ConfigError
from agents.question import Question
from debate.build import build_debate
from debate.config.load import to_yaml, validate
from debate.orchestrator import play
from debate.run_folder.reader import read_method
from debate.runtime.backends import Backends
from evals.evaluation import evaluate

QUESTION = Question("q", "What is the result of 1+2*3+4-5*6?")
REPLY = "<think>Is it 99? No.</think>\n\n2*3=6, 5*6=30. Answer: -19"
CONFIG = {
    "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
    "backend": "mock",
    "model": "mock",
    "rounds": 2,
    "max_tokens": 200,
    "options": {"script": {".": REPLY}},
}


def read_by(monkeypatch, run, **changes):
    """Return what each turn of the last round reads, by agent."""
    config = validate({**CONFIG, **changes}, source="x")
    backends = Backends(config)
    debate = build_debate(config, backends)
    reads = {}
    names = {agent.temperature: name for name, agent in config.agents.items()}
    reply = MockBackend._answer

    async def noted(self, request, read, length, pending):
        reads[names[request.sampling.temperature]] = read
        await reply(self, request, read, length, pending)

    monkeypatch.setattr(MockBackend, "_answer", noted)
    run(play(debate, QUESTION))
    return reads


@pytest.mark.parametrize("message", ["text", "cipher"])
def test_nobody_hears_thinking_unless_the_debate_says_so(monkeypatch, run, message):
    for read in read_by(monkeypatch, run, message=message).values():
        assert read.count("Answer: -19") == 2
        assert "99" not in read
        assert "think" not in read
    for read in read_by(monkeypatch, run, message=message, thinking="keep").values():
        assert read.count("<think>Is it 99? No.</think>\n\n2*3=6") == 2


@pytest.mark.parametrize("message", ["text", "cipher"])
def test_an_edge_may_say_otherwise(monkeypatch, run, message):
    topology = {"generator": "complete", "edges": [{"from": "ada", "to": "ben", "thinking": "keep"}]}
    reads = read_by(monkeypatch, run, message=message, topology=topology)
    # Of ada's message; its own thinking is not read out to it again.
    assert reads["ben"].count("99") == 1
    assert "99" not in reads["ada"]


def test_thinking_is_written_down_counted_and_no_part_of_the_answer(run, tmp_path):
    config = validate(CONFIG, source="x")
    results = run(evaluate(config, out=tmp_path / "run", methods=["text", "cipher"], limit=2))
    assert [row.failed for row in results] == [0, 0]
    for method in ("text", "cipher"):
        for record in read_method(tmp_path / "run" / method):
            assert record.decision["answer"] == "-19"
            for turn in record.transcript.turns:
                assert turn.message.text == "2*3=6, 5*6=30. Answer: -19"
                assert turn.message.thinking == "<think>Is it 99? No.</think>\n\n"
                assert turn.usage.generated_tokens == len(REPLY) + 1
        lines = (tmp_path / "run" / method / "transcript.jsonl").read_text().splitlines()
        turns = [line for line in map(json.loads, lines) if "round" in line]
        assert all(turn["thinking_tokens"] == REPLY.index("2*3") for turn in turns)


def test_what_is_not_said_of_thinking_is_not_in_a_config():
    assert "thinking" not in to_yaml(validate(CONFIG, source="x"))
    assert "thinking: keep" in to_yaml(validate({**CONFIG, "thinking": "keep"}, source="x"))
    with pytest.raises(ConfigError, match="thinking: .*'strip' or 'keep'; got 'drop'"):
        validate({**CONFIG, "thinking": "drop"}, source="x")
