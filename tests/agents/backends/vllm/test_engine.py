"""The real vLLM on the CPU, beside the transformers backend, on a tiny Llama in float32."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.adapter_files import save_adapter
from support.plain_loops import say
from support.vllm_engine import CRAMPED, engine

from agents.backend import Prompt, Request, Sampling
from agents.backends.vllm.options import SOCKETS
from agents.backends.vllm.survey import OPTIONS
from agents.errors import BackendFailed, ConfigError, RequestError
from agents.registry import create_backend
from kernels.encoders import names

# vLLM and what it imports warn of their own affairs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
WORDS = ["apples", "pears", "stones", "words", "numbers", "tables", "birds", "rivers", "clouds", "engines"]


def asked(i=0, encoder="expectation", **sampling):
    text = " ".join(WORDS[(i + j) % 10] for j in range(3 + 5 * i % 23)) + f", case {i}?"
    settings = {"temperature": 0.7, "max_tokens": 48, "seed": i, **sampling}
    return Request(Prompt.of(text), Sampling(**settings), encoder)


def assert_same(found, expected):
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.message.token_ids == other.message.token_ids, number
        assert one.finish_reason == other.finish_reason
        assert one.usage.prompt_tokens == other.usage.prompt_tokens
        assert one.usage.generated_tokens == other.usage.generated_tokens
        if one.message.cipher is None:
            continue
        a, b = one.message.cipher, other.message.cipher
        error = (a.vectors - b.vectors).norm(dim=1) / b.vectors.norm(dim=1)
        assert error.numel() == 0 or float(error.max()) <= 1e-4, number
        assert torch.allclose(a.entropy, b.entropy, atol=1e-3)
        assert torch.allclose(a.max_probability, b.max_probability, atol=1e-3)
        assert torch.allclose(a.top_probabilities, b.top_probabilities, atol=1e-3)


def test_as_transformers_says_it_preempted_and_read_in_parts(cramped, expected):
    requests = [asked(i) for i in range(32)]
    assert_same(say(cramped, requests), expected(requests))
    state = cramped.state()
    assert state["resumed"] > 0, "no request was preempted: the test tests nothing"
    assert state["held_back"] > 0, "no prompt was read in parts: the test tests nothing"
    assert state["blocks"] == 0


def test_nobody_else_comes_near_the_sockets_of_an_engine(cramped):
    folder = Path(os.environ[SOCKETS])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert any(path.is_socket() for path in folder.iterdir())


def test_every_encoder_as_transformers_says_it(cramped, expected):
    requests = [asked(i, encoder=name, max_tokens=12) for i, name in enumerate(names())]
    assert_same(say(cramped, requests), expected(requests))


def test_text_is_the_same_beside_vectors(cramped):
    text = [asked(i, encoder=None, max_tokens=24) for i in range(8)]
    alone = say(cramped, text)
    mixed = say(cramped, [r for pair in zip(text, [asked(i + 40) for i in range(8)], strict=True) for r in pair])
    assert [g.message.token_ids for g in mixed[::2]] == [g.message.token_ids for g in alone]


def test_messages_are_heard_as_transformers_hears_them(cramped, expected):
    said = say(cramped, [asked(i, max_tokens=40) for i in range(4)])
    requests = [
        Request(
            Prompt.of("Case. One said: ", g.message, " And another: ", said[0].message, " And you?"),
            Sampling(temperature=0.7, max_tokens=20, seed=i),
            encoder,
        )
        for i, g in enumerate(said)
        for encoder in (None, "expectation")
    ]
    greedy = [
        Request(r.prompt, Sampling(temperature=0.0, max_tokens=20), r.encoder) if r.encoder is None else r
        for r in requests
    ]
    assert_same(say(cramped, greedy), expected(greedy))


def test_a_message_of_another_table_is_rendered_on_this_one(cramped, expected, tiny):
    sender = expected([asked(1, max_tokens=10, top_beliefs=32, temperature=0.05)], tiny("llama-wide", seed=5))
    request = Request(Prompt.of("He said: ", sender[0].message), Sampling(temperature=0.7, max_tokens=8), "expectation")
    assert_same(say(cramped, [request]), expected([request]))


async def raw(backend, ids, params, number):
    """Ask AsyncLLM itself; its last output."""
    from vllm.inputs.engine import tokens_input

    last = None
    async for output in backend._engine.generate(tokens_input(ids), params, number, None):
        last = output
    return last


def params(**settings):
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, **settings)


def directive(key, **settings):
    return {"cipher": {"encoder": "expectation", "key": key, **settings}}


def test_decoded_vectors_are_never_taken_for_the_tokens_they_are_nearest_to(cramped):
    engine = cramped._engine
    prompt = list(b"a question that fills its blocks of positions, and a little more.")
    spoken = engine.wait(
        raw(cramped, prompt, params(temperature=2.0, max_tokens=80, extra_args=directive("salt")), "salt")
    )
    nearest = list(spoken.outputs[0].token_ids)
    engine.wait(engine.call("cipher_drop", ["salt"]))
    assert len(nearest) == 80
    # The same tokens as a prompt: the blocks of the text are shared, those that hold vectors are not.
    read = engine.wait(raw(cramped, prompt + nearest, params(temperature=0.0, max_tokens=8), "read"))
    assert read.num_cached_tokens == len(prompt) // 32 * 32
    assert engine.wait(engine._llm.reset_prefix_cache())
    fresh = engine.wait(raw(cramped, prompt + nearest, params(temperature=0.0, max_tokens=8), "fresh"))
    assert fresh.num_cached_tokens == 0
    assert fresh.outputs[0].token_ids == read.outputs[0].token_ids
    # Read again, its own text blocks are there.
    again = engine.wait(raw(cramped, prompt + nearest, params(temperature=0.0, max_tokens=8), "again"))
    assert again.num_cached_tokens == (len(prompt) + len(nearest)) // 32 * 32 - 32 * ((len(prompt) + 80) % 32 == 0)


def test_the_text_before_the_first_vector_is_shared(cramped):
    cramped._engine.wait(cramped._engine._llm.reset_prefix_cache())
    start = "The question, and everything that every prompt of it begins with, in sixty-four bytes or more."
    said = say(cramped, [asked(3, max_tokens=16)])[0].message
    other = say(cramped, [asked(4, max_tokens=16)])[0].message
    say(cramped, [Request(Prompt.of(start), Sampling(max_tokens=2))])
    heard = Request(Prompt.of(start, said), Sampling(max_tokens=2, temperature=0.0))
    changed = Request(Prompt.of(start, other), Sampling(max_tokens=2, temperature=0.0))
    shared = len(start) // 32 * 32
    assert say(cramped, [heard])[0].usage.cached_tokens == shared
    assert say(cramped, [heard])[0].usage.cached_tokens >= shared
    assert say(cramped, [changed])[0].usage.cached_tokens == shared


def test_processors_and_restrictions_hold_for_vectors(cramped):
    engine = cramped._engine
    allowed = [65, 66, 67, 68]
    cases = {
        "allowed": params(temperature=1.0, max_tokens=6, allowed_token_ids=allowed, extra_args=directive("allowed")),
        "bias": params(temperature=1.0, max_tokens=6, logit_bias={70: 100.0}, extra_args=directive("bias")),
        "top_k": params(temperature=1.0, max_tokens=6, top_k=2, extra_args=directive("top_k")),
        "min_p": params(temperature=1.0, max_tokens=6, min_p=0.999, extra_args=directive("min_p")),
    }
    for key, setting in cases.items():
        engine.wait(raw(cramped, list(b"Processors: what is left?"), setting, key))
    taken = {key: engine.wait(engine.take(key, 6)) for key in cases}
    assert set(taken["allowed"]["top_ids"][:, :4].flatten().tolist()) <= set(allowed)
    assert float(taken["allowed"]["top_probabilities"].sum(1).min()) > 0.999
    assert taken["bias"]["nearest"].tolist() == [70] * 6
    assert int((taken["top_k"]["top_probabilities"] > 0).sum(1).max()) == 2
    assert int((taken["min_p"]["top_probabilities"] > 0).sum(1).max()) == 1


def test_several_answers_of_one_request_and_log_probabilities(cramped):
    engine = cramped._engine
    setting = params(
        n=3, temperature=1.0, seed=5, max_tokens=8, logprobs=2, extra_args=directive("n") | {"cipher": {
            "encoder": "gumbel", "key": "n"}},
    )  # fmt: skip
    output = engine.wait(raw(cramped, list(b"Three of them"), setting, "several"))
    outputs = sorted(output.outputs, key=lambda completion: completion.index)
    # What is taken is forgotten: the next is the first of those left.
    asks = [["n", len(completion.token_ids), 0] for completion in outputs]
    taken = engine.wait(engine.call("cipher_take", asks))
    from safetensors.torch import load

    assert [reason for _, reason in taken] == [""] * 3
    nearest = [load(bytes(data))["nearest"].tolist() for data, _ in taken]
    assert nearest == [list(completion.token_ids) for completion in outputs]
    assert len({tuple(ids) for ids in nearest}) == 3
    for completion in output.outputs:
        assert all(token in found for token, found in zip(completion.token_ids, completion.logprobs, strict=True))


def test_stop_strings_and_end_tokens_as_in_transformers(cramped, expected):
    plain = expected([asked(i, max_tokens=40) for i in range(6)])
    stops = [g.message.text[9:11] for g in plain]
    requests = [asked(i, max_tokens=40, stop=(stop,)) for i, stop in enumerate(stops) if stop]
    assert_same(say(cramped, requests), expected(requests))
    text = [
        asked(i, encoder=None, temperature=0.0, max_tokens=40, stop=(stop,)) for i, stop in enumerate(stops) if stop
    ]
    assert_same(say(cramped, text), expected(text))


@pytest.mark.parametrize("late_s", [0.1, pytest.param(0.3, marks=pytest.mark.long), 1.0])
def test_an_engine_that_learns_late_of_an_end_goes_on(cramped, expected, monkeypatch, late_s):
    from vllm.v1.engine.async_llm import AsyncLLM

    abort = AsyncLLM.abort

    async def late(self, *args, **kwargs):
        await asyncio.sleep(late_s)
        return await abort(self, *args, **kwargs)

    plain = expected([asked(i, max_tokens=60) for i in range(24)])
    # Half of the requests end at a stop string while the others go on.
    requests = [
        asked(i, max_tokens=60, **({"stop": (g.message.text[9:11],)} if i % 2 and g.message.text[9:11] else {}))
        for i, g in enumerate(plain)
    ]
    wanted = expected(requests)
    monkeypatch.setattr(AsyncLLM, "abort", late)
    assert_same(say(cramped, requests), wanted)
    assert cramped.state()["blocks"] == 0


def test_two_hundred_requests_leave_no_memory_behind(cramped):
    before = cramped.state()
    for start in range(0, 200, 40):
        say(cramped, [asked(i % 32, max_tokens=4) for i in range(start, start + 40)])
    after = cramped.state()
    assert (after["bytes"], after["blocks"]) == (before["bytes"], 0)


def test_a_cancelled_request_gives_what_it_said_and_leaves_nothing(cramped):
    async def play():
        pending = cramped.submit(asked(1, max_tokens=400))
        pieces = []
        async for piece in pending:
            pieces.append(piece)
            if len(pieces) == 5:
                pending.cancel()
        return pieces, await pending

    pieces, generation = asyncio.run(play())
    assert generation.finish_reason == "cancelled"
    assert 5 <= generation.usage.generated_tokens < 400
    assert generation.message.text.startswith("".join(pieces[:5]))
    assert cramped.state()["blocks"] == 0


def test_adapters_side_by_side_over_one_model(expected, tiny, tmp_path):
    pairs = [save_adapter(tmp_path, tiny("llama-wide"), seed) for seed in (1, 2)]
    plain = [asked(i, max_tokens=6) for i in range(4)]
    requests = [replace(request, adapter=str(pairs[i % 2][0])) for i, request in enumerate(plain)]
    options = {"enable_lora": True, "max_lora_rank": 8, "max_loras": 2, "max_model_len": 512, **OPTIONS}
    with engine(tiny("llama-wide"), is_within=True, **options) as backend:
        found = say(backend, requests)
        with pytest.raises(RequestError, match="adapter_config.json"):
            say(backend, [replace(plain[0], adapter=str(tmp_path / "nowhere"))])
        with pytest.raises(RequestError, match="every request needs an adapter"):
            say(backend, [plain[0]])
    wanted = [expected([request], pairs[i % 2][1])[0] for i, request in enumerate(plain)]
    for one, other in zip(found, wanted, strict=True):
        assert one.message.token_ids == other.message.token_ids
        error = (one.message.cipher.vectors - other.message.cipher.vectors).norm(dim=1)
        shares = error / other.message.cipher.vectors.norm(dim=1)
        # What is fed back takes the rounding of one step, which is another on each kind of processor, some five times as far.
        assert float(shares[0]) <= 1e-5
        assert float(shares.max()) <= 5e-3
    assert found[0].message.token_ids != expected([plain[0]])[0].message.token_ids


def test_without_prefix_cache_and_compiled(tiny, expected):
    requests = [asked(i) for i in range(32)]
    with engine(tiny("llama-wide"), is_within=True, enable_prefix_caching=False, **CRAMPED) as backend:
        assert_same(say(backend, requests), expected(requests))
        assert backend.state()["resumed"] > 0


@pytest.mark.long
def test_a_model_is_compiled_once(tiny, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    requests, kept = [asked(i) for i in range(4)], []
    for _ in range(2):
        with engine(tiny("llama-wide"), **CRAMPED) as backend:
            assert_same(say(backend, requests), expected(requests))
        kept.append({path for path in tmp_path.rglob("*") if path.suffix in (".so", ".cpp")})
    assert kept[0]
    assert kept[1] == kept[0]


@pytest.mark.long
def test_two_ranks_say_what_one_says(tiny, expected, monkeypatch):
    # One core each; vLLM binds ranks to memory nodes by itself, and a small machine has one.
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
    requests = [asked(i, encoder=name, max_tokens=16) for i, name in enumerate([*sorted(names()), None])]
    with engine(tiny("llama-wide"), enforce_eager=True, tensor_parallel_size=2, max_model_len=512) as backend:
        assert_same(say(backend, requests), expected(requests))


@pytest.mark.long
def test_two_ranks_of_a_model_that_scales_its_table_say_what_one_says(tiny, expected, monkeypatch):
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
    folder = tiny("gemma3-wide")
    requests = [asked(i, encoder=name, max_tokens=8) for i, name in enumerate(["expectation", "topk(k=5)", None])]
    with engine(folder, enforce_eager=True, tensor_parallel_size=2, max_model_len=128) as backend:
        assert_same(say(backend, requests), expected(requests, folder))


ORPHAN = """
import sys
from agents.registry import create_backend

