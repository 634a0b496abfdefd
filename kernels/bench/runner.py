"""Checking and timing cases, and what is printed and kept of it."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from kernels import gpu, native, tuning
from kernels.attention import bench as attention_bench
from kernels.bench import machine
from kernels.bench.case import SHAPES, BenchCase, random_table
from kernels.expectation import bench as expectation_bench
from kernels.names import unknown
from kernels.nearest import bench as nearest_bench
from kernels.table import EmbeddingTable

OPERATORS = ("vocabulary_attention", "expected_embedding", "nearest_token")


@dataclass(frozen=True, eq=False)
class Recorded:
    """Logits [N, V] of a real model and its table [V, D], for the sparse mode: random beliefs are not like real ones."""

    name: str
    logits: Tensor
    table: Tensor


def run(
    *,
    shapes: Sequence[str] = tuple(SHAPES),
    batch_sizes: Sequence[int] = (1, 4, 16, 64),
    dtypes: Sequence[str] = ("bfloat16", "float32"),
    operators: Sequence[str] = OPERATORS,
    rounds: int = 7,
    device: str | None = None,
    compiled: bool = True,
    recorded: Recorded | None = None,
    temperature: float = 0.7,
    out_json: Path | None = None,
    minutes: float | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Check, then time, every operator on every shape, and return what was written to `out_json`.

    Rounds are interleaved (each runs every implementation once) and the first is thrown away. Times are medians with half
    the distance of the quartiles. The limit of a case is the time to read what must be read, or to multiply what must be
    multiplied, at the rates measured on this machine, whichever is longer; `share` is that limit over the median. Cases that
    would begin later than `minutes` after the start are left out, and the report lists them.

    Raises:
        AssertionError: an implementation is wrong; nothing is timed before it is checked.
    """
    _check_names("shape", shapes, tuple(SHAPES))
    _check_names("operator", operators, OPERATORS)
    console = console or Console()
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    facts, best = machine.describe(where), machine.rates(where, max(3, rounds))
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()))
    console.print(", ".join(f"{name} {value / 1e9:.1f} G" for name, value in best.items()))
    results: list[dict[str, Any]] = []
    left_out: list[str] = []
    report: dict[str, Any] = {
        "machine": facts, "rates": best, "rounds": rounds, "results": results, "left_out": left_out
    }  # fmt: skip
    end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    with torch.no_grad():
        for shape, dtype, table in _tables(shapes, dtypes, where, console):
            for rows in batch_sizes:
                if time.monotonic() > end:
                    left_out.append(f"{shape} {dtype} B={rows}")
                    continue
                for case in _cases(shape, table, rows, operators, compiled, temperature):
                    results.append(_measure(case, best, rounds, where))
                    _save(report, out_json)
            if any(r["shape"] == shape and r["dtype"] == dtype for r in results):
                console.print(_table([r for r in results if r["shape"] == shape and r["dtype"] == dtype]))
            if compiled:
                torch.compiler.reset()
        if recorded is not None:
            for dtype in dtypes:
                table = EmbeddingTable(recorded.table.to(where, getattr(torch, dtype)))
                for rows in batch_sizes:
                    logits = _spread(recorded.logits, rows).to(where)
                    case = expectation_bench.case(
                        recorded.name, table, logits, temperature, _implementations(where), compiled
                    )
                    results.append(_measure(case, best, rounds, where))
            console.print(_table([r for r in results if r["shape"] == recorded.name]))
    report["launches"] = tuning.known(where)
    if left_out:
        console.print(f"left out, for the {minutes:g} minutes were over: {', '.join(left_out)}")
    _save(report, out_json)
    return report


def _cases(
    shape: str, table: EmbeddingTable, rows: int, operators: Sequence[str], compiled: bool, temperature: float
) -> Iterator[BenchCase]:
    weight = table.weight
    implementations = _implementations(weight.device)
    if "vocabulary_attention" in operators:
        yield attention_bench.case(shape, weight, rows, implementations, compiled)
    if "expected_embedding" in operators:
        generator = torch.Generator(weight.device).manual_seed(rows)
        logits = 3 * torch.randn(rows, table.num_tokens, generator=generator, device=weight.device)
        yield expectation_bench.case(shape, table, logits, temperature, implementations, compiled)
    if "nearest_token" in operators:
        vectors, candidates = nearest_bench.beliefs_on(table, rows, seed=rows)
        yield nearest_bench.case(shape, table, vectors, candidates, implementations)


