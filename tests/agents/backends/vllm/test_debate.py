"""A debate on vLLM from the command line, to its end and again."""

import json

import pytest
from support.vllm_engine import Lent

from debate.runtime import backends

# vLLM and what it imports warn of their own affairs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(params=["lent", pytest.param("started", marks=pytest.mark.long)])
def asked_for(request, monkeypatch):
    """The options that vLLM is started with. A start takes half a minute: unless it is tested, the engine that runs is lent."""
    found = []
    create = backends.create_backend

    def start(name, **options):
        if name == "vllm":
            found.append(options)
            if request.param == "lent":
                return Lent(request.getfixturevalue("cramped"))
        return create(name, **options)

    monkeypatch.setattr(backends, "create_backend", start)
    return found


def test_debate_run_on_vllm(cli, tiny, tmp_path, asked_for):
    """Two agents, CIPHER over two rounds: in float32 the words are those of the transformers backend."""
    given = ("run", "What is 1+2*3+4-5*6?", "--config", "first_debate", "--model", str(tiny("llama-wide")))
    settings = ("dtype=float32", "max_tokens=6", "rounds=2", "format=plain", "prompts=tiny")
    given += tuple(part for setting in settings for part in ("--set", setting))
    on_vllm = ("--set", "backend=vllm", "--set", "options.enforce_eager=true", "--set", "options.max_model_len=1024")
    code, out, said = cli(*given, *on_vllm, "--out", str(tmp_path / "vllm"))
    assert code == 0, said
    assert "decision:" in out
    (options,) = asked_for
    wanted = {"model": str(tiny("llama-wide")), "dtype": "float32", "enforce_eager": True, "max_model_len": 1024}
    assert {key: options[key] for key in wanted} == wanted
    code, _, said = cli(*given, "--out", str(tmp_path / "transformers"))
    assert code == 0, said
    turns = {}
    for engine in ("vllm", "transformers"):
        (transcript,) = (tmp_path / engine).glob("*/transcript.jsonl")
        records = [json.loads(line) for line in transcript.read_text().splitlines()]
        turns[engine] = [(r["agent"], r["round"], r["text"]) for r in records if r["kind"] == "turn"]
    assert turns["vllm"] == turns["transformers"]
    assert len(turns["vllm"]) == 4
