"""A debate of CIPHER agents on a real tiny model and an agent behind a real server, played from the shipped config."""

import json
import sys
from dataclasses import replace

import pytest
from support.chat_server import ChatServer, Fault

from agents.backend import Prompt, Request
from agents.errors import ConfigError
from debate.build import build_debate
from debate.config.load import load_config, validate
from debate.config.shipped import configs_folder
from debate.hearing import Hearing
from debate.run_folder.reader import read_method
from debate.runtime.backends import Backends
from debate.transcript import TurnKey
from evals.evaluation import evaluate

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("MIXED_KEY", KEY)
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture
def mixed(server, tiny, tmp_path):
    """Return a function: overrides → the shipped config on the tiny model and the server, with short prompts."""
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "system.jinja").write_text("")
    (prompts / "initial.jinja").write_text("{{ question }}")
    (prompts / "debate.jinja").write_text("{{ question }} {% for o in others %}<{{ o }}> {% endfor %}[{{ own }}]")
    (prompts / "examples.yaml").write_text('cue: "A:"\n')

    def mixed(*overrides):
        return load_config(
            configs_folder() / "mixed_api.yaml",
            [
                f"model={tiny()}",
                "dtype=float32",
                f"prompts={prompts}",
                "max_tokens=24",
                f"agents.cleo.model={server.model}",
                f"agents.cleo.options.base_url={server.url}",
                "agents.cleo.options.api_key_env=MIXED_KEY",
                "agents.cleo.options.backoff_s=0.01",
                *overrides,
            ],
        )

    return mixed


def test_a_mixed_debate(mixed, server, run, tmp_path):
    server.faults = [Fault(429, "slow down", headers={"retry-after": "0.05"}), Fault(500, f"your key {KEY} upset us")]
    rows = run(evaluate(mixed(), out=tmp_path / "run", limit=3))
    assert [(row.method, row.total, row.turns) for row in rows] == [("text", 3, 27), ("cipher", 3, 27)]
    records = list(read_method(tmp_path / "run" / "cipher"))
    asked = [body["messages"][0]["content"] for body in server.bodies]
    for record in records:
        said = {turn.key: turn for turn in record.transcript.turns}
        assert {turn.key.agent for turn in said.values() if turn.message.is_cipher} == {"ada", "ben"}
        for round in (2, 3):
            before = [TurnKey(round - 1, name) for name in ("ada", "ben")]
            cleo = said[TurnKey(round, "cleo")]
            assert cleo.read_out == cleo.heard == tuple(before)
            assert cleo.mapped == ()
            # What the server was sent holds their readings.
            readings = " ".join(f"<{said[key].message.text}>" for key in before)
            own = said[TurnKey(round - 1, "cleo")].message.text
            assert f"{record.transcript.question.text} {readings} [{own}]" in asked
            assert cleo.usage.generated_tokens > 0
        others = [turn for turn in said.values() if turn.key.agent != "cleo" or turn.key.round == 1]
        assert [turn.read_out for turn in others] == [()] * 7
    # In a debate in text nothing is read out, and no line mentions it.
    text, cipher = ((tmp_path / "run" / name / "transcript.jsonl").read_text() for name in ("text", "cipher"))
    assert "read_out" not in text
    lines = [json.loads(line) for line in cipher.splitlines()]
    assert sum("read_out" in line for line in lines) == 3 * 2
    assert [1, "ada"] in next(line["read_out"] for line in lines if "read_out" in line)
    assert {header["authorization"] for _, header, _ in server.seen} == {f"Bearer {KEY}"}
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(written) > 20
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []


def test_the_same_debate_is_the_same_bytes(mixed, run, tmp_path):
    for name in ("one", "two"):
        run(evaluate(mixed("rounds=2"), out=tmp_path / name, methods=["cipher"], limit=2))
    one, two = ((tmp_path / name / "cipher" / "transcript.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two
    assert b"read_out" in one


def test_a_run_ends_with_the_servers_reason_and_without_the_key(mixed, server, run, tmp_path):
    server.faults = [Fault(401, f"Incorrect API key provided: {KEY}")]
    with pytest.raises(ConfigError, match=r"refuses the key in \$MIXED_KEY: 401, Incorrect API key provided: \[key\]"):
        run(evaluate(mixed(), out=tmp_path / "run", methods=["cipher"], limit=1))
    # Nothing was said, so nothing is left behind.
    assert not (tmp_path / "run").exists()


def test_a_prompt_that_the_server_finds_too_long_names_the_agent(mixed, server, run, tmp_path):
    server.faults = [Fault(400, "Input length (300) exceeds model's maximum context length (256).")]
    (row,) = run(evaluate(mixed(), out=tmp_path / "run", methods=["cipher"], limit=1))
    assert (row.failed, row.total) == (1, 1)
    (record,) = read_method(tmp_path / "run" / "cipher")
    said = "question arithmetic-0-0000, method cipher: agent 'cleo', round 1: the prompt has 300 tokens"
    assert said in record.failure


def test_only_agents_that_take_vectors_are_spoken_to_in_them(mixed, run):
    warnings = []

    async def build():
        config = mixed()
        backends = Backends(config, warnings.append)
        debate = build_debate(config, backends)
        await backends.close()
        return debate

    debate = run(build())
    assert debate.agents["ada"].backend is debate.agents["ben"].backend
    assert debate.agents["cleo"].encoder is None
    assert any("cleo's backend takes no vectors" in sentence for sentence in warnings)
    # Answers only: nothing is read out, the answer is all that is heard.
    turn = TurnKey(2, "cleo")
    inbox = debate.protocol.inbox(turn)
    answers = replace(inbox, edges=tuple(replace(edge, seen="answers") for edge in inbox.edges))
    from types import SimpleNamespace

    from agents.backends.mock import MockBackend

    vectors = MockBackend()._message(Request(Prompt.of("?"), encoder="expectation"), list(b"Answer: 4"))
    said = {key: SimpleNamespace(message=vectors) for key in inbox.needed}
    debate = replace(debate, hearing=Hearing(lambda text, options: text[-1]))
    read = [debate.heard(box, debate.agents[name], said) for box, name in ((inbox, "cleo"), (answers, "cleo"))]
    assert [[heard.is_read_out for heard in messages] for messages in read] == [[True, True], [False, False]]
    assert [heard.content for heard in read[1]] == ["Answer: 4", "Answer: 4"]
    assert all(heard.content.is_cipher for heard in debate.heard(inbox, debate.agents["ada"], said))
    # Its own last message, too, is its to read.
    assert debate.hearing.own(vectors, debate.agents["cleo"]).is_read_out
    assert debate.hearing.own(vectors, debate.agents["ada"]).content is vectors


def test_what_cannot_be_is_said_before_anything_runs(mixed, run):
    async def build(*overrides):
        config = mixed(*overrides)
        backends = Backends(config)
        try:
            return build_debate(config, backends)
        finally:
            await backends.close()

    with pytest.raises(ConfigError, match="agent 'cleo': its backend cannot send vectors: give it encoder: none"):
        run(build("agents.cleo.encoder=expectation"))
    edges = "topology={generator: complete, edges: [{from: cleo, to: ada, first_tokens: 5}]}"
    with pytest.raises(ConfigError, match="first_tokens is 5 for what cleo says, but its backend is an API"):
        run(build(edges))


@pytest.mark.parametrize(
    "place",
    [
        {"options": {"api_key": KEY}},
        {"agents": {"ada": {"options": {"api_key": KEY}}}},
        {"agents": {"ada": {"options": {"extra_body": {"x": [{"Authorization": f"Bearer {KEY}"}]}}}}},
        {"agents": {"ada": {"options": {"api_key_env": KEY}}}},
        {"agents": {"ada": {"options": {"base_url": f"http://me:{KEY}@127.0.0.1/v1"}}}},
        {"methods": {"text": {"agents": {"ada": {"options": {"api_key": KEY}}}}}},
        # Together with another mistake, whose explanation must not repeat it.
        {"options": {"api_key": KEY}, "rouns": 3},
    ],
)
def test_a_key_in_a_config_is_refused_and_not_repeated(place):
    import traceback

    with pytest.raises(
        ConfigError, match=r"test: .*(a key has no place in a config|is the name of an environment)"
    ) as e:
        validate({"agents": {"ada": {}}, "backend": "mock", "model": "mock", **place}, source="test")
    assert KEY not in "".join(traceback.format_exception(e.value))


def test_other_mistakes_beside_a_hidden_key_do_not_show_it(monkeypatch):
    import traceback

    with pytest.raises(ConfigError, match=r"test\.agents\.ada\.api_key: a key has no place") as caught:
        validate({"agents": {"ada": {"api_key": KEY}}}, source="test")
    assert KEY not in "".join(traceback.format_exception(caught.value))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match=r"options\.user: a key has no place"):
        validate({"agents": {"ada": {}}, "options": {"user": KEY}}, source="test")


def test_options_are_for_the_backend_that_they_were_written_for(run, server):
    """The debate's options go to its own backend; agents of equal options share an engine, others do not."""
    config = validate(
        {
            "backend": "mock",
            "model": "mock",
            "message": "text",
            "options": {"width": 8},
            "agents": {
                "ada": {},
                "ben": {"options": {"width": 8}},
                "cy": {"options": {"width": 4}},
                "dee": {"backend": "openai", "model": server.model, "options": {"base_url": server.url}},
            },
        },
        source="test",
    )

    async def build():
        backends = Backends(config)
        debate = build_debate(config, backends)
        await backends.close()
        return debate.agents

    agents = run(build())
    assert agents["ada"].backend is agents["ben"].backend
    assert agents["cy"].backend is not agents["ada"].backend
    assert agents["cy"].backend.fingerprint.width == 4
    assert agents["dee"].backend.fingerprint.model == f"{server.model} at {server.url[7:-3]}"


def test_the_command_line(server, monkeypatch, capsys, tmp_path):
    """`debate speak` asks a server and hears a CIPHER message as its reading; `debate doctor` says whether there is a key."""
    from debate.cli import main

    def cli(*arguments):
        monkeypatch.setattr(sys, "argv", ["debate", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            main()
        except SystemExit as end:
            return end.code or 0, *capsys.readouterr()
        return 0, *capsys.readouterr()

    message = tmp_path / "m.safetensors"
    assert cli("speak", "-p", "1+2*3+4-5*6", "-m", "mock", "--backend", "mock", "--out", message)[0] == 0
    there = ["--backend", "openai", "--model", server.model, "--option", f"base_url={server.url}"]
    out = tmp_path / "said.safetensors"
    code, said, notes = cli("speak", "-p", "1+2*3+4-5*1", *there, "-e", "text", "--hear", message, "--out", out)
    assert code == 0, notes
    # The last sum that it hears is the one in the message.
    assert said.startswith("2*3=6")
    assert server.bodies[0]["stream"] is True
    assert server.bodies[0]["messages"][0]["content"].startswith("1+2*3+4-5*1\n2*3=6, 5*6=30. Answer: ")
    assert "5 steps (stop), text, tiny-chat at 127.0.0.1" in notes
    assert cli("read", out)[0] == 0
    code, _, notes = cli("speak", "-p", "x", *there)
    assert (code, "speaks text only" in notes) == (2, True)
    code, _, notes = cli("speak", "-p", "x", *there, "--option", f"api_key={KEY}")
    assert (code, "--option.api_key: a key has no place" in notes, KEY in notes) == (2, True, False)
    code, _, notes = cli("bench", "engine", "--option", "rows")
    assert (code, "--option 'rows': write KEY=VALUE" in notes) == (2, True)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    code, said, _ = cli("doctor")
    assert (code, "$OPENAI_API_KEY holds a key" in said, KEY in said) == (0, True, False)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "$OPENAI_API_KEY is not set" in cli("doctor")[1]