def _implementations(device: torch.device) -> list[str]:
    """Those that can run here, fused ones first."""
    if device.type == "cuda":
        return ["triton"] if gpu.refusal("auto", torch.empty(0, device=device)) is None else []
    return [*(["native"] if native.refusal() is None else []), "blocked"]


def _measure(case: BenchCase, best: dict[str, float], rounds: int, device: torch.device) -> dict[str, Any]:
    errors = case.check()
    times: dict[str, list[float]] = {name: [] for name in case.runs}
    for number in range(rounds + 1):
        for name, run_once in case.runs.items():
            taken = machine.seconds(run_once, device)
            if number:
                times[name].append(taken)
    matmul = best["matmul_bfloat16_flops_per_s" if case.dtype == torch.bfloat16 else "matmul_float32_flops_per_s"]
    to_read, to_multiply = case.num_bytes / best["read_bytes_per_s"], case.num_flops / matmul
    limit = max(to_read, to_multiply)
    timings = {}
    for name, taken_all in times.items():
        middle, spread = machine.median_and_spread(taken_all)
        timings[name] = {
            "seconds": middle,
            "spread": spread,
            "fastest": min(taken_all),
            "share": limit / middle,
            "error": errors[name],
        }
    return {
        "operator": case.operator,
        "shape": case.shape,
        "rows": case.rows,
        "dtype": str(case.dtype).removeprefix("torch."),
        "bytes": case.num_bytes,
        "flops": case.num_flops,
        "limit": "memory" if to_read >= to_multiply else "arithmetic",
        "limit_seconds": limit,
        "timings": timings,
        "notes": dict(case.notes),
    }


def _table(results: list[dict[str, Any]]) -> Table:
    table = Table(title="medians, ± half the quartiles' distance; share of the limit that binds")
    for heading in (
        "operator",
        "shape",
        "dtype",
        "B",
        "implementation",
        "ms",
        "±",
        "fastest",
        "limit",
        "share",
        "× eager",
        "error",
    ):
        table.add_column(heading, justify="left" if heading in ("operator", "shape", "implementation") else "right")
    for result in results:
        eager = result["timings"]["eager"]["seconds"]
        for name, timing in result["timings"].items():
            table.add_row(
                result["operator"],
                result["shape"],
                result["dtype"],
                str(result["rows"]),
                name,
                f"{timing['seconds'] * 1e3:.2f}",
                f"{timing['spread']:.0%}",
                f"{timing['fastest'] * 1e3:.2f}",
                f"{result['limit']} {result['limit_seconds'] * 1e3:.2f}",
                f"{timing['share']:.0%}",
                f"{eager / timing['seconds']:.2f}",
                f"{timing['error']:.1e}",
            )
        if result["notes"]:
            table.caption = ", ".join(f"{name} {value:.4g}" for name, value in result["notes"].items())
    return table


def _tables(
    shapes: Sequence[str], dtypes: Sequence[str], device: torch.device, console: Console
) -> Iterator[tuple[str, str, EmbeddingTable]]:
    for shape in shapes:
        for dtype in dtypes:
            with _timed(console, f"{shape} {dtype}"):
                table = EmbeddingTable(random_table(shape, getattr(torch, dtype), device))
            if device.type == "cuda":
                table.tune()
            yield shape, dtype, table


@contextmanager
def _timed(console: Console, what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    console.print(f"{what}: table made in {time.perf_counter() - start:.1f} s")


def _spread(logits: Tensor, rows: int) -> Tensor:
    """`rows` of the recorded rows, evenly spread over all of them."""
    return logits[torch.linspace(0, len(logits) - 1, rows).round().long()].float().contiguous()


def _check_names(kind: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(unknown(kind, name, known))


def _save(report: dict[str, Any], out_json: Path | None) -> None:
    if out_json is not None:
        out_json.parent.mkdir(parents=True, exist_ok=True)
        out_json.write_text(json.dumps(report, indent=2) + "\n")
