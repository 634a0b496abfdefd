"""The benches run and say what they measured; the simulated engine keeps its limits."""

import asyncio
import io
import json
import time

import pytest
from rich.console import Console

from agents.backend import Prompt, Request, Sampling
from agents.backends.simulated import SimulatedBackend
from agents.errors import ConfigError
from debate.bench.orchestrator import bench_orchestrator
from debate.bench.tax import bench_tax


def test_the_simulated_engine_takes_the_time_of_its_rates_and_runs_no_more_than_it_may(run):
    engine = SimulatedBackend(
        decode_tokens_per_s=100, prefill_tokens_per_s=10_000, max_num_seqs=2, shortest=10, longest=10
    )

    async def play():
        start = time.perf_counter()
        pending = [engine.submit(Request(Prompt.of("x" * 400), Sampling(seed=seed))) for seed in range(4)]
        generations = [await one for one in pending]
        return generations, time.perf_counter() - start

    generations, seconds = run(play())
    # Two pairs, each 0.1 s of writing, the prompts read one after the other in 0.01 s each.
    assert 0.2 <= seconds < 1.0
    assert {generation.usage.generated_tokens for generation in generations} == {10}
    figures = engine.busy.figures(2)
    assert figures["seconds"] == pytest.approx(seconds, abs=0.1)
    assert figures["empty"] < 0.2
    with pytest.raises(ConfigError, match="shortest <= longest"):
        SimulatedBackend(shortest=9, longest=3)


def test_an_idle_engine_is_seen_as_idle(run):
    engine = SimulatedBackend(decode_tokens_per_s=100, max_num_seqs=1, shortest=10, longest=10)

    async def play():
        await engine.submit(Request(Prompt.of("a")))
        await asyncio.sleep(0.1)
        await engine.submit(Request(Prompt.of("b")))

    run(play())
    assert engine.busy.figures(1)["idle"] == pytest.approx(1 / 3, abs=0.15)


@pytest.mark.parametrize("parts", ["resum", ","])
def test_a_part_that_there_is_not_is_a_sentence(cli, parts):
    code, _, err = cli("bench", "orchestrator", "--debates", 10, "--parts", parts)
    assert code == 2
    assert "there are throughput, resume, idle" in err


def test_the_bench_measures_throughput_resuming_and_idle_engines(run, tmp_path):
    report = run(
        bench_orchestrator(
            debates=20,
            idle_debates=10,
            parts=["resume", "idle"],
            runtime="local",
            replicas=1,
            in_flight=8,
            fsync="no",
            plot=tmp_path / "cost.png",
            out=tmp_path / "figures.json",
            console=Console(file=io.StringIO()),
            progress=lambda _: None,
        )
    )
    assert report["throughput"]["turns"] == 20 * 12
    assert report["throughput"]["turns_per_s"] > 0
    assert len(report["throughput"]["cpu_ms_per_turn_by_tenth"]) >= 10
    assert 0 < report["resume"]["seconds"] < 5
    assert 0 <= report["idle"]["idle"] < 0.5
    assert json.loads((tmp_path / "figures.json").read_text()) == report
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_the_tax_is_measured_on_the_very_same_requests(run, tiny, tmp_path):
    report = run(
        bench_tax(
            model=str(tiny("llama-wide")),
            debates=2,
            tokens=4,
            rounds=1,
            message="text",
            with_ray=False,
            out=tmp_path / "tax.json",
            console=Console(file=io.StringIO()),
            progress=lambda _: None,
        )
    )
    assert report["turns"] == 12
    assert report["local"]["ratios"][0] > 0
