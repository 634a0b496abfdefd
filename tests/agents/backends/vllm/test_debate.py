"""A debate on vLLM from the command line, to its end and again."""

import json

import pytest

# vLLM and what it imports warn of their own affairs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def test_debate_run_on_vllm(cli, tiny, tmp_path):
    """Two agents, CIPHER over two rounds: in float32 the words are those of the transformers backend."""
    given = ("run", "What is 1+2*3+4-5*6?", "--config", "first_debate", "--model", str(tiny("llama-wide")))
    settings = ("dtype=float32", "max_tokens=6", "rounds=2", "format=plain")
    given += tuple(part for setting in settings for part in ("--set", setting))
    on_vllm = ("--set", "backend=vllm", "--set", "options.enforce_eager=true", "--set", "options.max_model_len=1024")
    code, out, said = cli(*given, *on_vllm, "--out", str(tmp_path / "vllm"))
    assert code == 0, said
    assert "decision:" in out
    code, _, said = cli(*given, "--out", str(tmp_path / "transformers"))
    assert code == 0, said
    turns = {}
    for engine in ("vllm", "transformers"):
        (transcript,) = (tmp_path / engine).glob("*/transcript.jsonl")
        records = [json.loads(line) for line in transcript.read_text().splitlines()]
        turns[engine] = [(r["agent"], r["round"], r["text"]) for r in records if r["kind"] == "turn"]
    assert turns["vllm"] == turns["transformers"]
    assert len(turns["vllm"]) == 4
