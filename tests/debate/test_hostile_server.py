"""A server that answers what no file can hold: the run goes on, is written, and goes on again."""

import json

import pytest
from support.chat_server import ChatServer, Fault
from support.messages import MODEL

from agents.message import Message
from debate.config.load import validate
from debate.run_folder.journal import Journal, JournalReader
from debate.run_folder.reader import RunReader, read_method
from evals.evaluation import evaluate


@pytest.fixture
def server():
    server = ChatServer()
    yield server
    server.close()


def config_of(server, **changes):
    return validate(
        {
            "agents": {"ada": {}, "ben": {}},
            "backend": "openai",
            "model": server.model,
            "options": {"base_url": server.url, "max_retries": 0},
            "message": "text",
            "rounds": 2,
            "methods": {"text": {}},
            "task": "arithmetic",
            **changes,
        },
        source="x",
    )


def test_half_a_character_in_an_answer_is_replaced_and_the_run_goes_on(server, tmp_path, run):
    server.reply = lambda text, request: "I say \ud800: \udfff\ud83d Answer: 7"
    config, out = config_of(server), tmp_path / "run"
    (first,) = run(evaluate(config, out=out, limit=2))
    assert (first.total, first.failed) == (2, 0)
    said = [turn.message.text for debate in read_method(out / "text") for turn in debate.transcript.turns]
    assert set(said) == {"I say \ufffd: \ufffd\ufffd Answer: 7"}
    before = (out / "text" / "transcript.jsonl").read_bytes()
    run(evaluate(config, out=out, limit=2))
    assert (out / "text" / "transcript.jsonl").read_bytes() == before


def test_half_a_character_in_a_reason_is_written(server, tmp_path, run):
    server.faults = [Fault(raw=json.dumps({"error": {"message": "\ud800 broke"}})) for _ in range(2)]
    out = tmp_path / "run"
    (row,) = run(evaluate(config_of(server), out=out, limit=1))
    assert row.total == 1
    for file in out.rglob("*"):
        if file.suffix in (".log", ".jsonl", ".json"):
            file.read_text(encoding="utf-8")
    RunReader(out)


def test_a_message_is_text_that_a_file_holds():
    said = Message("a\ud83d\ude00\ud800", MODEL, 1.0, thinking="\udfff")
    assert (said.text, said.thinking) == ("a😀\ufffd", "\ufffd")
    assert said.num_bytes == len(said.text.encode())


def test_a_record_that_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    from agents.errors import RunError

    journal = Journal(tmp_path / "journal.log")
    list(journal.replay())
    monkeypatch.setattr("debate.run_folder.journal.LARGEST_RECORD", 1000)
    with pytest.raises(RunError, match=r"a record of 1,\d{3} bytes is not written"):
        journal.append({"kind": "turn", "text": "a" * 1000})
    journal.append({"kind": "turn", "text": "b"})
    journal.close()
    assert [entry.record["kind"] for entry in JournalReader(tmp_path / "journal.log")] == ["journal", "turn"]
