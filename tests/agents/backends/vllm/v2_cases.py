"""What Model Runner V2 has to do, on the CPU; test_runner_v2.py runs these in a process of their own.

One engine for all but adapters: asynchronous scheduling, and so little memory and so few positions a step that requests are
preempted and prompts read in parts.
"""

import asyncio
from dataclasses import replace

import pytest
import torch
from support.adapter_files import save_adapter
from support.plain_loops import say
from support.vllm_engine import engine

from agents.backend import Prompt, Request, Sampling

pytestmark = [pytest.mark.filterwarnings("default")]
WORDS = ["apples", "pears", "stones", "words", "numbers", "tables"]
ROOM = {"num_gpu_blocks_override": 9, "max_num_batched_tokens": 32, "max_model_len": 256, "max_num_seqs": 6}


def asked(i=0, encoder="expectation", **sampling):
    text = " ".join(WORDS[(i + j) % 6] for j in range(1 + 3 * i % 7)) + f", case {i}?"
    settings = {"temperature": 0.7, "max_tokens": 14, "seed": i, "ignore_eos": True, **sampling}
    return Request(Prompt.of(text), Sampling(**settings), encoder)


def check(found, wanted, share=1e-4):
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert one.message.token_ids == other.message.token_ids, number
        assert one.finish_reason == other.finish_reason, number
        if one.message.cipher is None:
            continue
        a, b = one.message.cipher, other.message.cipher
        error = (a.vectors - b.vectors).norm(dim=1) / b.vectors.norm(dim=1)
        assert bool((error <= share).all()), number
        assert torch.allclose(a.entropy, b.entropy, atol=1e-3)
        assert torch.allclose(a.top_probabilities, b.top_probabilities, atol=1e-3)


def late_pair(text):
    """Two characters that come together in a text, and not before its fourth; None where there are none."""
    pairs = (text[place : place + 2] for place in range(3, len(text) - 2))
    return next((pair for pair in pairs if text.find(pair) >= 3), None)


@pytest.fixture(scope="module")
def v2_settings():
    from agents.backends.vllm import backend, options

    configured = backend.engine_config

    def overlapping(*given, **settings):
        config = configured(*given, **settings)
        assert config.use_v2_model_runner
        # vLLM switches it off on CPUs.
        config.scheduler_config.async_scheduling = True
        config.scheduler_config.scheduler_cls = options.SCHEDULERS[True]
        return config

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "engine_config", overlapping)
        yield


@pytest.fixture(scope="module")
def v2(v2_settings, tiny):
    with engine(tiny("llama-wide"), enforce_eager=True, kv_cache_memory_bytes=2**26, **ROOM) as started:
        yield started


def test_text_and_vectors_side_by_side_preempted_and_read_in_parts(v2, expected):
    encoders = ["expectation", None, "topk(k=5)", "expectation", "gumbel", None, "topp(p=0.8)", "expectation"]
    requests = [asked(i, encoder) for i, encoder in enumerate(encoders)]
    check(say(v2, requests), expected(requests))
    state = v2.state()
    assert state["resumed"] > 0, "no request was preempted: the test tests nothing"
    assert state["held_back"] > 0, "no prompt was read in parts: the test tests nothing"
    assert state["blocks"] == 0


def test_text_is_the_same_beside_vectors(v2):
    text = [asked(i, None, max_tokens=8, temperature=0.9, top_p=0.9 if i else None) for i in range(2)]
    alone = say(v2, text)
    mixed = say(v2, [text[0], asked(5, max_tokens=8), text[1]])
    assert [mixed[place].message.token_ids for place in (0, 2)] == [g.message.token_ids for g in alone]


def test_messages_are_heard_as_transformers_hears_them(v2, expected):
    said = expected([asked(i, max_tokens=12) for i in range(2)])
    prompt = Prompt.of("He said: ", said[0].message, " and she said: ", said[1].message, ". And you?")
    requests = [
        Request(prompt, Sampling(temperature=0.7, max_tokens=8, seed=i, ignore_eos=True), encoder)
        for i, encoder in enumerate((None, "expectation"))
    ]
    wanted = expected(requests)
    check(say(v2, requests), wanted)
    # And again, from the prefix cache.
    again = say(v2, requests)
    check(again, wanted)
    assert any(generation.usage.cached_tokens for generation in again)


