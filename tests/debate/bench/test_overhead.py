"""What CIPHER adds to a step, over vLLM's own text: the arms, the figures, and what is refused. The engine is a stand-in."""

import io
import json

import pytest
from rich.console import Console

from agents.errors import ConfigError, UnknownName
from debate.bench import overhead
from debate.bench.engine import Plan

PLAN = Plan(("vllm",), (0.7,), (1, 32), 8, 3, "expectation")


@pytest.fixture
def measured(monkeypatch, run):
    """Return a function: options → (report, what was printed, which arms were asked)."""
    asked = []

    async def seconds(engine, arm, rows, number, plan):
        asked.append((arm, rows))
        # The first round is slow, and counts for nothing.
        base = 10.0 if number == 0 else 1.0
        return base * {overhead.STOCK: 1.0, overhead.TEXT: 1.01, overhead.CIPHER: 1.05 if rows == 1 else 1.1}[arm]

    class Engine:
        async def close(self):
            asked.append("closed")

    monkeypatch.setattr(overhead, "_seconds", seconds)
    monkeypatch.setattr(overhead, "write_random", lambda *given: None)
    monkeypatch.setattr(overhead, "create_backend", lambda *given, **options: Engine())

    def measure(shapes=("qwen3-0.6b",), device="cpu", **options):
        console = Console(file=io.StringIO(), width=200)
        settings = {"plan": PLAN, "options": {}, "minutes": None, "out": None, "progress": lambda _: None, **options}
        report = run(overhead.bench_overhead(shapes=shapes, device=device, console=console, **settings))
        return report, console.file.getvalue(), asked

    return measure


def test_figures_are_over_vllms_own_text_and_stand_beside_the_published(measured, tmp_path):
    report, printed, asked = measured(out=tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text()) == report
    one, many = report["lines"]
    assert one["cipher"] == pytest.approx({"median": 5, "low": 5, "high": 5})
    assert many["cipher"]["median"] == pytest.approx(10)
    assert (one["published"], many["published"]) == (8.7, 12.3)
    assert one["ms_a_step"] == pytest.approx(125)
    assert "+5.0 (+5.0 to +5.0)" in printed
    assert "+12.3" in printed
    assert len(asked) == 2 * 3 * 4 + 1


def test_shapes_for_which_there_is_no_time_are_listed(measured):
    report, printed, asked = measured(shapes=("tiny", "qwen3-8b"), minutes=0)
    assert report["lines"] == []
    assert asked == []
    assert "left out, for the time was over: tiny, qwen3-8b" in printed


def test_what_is_not_there_is_refused(measured, monkeypatch):
    with pytest.raises(UnknownName, match="qwen3-8b"):
        measured(shapes=("qwen3-9b",))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="--device cuda: torch finds no such device"):
        measured(device="cuda")


@pytest.mark.long
@pytest.mark.slow
def test_a_tiny_model_on_the_real_vllm(run):
    pytest.importorskip("vllm")
    plan = Plan(("vllm",), (0.7,), (1, 4), 8, 1, "expectation")
    console = Console(file=io.StringIO(), width=200)
    report = run(
        overhead.bench_overhead(
            shapes=["tiny"], device="cpu", plan=plan, options={"enforce_eager": True}, minutes=None, out=None,
            console=console, progress=lambda _: None,
        )
    )  # fmt: skip
    assert [line["rows"] for line in report["lines"]] == [1, 4]
