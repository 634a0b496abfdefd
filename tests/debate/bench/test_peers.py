"""The published code's loop says what the method says, and a race's factor is the product that it is told as."""

import asyncio
import json

import pytest
import torch
from rich.console import Console
from support.plain_loops import plain_cipher_loop

from agents.backend import Prompt, Request, Sampling
from agents.errors import RequestError
from debate.bench import reference_loop
from debate.bench.peers import Factors, Work, arithmetic_limit, bench_peers, factors
from debate.bench.reference_loop import ReferenceLoop, Spent


@pytest.fixture(scope="module")
def loop():
    return ReferenceLoop("tiny/ada", "float32", lambda said: None)


def asked(text, **sampling):
    return Request(Prompt.of(text), Sampling(temperature=0.7, max_tokens=6, **sampling), "expectation")


def test_a_padded_batch_says_what_each_prompt_says_alone(loop):
    ids = [loop.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("1+", "12+3*45-6*7=", "3*4+5")]
    assert len(set(map(len, ids))) == 3
    prompts = [loop.table[torch.tensor(row)] for row in ids]
    before = loop.spent.steps
    everything = loop.decode(prompts, 0.7, 6)
    # The shortest prompt is read at once; the longest has six more.
    assert everything.shape[1] == max(map(len, ids)) + 6
    assert loop.spent.steps - before == max(map(len, ids)) + 6 - min(map(len, ids))
    for row, found in zip(ids, everything, strict=True):
        vectors, nearest = plain_cipher_loop(loop.model, row, 0.7, 6)
        said = found[len(row) : len(row) + 6]
        torch.testing.assert_close(said.double(), vectors, rtol=1e-3, atol=1e-3)
        distances = torch.cdist(torch.nn.functional.normalize(vectors, dim=1), loop._unit.double())
        chosen = distances.gather(1, loop.nearest(said)[:, None])[:, 0]
        # The published code's distances are of float32, through a matrix product.
        assert bool((chosen <= distances.amin(dim=1) + 1e-3).all())
        assert int((loop.nearest(said) == torch.tensor(nearest)).sum()) >= 5


def test_what_lies_behind_an_end_token_is_cut_away(loop, monkeypatch):
    request = asked("12+3*45=")
    (whole,) = loop.say([request])
    assert whole.finish_reason == "length"
    assert whole.message.num_tokens == len(whole.message.cipher) == 6
    end = whole.message.token_ids[-1]
    first = whole.message.token_ids.index(end)
    monkeypatch.setattr(loop, "stop_ids", frozenset({end}))
    (cut,) = loop.say([request])
    assert cut.finish_reason == "stop"
    assert cut.message.token_ids == whole.message.token_ids[:first]
    # It was decoded all the same.
    assert cut.usage.generated_tokens == 6
    heard = Request(Prompt.of("1+2=", whole.message, "3+"), request.sampling, "expectation")
    assert len(loop.embedded(heard)) == len(loop.embedded(asked("1+2=3+"))) + 6


def test_a_batch_that_takes_long_says_how_far_it_is(monkeypatch):
    told = []
    loop = ReferenceLoop("tiny/ada", "float32", told.append)
    told.clear()
    loop.say([asked("12+3*45=")])
    assert told == []
    monkeypatch.setattr(reference_loop, "TELL_EVERY_S", 0.0)
    loop.say([asked("12+3*45=")])
    assert told == [f"the published code's loop: batch 2, step {step} of 6" for step in range(1, 7)]


def test_a_batch_of_different_requests_is_refused(loop):
    with pytest.raises(RequestError, match="one temperature"):
        loop.say([asked("a"), Request(Prompt.of("b"), Sampling(temperature=0.1, max_tokens=6), "expectation")])
    with pytest.raises(RequestError, match="asks for text"):
        loop.say([Request(Prompt.of("b"), Sampling(max_tokens=6), None)])


def test_the_factors_multiply_to_the_quotient_of_times():
    reference = Work(debates=16, seconds=600.0, prompt=9_000, cached=0, decoded=14_000, said=7_000)
    ours = Work(debates=16, seconds=50.0, prompt=9_100, cached=3_000, decoded=6_500, said=6_400)
    found = factors(reference, ours, Spent(expectation_s=40.0, nearest_s=60.0), batching=1.5)
    assert found.product == pytest.approx(12)
    assert found.stopping == pytest.approx(23_000 / 16_000)
    assert found.lengths == pytest.approx(16_000 / 15_600)
    assert found.prefix_cache == pytest.approx(15_600 / 12_600)
    assert found.table == pytest.approx(1.2)
    assert found.engine == pytest.approx((600 / 23_000) / (50 / 12_600) / 1.2 / 1.5)
    assert Factors(2, 1, 3, 1, 1, 0.5).product == 3
    assert ours.an_hour == 16 * 72
    # 12,600 positions of a thousand operations at a million a second: 12.6 s for 16 debates.
    assert arithmetic_limit(ours, 1_000, 1e6) == pytest.approx(3600 * 16 / 12.6)


def test_a_race_on_a_tiny_model(tmp_path, monkeypatch):
    monkeypatch.setattr("kernels.bench.machine.rates", lambda *given: {"matmul_float32_flops_per_s": 1e10})
    batches = []
    say = ReferenceLoop.say
    monkeypatch.setattr(ReferenceLoop, "say", lambda loop, asked: batches.append(len(asked)) or say(loop, asked))
    console, out = Console(record=True, width=140), tmp_path / "peers.json"
    report = asyncio.run(
        bench_peers(
            model="tiny/ada",
            backend="transformers",
            dtype="float32",
            questions=2,
            tokens=4,
            rounds=1,
            options={},
            out=out,
            console=console,
            progress=lambda said: None,
            prompts="tiny",
            form="plain",
        )
    )
    assert json.loads(out.read_text()) == report
    (race,) = report["races"]
    # Two debates of two agents and three rounds: six batches of two rows.
    assert report["loop"]["batches"] == 6
    # And six before the clock, as the engine has them.
    assert batches == [2] * 12
    assert report["loop"]["rows"] == 12
    assert race["reference"]["debates"] == race["ours"]["debates"] == 2
    # The same prompts, as far as they hear the same; every row decodes to the end.
    assert race["reference"]["decoded"] >= 12 * 4
    assert race["reference"]["said"] == race["ours"]["said"]
    assert race["reference"]["prompt"] == race["ours"]["prompt"]
    assert report["from"]["product"] == pytest.approx(report["factor"][0])
    assert "debates/h" in console.export_text()
