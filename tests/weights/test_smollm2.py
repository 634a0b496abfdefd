"""The real model: the method against a plain loop, drift, identity, determinism, the command line."""

import asyncio
import json

import pytest
import torch
from support.plain_loops import generate, plain_cipher_loop

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.message_file import read_message
from agents.pretrained import locate
from kernels.encoders import get

pytestmark = [pytest.mark.weights, pytest.mark.slow]

QUESTION = "What is the result of 12+3*4+5-6*7?"


@pytest.fixture(scope="module")
def fp32(smollm2):
    return LoadedModel(locate(smollm2), name="smollm2", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def bf16(smollm2):
    return LoadedModel(locate(smollm2), name="smollm2", dtype="bfloat16", device="cpu")


def relative_error(one, other):
    one, other = one.double(), other.double()
    return (one - other).norm(dim=-1) / other.norm(dim=-1)


def test_speak_agrees_with_a_plain_loop_for_48_steps(fp32, tmp_path, smollm2, monkeypatch):
    """`debate speak` in float32 against a loop without cache, written on its own: <= 1e-4 at every step.

    At this temperature and prompt the message does not magnify rounding; at others it does, see docs/determinism.md.
    """
    import sys

    from debate.cli import main

    prompt = "Explain in two sentences why the sky is blue."
    file = tmp_path / "m.safetensors"
    arguments = ["speak", "--model", smollm2, "--prompt", prompt, "--temperature", "0.25", "--max-tokens", "48"]
    monkeypatch.setattr(sys, "argv", ["debate", *arguments, "--dtype", "float32", "--out", str(file)])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert not exit_.value.code
    message = read_message(file, receiver=fp32.fingerprint)
    text = fp32.tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    ids = fp32.tokenizer(text, add_special_tokens=False).input_ids
    vectors, nearest = plain_cipher_loop(fp32.model, ids, 0.25, 48, fp32.stop_ids)
    assert len(nearest) == 48
    assert list(message.token_ids) == nearest
    assert message.cipher.vectors.shape == (48, 576)
    assert float(relative_error(message.cipher.vectors, vectors).max()) <= 1e-4


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_one_hot_is_the_embedding_for_every_token(fp32, bf16, dtype):
    model = fp32 if dtype == "float32" else bf16
    rows = model.table.num_tokens
    encoders = [get(name) for name in ("expectation", "topk", "topp", "token")]
    for start in range(0, rows, 1024):
        ids = torch.arange(start, min(start + 1024, rows))
        looked_up = model.model.get_input_embeddings()(ids)
        logits = torch.full((len(ids), rows), float("-inf"))
        logits[torch.arange(len(ids)), ids] = 0.0
        for encoder in encoders:
            said = encoder.encode(
                logits, model.table, temperature=torch.full((len(ids),), 0.7), seeds=torch.zeros_like(ids), steps=ids
            )
            assert torch.equal(said.vectors, looked_up), (str(encoder), start)


# Tiny models are held to it in both (tests/agents/backends/transformers/test_engine.py). A processor without instructions for
# bfloat16 takes minutes for it.
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_a_row_is_the_same_alone_and_in_a_batch(smollm2, dtype):
    """Bit for bit, alone, in a batch that rows join and leave, with and without cached prefixes."""
    model = LoadedModel(locate(smollm2), name="smollm2", dtype=dtype, device="cpu", rows=8)
    requests = [
        Request(
            Prompt.of(f"Tell me {'very ' * index}briefly about the number {index}."),
            Sampling(temperature=(0.2, 0.7, 1.0)[index % 3], max_tokens=6 + index, seed=index),
            None if index % 4 == 3 else "expectation",
        )
        for index in range(8)
    ]
    alone = [generate(Engine(model, max_num_seqs=8, prefix_cache=False), [request])[0] for request in requests]
    batch = generate(Engine(model, max_num_seqs=8), requests)
    # Five places only: rows have to wait and join later.
    crowded = generate(Engine(model, max_num_seqs=5), requests)
    for one, *others in zip(alone, batch, crowded, strict=True):
        assert [other.message.digest for other in others] == [one.message.digest] * 2


def test_evaluation_twice_is_the_same_bytes(smollm2, tmp_path):
    from debate.config.load import load_config
    from evals.evaluation import evaluate

    config = load_config(
        __import__("pathlib").Path("configs/first_debate.yaml"),
        ["dtype=float32", "rounds=2", "max_tokens=10", "methods={text: {}, cipher: {}}"],
    )
    for name in ("one", "two"):
        asyncio.run(evaluate(config, out=tmp_path / name, limit=2))
    for method in ("text", "cipher"):
        one, two = ((tmp_path / name / method / "transcript.jsonl").read_bytes() for name in ("one", "two"))
        assert one == two
        assert len(one.splitlines()) == 2 * (4 + 1)
    blobs = [{p.name: p.read_bytes() for p in (tmp_path / n / "messages").glob("*/*")} for n in ("one", "two")]
    assert blobs[0] == blobs[1]
    results = json.loads((tmp_path / "one" / "results.json").read_text())
    assert results["methods"]["cipher"]["total"] == 2
