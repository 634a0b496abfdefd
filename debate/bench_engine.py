"""`debate bench engine`: text beside CIPHER, one request at a time beside a batch, interleaved in one process.

Every arm generates the same number of tokens a request (end tokens are ignored by asking for prompts that go on; a request
that ends early counts what it generated). Medians over the rounds after the first.
"""

import json
import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from agents.backend import Backend, Prompt, Request, Sampling
from agents.pretrained import Progress
from agents.registry import create_backend

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@dataclass(frozen=True)
class Arm:
    """One way of using the engine: how many requests at once, and how they are decoded."""

    name: str
    rows: int
    encoder: str | None


async def bench_engine(
    *,
    model: str,
    backend: str,
    dtype: str,
    rows: int,
    tokens: int,
    rounds: int,
    temperature: float,
    encoder: str,
    backend_options: Mapping[str, Any],
    out: Path | None,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    """Measure every arm, print the table with the ratios, and return the figures."""
    arms = [
        Arm("text, 1 at a time", 1, None),
        Arm(f"text, {rows} at once", rows, None),
        Arm(f"{encoder}, 1 at a time", 1, encoder),
        Arm(f"{encoder}, {rows} at once", rows, encoder),
        Arm(f"mixed half and half, {rows} at once", -rows, encoder),
    ]
    engine = create_backend(backend, model=model, dtype=dtype, progress=progress, **backend_options)
    rates: dict[str, list[float]] = {arm.name: [] for arm in arms}
    try:
        for number in range(rounds):
            progress(f"round {number + 1} of {rounds}" + (" (not counted)" if number == 0 else ""))
            for arm in arms:
                rate = await _measure(engine, arm, tokens, temperature, number)
                if number:
                    rates[arm.name].append(rate)
    finally:
        await engine.close()
    figures = {name: {"median": statistics.median(r), "min": min(r), "max": max(r)} for name, r in rates.items()}
    medians = [figures[arm.name]["median"] for arm in arms]
    ratios = {
        f"text: {rows} rows / 1 row": medians[1] / medians[0],
        f"CIPHER: {rows} rows / 1 row": medians[3] / medians[2],
        f"mixed: {rows} rows / 1 row (mean of text and CIPHER)": medians[4] / statistics.mean((medians[0], medians[2])),
        "CIPHER / text, 1 row": medians[2] / medians[0],
        f"CIPHER / text, {rows} rows": medians[3] / medians[1],
    }
    facts = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "backend": backend,
        "model": str(engine.fingerprint),
        "dtype": dtype,
        **backend_options,
        "temperature": temperature,
        "tokens": tokens,
        "rounds": rounds - 1,
    }
    table = Table(title="tokens/s (median, min to max)", title_justify="left", box=None, pad_edge=False)
    for column in ("arm", "median", "min", "max"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for name, figure in figures.items():
        table.add_row(name, *(f"{figure[key]:.1f}" for key in ("median", "min", "max")))
    console.print(", ".join(f"{key} {value}" for key, value in facts.items()), markup=False)
    console.print(table, markup=False)
    for name, ratio in ratios.items():
        console.print(f"{name}: {ratio:.2f}", markup=False)
    report = {**facts, "tokens_per_s": figures, "ratios": ratios}
    if out is not None:
        out.write_text(json.dumps(report, indent=1) + "\n")
    return report


async def _measure(engine: Backend, arm: Arm, tokens: int, temperature: float, number: int) -> float:
    """Return tokens/s of one arm in one round; the prompts of a round are the same for every arm."""
    requests = []
    for row in range(abs(arm.rows)):
        prompt = (
            f"Count from {NUMBERS[row % 10]} on, in words, without stopping, list {row}, {number}: {NUMBERS[row % 10]},"
        )
        encoder = arm.encoder if arm.rows > 0 or row % 2 else None
        sampling = Sampling(temperature=temperature, max_tokens=tokens, seed=1000 * number + row)
        requests.append(Request(Prompt.of(prompt), sampling, encoder))
    start = time.perf_counter()
    pending = [engine.submit(request) for request in requests]
    generated = 0
    for waiting in pending:
        generated += (await waiting).usage.generated_tokens
    return generated / (time.perf_counter() - start)
