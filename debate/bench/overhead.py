"""`debate bench engine --shapes`: what CIPHER adds to a step of vLLM, by the model's size, beside what a fork of vLLM reports.

Three arms in one engine, interleaved: text by vLLM's own sampler, text as we draw it, and CIPHER. A figure is the time of a round
over that of vLLM's own text in the same round, less 1; the median of the rounds, of which the first is not counted.
"""

import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from agents.atomic_file import write_json
from agents.backend import Prompt, Request, Sampling
from agents.errors import ConfigError, UnknownName
from agents.pretrained import Progress
from agents.registry import create_backend
from debate.bench.engine import Plan
from debate.bench.random_qwen import SIZES, write_random

STOCK, TEXT, CIPHER = "stock", "text", "cipher"
# In per cent over stock vLLM, by requests at once; dense soft decoding of 128 positions on an RTX A6000, as its authors report it
# (vllm-latent, results/scaling/REPORT.md). At 32 its batch mixes four policies.
PUBLISHED = {
    "qwen3-0.6b": {1: 8.7, 32: 12.3},
    "qwen3-1.7b": {1: 7.6, 32: 10.3},
    "qwen3-4b": {1: 4.6, 32: 6.0},
    "qwen3-8b": {1: 4.0, 32: 4.8},
}


async def bench_overhead(
    *,
    shapes: Sequence[str],
    device: str,
    plan: Plan,
    options: Mapping[str, Any],
    minutes: float | None,
    out: Path | None,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    """Measure every shape, print the table, and return the figures.

    Args:
        shapes: names of SIZES.
        device: `cuda` or `cpu`; vLLM itself runs where its build does.
        plan: of which the first temperature is taken.
        options: of the engine.
        minutes: no shape begins later; None for all.
        out: where the figures are written after each shape.
        console, progress: where the table and the sentences go.

    Raises:
        UnknownName: no such shape.
        ConfigError: a device that is not there.
    """
    for shape in shapes:
        if shape not in SIZES:
            raise UnknownName("shape", shape, SIZES)
    if device not in ("cuda", "cpu") or (device == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(
            f"--device {device}: torch finds no such device here; cpu and, where there is one, cuda are allowed"
        )
    report: dict[str, Any] = {
        "machine": torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} CPU",
        "torch": torch.__version__,
        "tokens": plan.tokens,
        "rounds": plan.rounds,
        "temperature": plan.temperatures[0],
        "lines": [],
        "left_out": [],
    }
    end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    for shape in shapes:
        if time.monotonic() > end:
            report["left_out"].append(shape)
            continue
        report["lines"] += await _measure(shape, device, plan, options, progress)
        if out is not None:
            write_json(out, report)
    if out is not None:
        write_json(out, report)
    _show(report, console)
    return report


async def _measure(
    shape: str, device: str, plan: Plan, options: Mapping[str, Any], progress: Progress
) -> list[dict[str, Any]]:
    """Return a line for each number of requests."""
    with tempfile.TemporaryDirectory(prefix="cipher-debate-") as folder:
        progress(f"{shape}: drawing random weights")
        write_random(shape, Path(folder), device)
        engine = create_backend("vllm", model=folder, progress=progress, **{"max_model_len": 512, **options})
        times: dict[tuple[int, str], list[float]] = {}
        try:
            for number in range(plan.rounds + 1):
                progress(f"{shape}: round {number} of {plan.rounds}")
                for rows in plan.rows:
                    for arm in (STOCK, TEXT, CIPHER):
                        taken = await _seconds(engine, arm, rows, number, plan)
                        if number:
                            times.setdefault((rows, arm), []).append(taken)
        finally:
            await engine.close()
    lines = []
    for rows in plan.rows:
        base = times[rows, STOCK]
        line: dict[str, Any] = {"shape": shape, "rows": rows, "ms_a_step": 1e3 * statistics.median(base) / plan.tokens}
        for arm in (TEXT, CIPHER):
            ratios = [one / other for one, other in zip(times[rows, arm], base, strict=True)]
            line[arm] = {
                "median": 100 * (statistics.median(ratios) - 1),
                "low": 100 * (min(ratios) - 1),
                "high": 100 * (max(ratios) - 1),
            }
        line["published"] = PUBLISHED.get(shape, {}).get(rows)
        lines.append(line)
    return lines


async def _seconds(engine: Any, arm: str, rows: int, number: int, plan: Plan) -> float:
    """Return how long an arm took in a round: all requests at once, prompts that nobody asked before."""
    from agents.backends.vllm.stock import stock

    texts = [f"{number}-{arm}-{rows}-{row}: count on" for row in range(rows)]
    temperature = plan.temperatures[0]
    begun = time.perf_counter()
    if arm == STOCK:
        prompts = [list(text.encode()) for text in texts]
        generated = await stock(engine, prompts, tokens=plan.tokens, temperature=temperature)
    else:
        encoder = plan.encoder if arm == CIPHER else None
        pending = [
            engine.submit(
                Request(
                    Prompt.of(text),
                    Sampling(temperature=temperature, max_tokens=plan.tokens, seed=row, ignore_eos=True),
                    encoder,
                )
            )
            for row, text in enumerate(texts)
        ]
        generated = sum([(await one).usage.generated_tokens for one in pending])
    taken = time.perf_counter() - begun
    if generated != rows * plan.tokens:
        raise ConfigError(
            f"{arm}: {generated} tokens came, and {rows * plan.tokens} were asked for: raise max_model_len"
        )
    return taken


def _show(report: Mapping[str, Any], console: Console) -> None:
    facts = {name: value for name, value in report.items() if name not in ("lines", "left_out")}
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), markup=False)
    table = Table(
        title="per cent over vLLM's own text, lowest to highest round; published: a fork of vLLM on an RTX A6000, as reported",
        box=None,
        pad_edge=False,
    )
    for column in ("shape", "requests", "ms a step", "text", "CIPHER", "published"):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for line in report["lines"]:
        shown = [
            f"{line[arm]['median']:+.1f} ({line[arm]['low']:+.1f} to {line[arm]['high']:+.1f})"
            for arm in (TEXT, CIPHER)
        ]
        published = "–" if line["published"] is None else f"{line['published']:+.1f}"
        table.add_row(line["shape"], str(line["rows"]), f"{line['ms_a_step']:.2f}", *shown, published)
    console.print(table)
    if report["left_out"]:
        console.print(f"left out, for the time was over: {', '.join(report['left_out'])}", markup=False)
