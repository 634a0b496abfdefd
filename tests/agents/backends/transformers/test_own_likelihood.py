"""How likely a text is that a model said: against an uncached pass in float64; and best of n by it."""

import asyncio
import json

import pytest
import torch

from agents.backend import Prompt, Request, Sampling
from agents.errors import ConfigError
from agents.registry import create_backend
from debate.build import build_debate
from debate.config.load import validate
from debate.runtime.backends import Backends
from evals.evaluation import evaluate
from evals.outputs import analyse_run

RAW = {
    "model": "tiny/dee", "backend": "transformers", "dtype": "float32", "prompts": "tiny", "format": "plain", "rounds": 2,
    "message": "cipher", "max_tokens": 60, "seed": 3, "task": "arithmetic:held_out", "agents": {"ada": {"temperature": 0.3}},
}  # fmt: skip


@pytest.fixture(scope="module")
def backend():
    made = create_backend("transformers", model="tiny/dee", dtype="float32")
    yield made
    asyncio.run(made.close())


@torch.inference_mode()
def test_the_likelihood_of_a_sampled_text_is_at_temperature_1(backend):
    async def say(*requests):
        return await asyncio.gather(*(backend.submit(request) for request in requests))

    prompt = Prompt.of("What is the result of 4+2*5+7-3*6?")
    asked = [
        Request(prompt, Sampling(temperature=1.3, max_tokens=9, seed=seed, likelihood=seed < 2, ignore_eos=True))
        for seed in range(3)
    ]
    one, two, unasked = asyncio.run(say(*asked))
    assert unasked.log_likelihood is None
    for request, said in zip(asked, (one, two), strict=False):
        row = backend.engine.prepare(request)
        ids = torch.tensor(said.message.token_ids)
        x = torch.cat([row.prompt, backend.table.weight[ids[:-1]]])
        logits = backend.engine.model.model(inputs_embeds=x[None], use_cache=False).logits[0, len(row.keys) - 1 :]
        likely = torch.log_softmax(logits.double(), dim=1).gather(1, ids[:, None])
        assert said.log_likelihood == pytest.approx(float(likely.sum()), rel=1e-4)


def test_best_of_n_takes_the_likeliest_of_its_samples(tmp_path):
    config = validate(RAW, source="x")
    asyncio.run(evaluate(config, out=tmp_path / "r", methods=["best-of(n=3)"], limit=2))
    records = [json.loads(line.split(b" ", 1)[1]) for line in (tmp_path / "r/journal.log").read_bytes().splitlines()]
    for question in {record["question"] for record in records if record["kind"] == "turn"}:
        turns = [r for r in records if r["kind"] == "turn" and r["question"] == question]
        assert len(turns) == 3
        best = max(turns, key=lambda turn: turn["log_likelihood"] / turn["usage"]["generated_tokens"])
        (end,) = (r for r in records if r["kind"] == "decision" and r["question"] == question)
        assert end["reason"].startswith(f"{best['agent']}'s text is the likeliest")
    # Read back from the journal, the rule comes to the same.
    (method,) = analyse_run(tmp_path / "r").record.methods
    assert [row.prefixes[-1][1] for row in method.debates] == [row.verdict for row in method.debates]


def test_vectors_and_backends_that_do_not_score_are_refused():
    config = validate({**RAW, "decision": "likeliest"}, source="x")
    with pytest.raises(ConfigError, match="weighs texts by their own model, and this debate is in CIPHER"):
        build_debate(config, Backends(config))
    mock = validate({**RAW, "decision": "likeliest", "message": "text", "backend": "mock", "model": "mock"}, source="x")
    with pytest.raises(ConfigError, match="the backend of ada does not say how likely its texts are"):
        build_debate(mock, Backends(mock))