if __name__ == "__main__":
    create_backend("vllm", model=sys.argv[1], dtype="float32", enforce_eager=True, max_model_len=128)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.long
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_killed_process_leaves_no_engine_behind(tiny, tmp_path, monkeypatch, ranks):
    import psutil

    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "|".join(str(rank) for rank in range(ranks)))
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN.replace("128)", f"128, tensor_parallel_size={ranks})"))
    command = [sys.executable, script, tiny("llama-wide")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        # vLLM may print lines of its own before.
        assert any("ready" in line for line in parent.stdout)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert any("EngineCore" in child.name() for child in children)
        parent.kill()
        parent.wait()
        _, alive = psutil.wait_procs(children, timeout=30)
        for child in alive:
            child.kill()
        assert not alive


def engine_processes():
    import psutil

    return [p for p in psutil.Process().children(recursive=True) if "EngineCore" in p.name() or "Worker" in p.name()]


def test_an_engine_that_is_killed_fails_its_requests_by_name_and_is_started_again(cramped, expected):
    async def play():
        pending = [cramped.submit(asked(i, max_tokens=300)) for i in range(4)]
        async for _ in pending[0]:
            break
        core = [p for p in engine_processes() if "EngineCore" in p.name() or "Core" in " ".join(p.cmdline())]
        os.kill((core or engine_processes())[0].pid, signal.SIGKILL)
        started = time.monotonic()
        found = []
        for waiting in pending:
            with pytest.raises(BackendFailed) as failed:
                await waiting
            found.append(str(failed.value))
        return found, time.monotonic() - started

    found, seconds = asyncio.run(play())
    assert found == ["the vLLM engine died during this request"] * 4
    assert seconds < 60
    requests = [asked(1, max_tokens=8)]
    assert_same(say(cramped, requests), expected(requests))


def test_what_cannot_go_with_vectors_is_refused_before_the_start(tiny):
    folder = str(tiny("llama-wide"))
    for options, sentence in [
        ({"pipeline_parallel_size": 2}, "pipeline_parallel_size must be 1"),
        ({"speculative_config": {"model": "ngram"}}, "speculative_config must not be set"),
        ({"worker_cls": "x"}, "'worker_cls' is set by this backend"),
        ({"max_modellen": 3}, "Did you mean 'max_model_len'"),
        ({"max_model_len": 10**6}, "vLLM refuses these options"),
        ({"restarts": -1}, "restarts must be at least 0"),
        ({"enable_sleep_mode": True}, "enable_sleep_mode must not be set"),
    ]:
        started = time.monotonic()
        with pytest.raises(ConfigError, match=sentence):
            create_backend("vllm", model=folder, dtype="float32", **options)
        assert time.monotonic() - started < 30


def test_nothing_spares_the_logits_of_batches_that_are_greedy_throughout():
    """To vLLM all our requests are: an option that comes with a newer one, perhaps switched on, has to be refused by name."""
    from dataclasses import fields

    from vllm.engine.arg_utils import AsyncEngineArgs

    from agents.backends.vllm import options

    known = [field.name for field in fields(AsyncEngineArgs)]
    assert [name for name in known if any(word in name for word in options.SHORTCUTS)] == []
    with pytest.raises(ConfigError, match="enable_greedy_screening must not be set"):
        options._refuse({"enable_greedy_screening": True})


def test_all_that_is_relied_on_is_in_its_place():
    from agents.backends.vllm import versions

    assert versions.moved() == []
    assert versions.moved({"vllm.v1.request": {"Request.update_block_hashes": ("colour",)}}) != []
