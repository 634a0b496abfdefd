"""The benchmark checks before it times, and writes what it printed."""

import io
import json

import pytest
import torch
from rich.console import Console

from kernels.bench import Recorded, case, run, runner


@pytest.fixture(autouse=True)
def small_shapes(monkeypatch):
    monkeypatch.setattr(case, "SHAPES", {"small": (600, 64)})
    monkeypatch.setattr(runner, "SHAPES", {"small": (600, 64)})
    quick = {
        "copy_bytes_per_s": 1e10,
        "read_bytes_per_s": 1e10,
        "matmul_float32_flops_per_s": 1e11,
        "matmul_bfloat16_flops_per_s": 1e11,
    }
    monkeypatch.setattr(runner.machine, "rates", lambda device, rounds: quick)


def bench(**options):
    console = Console(file=io.StringIO(), width=200)
    recorded = Recorded("real", torch.randn(9, 600) * 4, torch.randn(600, 64))
    report = run(
        shapes=["small"], batch_sizes=[1, 5], rounds=4, device="cpu", compiled=False, recorded=recorded, console=console,
        **options,
    )  # fmt: skip
    return report, console.file.getvalue()


def test_every_operator_is_checked_timed_and_written(tmp_path):
    out = tmp_path / "figures" / "kernels.json"
    report, printed = bench(out_json=out)
    assert json.loads(out.read_text()) == report
    # Two dtypes, two batch sizes: three operators on the shape and one on the recorded logits.
    assert len(report["results"]) == 2 * 2 * 4
    for result in report["results"]:
        assert {"eager", "blocked"} <= set(result["timings"])
        assert all(timing["seconds"] > 0 for timing in result["timings"].values())
    for word in ("vocabulary_attention", "expected_embedding", "nearest_token", "eager", "torch", "copy_bytes_per_s"):
        assert word in printed


def test_a_wrong_result_is_not_timed(monkeypatch):
    monkeypatch.setattr(runner.attention_bench, "two_step", lambda hidden, table, temperature: hidden * 0)
    monkeypatch.setattr(runner.machine, "seconds", lambda *_: pytest.fail("timed before it was checked"))
    with pytest.raises(AssertionError, match="eager is off"):
        bench()


def test_unknown_names_are_listed():
    with pytest.raises(ValueError, match="unknown shape 'big'. Known: small"):
        run(shapes=["big"])