@pytest.mark.parametrize("late_s", [pytest.param(0.0, marks=pytest.mark.long), 0.5])
def test_stop_strings_and_an_abort_that_comes_late(v2, expected, monkeypatch, late_s):
    from vllm.v1.engine.async_llm import AsyncLLM

    plain = expected([asked(i) for i in range(4)])
    stops = [late_pair(generation.message.text) for generation in plain]
    requests = [asked(i, stop=(stop,)) for i, stop in enumerate(stops) if stop]
    wanted = expected([*requests, asked(8)])
    abort = AsyncLLM.abort

    async def late(self, *args, **kwargs):
        await asyncio.sleep(late_s)
        return await abort(self, *args, **kwargs)

    monkeypatch.setattr(AsyncLLM, "abort", late)
    check(say(v2, [*requests, asked(8)]), wanted)
    assert any(generation.finish_reason == "stop" and generation.message.num_tokens for generation in wanted)
    assert v2.state()["blocks"] == 0


def test_log_probabilities_restrictions_and_a_temperature_that_vllm_divides_by(v2):
    from vllm import SamplingParams
    from vllm.inputs.engine import tokens_input
    from vllm.sampling_params import RequestOutputKind

    prompt = list(b"Processors: what is left?")

    async def last(params, number):
        found = None
        async for output in v2._engine.generate(tokens_input(prompt), params, number, None):
            found = output
        return found

    def params(key, **settings):
        extra = {"cipher": {"encoder": "expectation", "key": key}}
        return SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, max_tokens=4, extra_args=extra, **settings)

    taken = {}

    def ask(key, **settings):
        output = v2._engine.wait(last(params(key, **settings), key))
        taken[key] = v2._engine.wait(v2._engine.take(key, 4))
        assert taken[key]["nearest"].tolist() == list(output.outputs[0].token_ids)
        return output

    ask("plain", temperature=1.0)
    ask("half", temperature=0.5)
    ask("allowed", temperature=1.0, allowed_token_ids=[65, 66, 67])
    ask("min_p", temperature=1.0, min_p=0.999)
    output = ask("logprobs", temperature=1.0, logprobs=2)
    places = zip(output.outputs[0].token_ids, output.outputs[0].logprobs, strict=True)
    assert all(token in found for token, found in places)
    assert set(taken["allowed"]["top_ids"][:, :3].flatten().tolist()) <= {65, 66, 67}
    assert int((taken["min_p"]["top_probabilities"] > 0).sum(1).max()) == 1
    # The first step's belief at T = 1/2 is the square of that at T = 1, normalised.
    likely = taken["half"]["top_ids"][0, :3]
    plain = dict(
        zip(taken["plain"]["top_ids"][0].tolist(), taken["plain"]["top_probabilities"][0].tolist(), strict=True)
    )
    squares = torch.tensor([plain[int(token)] ** 2 for token in likely])
    halves = taken["half"]["top_probabilities"][0, :3]
    torch.testing.assert_close(halves / halves[0], squares / squares[0], rtol=1e-3, atol=1e-6)
    # Of what top-k keeps, renormalised, top-p keeps the shortest beginning that reaches its mass.
    for key, base, k, kept in (("top_k", "plain", 3, 3), ("top_p", "plain", None, 4), ("both", "half", 5, 2)):
        belief = taken[base]["top_probabilities"][0, :k].double()
        share = belief if k is None else belief / belief.sum()
        mass = 1.0 if kept == k else float(share[:kept].sum() - share[kept - 1] / 2)
        ask(key, temperature=1.0 if base == "plain" else 0.5, top_k=k or 0, top_p=mass)
        found = taken[key]["top_probabilities"][0].double()
        assert int((found > 0).sum()) == kept, key
        torch.testing.assert_close(found[:kept], share[:kept] / share[:kept].sum(), rtol=1e-3, atol=1e-6)
        assert taken[key]["top_ids"][0, :kept].tolist() == taken[base]["top_ids"][0, :kept].tolist()


@pytest.mark.long
def test_adapters_side_by_side_over_one_model(v2_settings, expected, tiny, tmp_path):
    pairs = [save_adapter(tmp_path, tiny("llama-wide"), seed) for seed in (1, 2)]
    plain = [asked(i, encoder, max_tokens=6) for i, encoder in enumerate(["expectation", None, "expectation"])]
    requests = [replace(request, adapter=str(pairs[i % 2][0])) for i, request in enumerate(plain)]
    options = {"enable_lora": True, "max_lora_rank": 8, "max_loras": 2, "max_model_len": 128, "max_num_seqs": 4}
    with engine(tiny("llama-wide"), enforce_eager=True, kv_cache_memory_bytes=2**26, **options) as backend:
        found = say(backend, requests)
    wanted = [expected([request], pairs[i % 2][1])[0] for i, request in enumerate(plain)]
    # As on the other runner, rounding that is fed back grows; the first step has none.
    check(found, wanted, share=5e-3)
    for one, other in ((found[0], wanted[0]), (found[2], wanted[2])):
        a, b = one.message.cipher.vectors[0], other.message.cipher.vectors[0]
        assert float((a - b).norm() / b.norm()) <= 1e-5
    assert found[0].message.token_ids != expected([plain[0]])[0].message.token_ids
