"""`debate bench engine`: text beside CIPHER, few requests beside many, engine beside engine, interleaved in one run.

Every request generates the same number of tokens: end tokens do not end it. A rate counts generated tokens over the time from
the first submission to the last answer, prompts included. A ratio is taken within a round, whose arms follow one another in
seconds, and the median is of those; the first round warms up and is not counted.
"""

import itertools
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from agents.atomic_file import write_json
from agents.backend import Backend, Prompt, Request, Sampling
from agents.errors import ConfigError
from agents.pretrained import Progress
from agents.registry import create_backend

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
TEXT, CIPHER, MIXED = "text", "cipher", "mixed"


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        backends: names of the engines, each with the model.
        temperatures: of every request of an arm.
        rows: requests at once.
        tokens: that each request generates.
        rounds: counted ones.
        encoder: of the CIPHER requests.
    """

    backends: tuple[str, ...]
    temperatures: tuple[float, ...]
    rows: tuple[int, ...]
    tokens: int
    rounds: int
    encoder: str

    def __post_init__(self) -> None:
        for name, values, least in (("rows", self.rows, 1), ("temperatures", self.temperatures, 0)):
            if not values or any(value < least for value in values):
                raise ConfigError(f"--{name} must be numbers of at least {least}, with commas between them")


@dataclass(frozen=True)
class Arm:
    """One way of using an engine. `kind` is text, cipher, or mixed: every second request CIPHER."""

    backend: str
    temperature: float
    rows: int
    kind: str


@dataclass(frozen=True)
class Measurement:
    """A rate or a ratio: the median with the lowest and highest of the rounds."""

    median: float
    low: float
    high: float
    is_ratio: bool = False

    @classmethod
    def of(cls, values: Sequence[float], *, is_ratio: bool = False) -> "Measurement":
        """Return the figure of some rounds."""
        return cls(statistics.median(values), min(values), max(values), is_ratio)

    def show(self, *, brief: bool = False) -> str:
        """Return a rate alone, a ratio as `median (low to high)`, or briefly without the range."""
        if not self.is_ratio:
            return f"{self.median:.1f}"
        return f"{self.median:.2f}" if brief else f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


class Rates:
    """Tokens/s of every arm, a value a counted round."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rates: dict[Arm, list[float]] = {}

    def add(self, arm: Arm, rate: float) -> None:
        """Add one round's rate of an arm."""
        self._rates.setdefault(arm, []).append(rate)

    def rate(self, arm: Arm) -> Measurement:
        """Return an arm's tokens/s."""
        return Measurement.of(self._rates[arm])

    def ratio(self, arm: Arm, base: Arm) -> Measurement:
        """Return how many times as fast an arm is as another in the same round."""
        return Measurement.of(
            [one / other for one, other in zip(self._rates[arm], self._rates[base], strict=True)], is_ratio=True
        )

    def lines(self) -> list[dict[str, Any]]:
        """Return a line for each engine, temperature and number of requests: rates and ratios; `×` is over the first engine."""
        plan, lines = self.plan, []
        for temperature, rows, backend in itertools.product(plan.temperatures, plan.rows, plan.backends):
            text, cipher, mixed = (Arm(backend, temperature, rows, kind) for kind in (TEXT, CIPHER, MIXED))
            line: dict[str, Any] = {"backend": backend, "temperature": temperature, "rows": rows}
            line |= {"text": self.rate(text), "cipher": self.rate(cipher), "cipher/text": self.ratio(cipher, text)}
            if mixed in self._rates:
                line["mixed"] = self.rate(mixed)
            if backend != plan.backends[0]:
                for arm in (text, cipher):
                    first = Arm(plan.backends[0], temperature, rows, arm.kind)
                    line[f"{arm.kind} ×"] = self.ratio(arm, first)
            lines.append(line)
        return lines


def arms(plan: Plan) -> list[Arm]:
    """Return the arms of a round: what is compared stands together. Mixed batches are of the most requests."""
    found = []
    for temperature, rows, backend in itertools.product(plan.temperatures, plan.rows, plan.backends):
        kinds = (TEXT, CIPHER, MIXED) if rows == max(plan.rows) > 1 else (TEXT, CIPHER)
        found += [Arm(backend, temperature, rows, kind) for kind in kinds]
    return found


async def bench_engine(
    *,
    model: str,
    dtype: str,
    plan: Plan,
    backend_options: Mapping[str, Mapping[str, Any]],
    out: Path | None,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    """Measure every arm, print the tables, and return the figures. `backend_options` are by backend."""
    engines: dict[str, Backend] = {}
    rates = Rates(plan)
    try:
        for name in plan.backends:
            options = backend_options.get(name, {})
            engines[name] = create_backend(name, model=model, dtype=dtype, progress=progress, **options)
        begun = time.perf_counter()
        for number in range(plan.rounds + 1):
            left = (
                ""
                if number == 0
                else f", about {(time.perf_counter() - begun) / number * (plan.rounds + 1 - number):.0f} s left"
            )
            progress(f"round {number} of {plan.rounds}{left}" if number else "warming up (not counted)")
            for place, arm in enumerate(arms(plan)):
                rate = await _measure(engines[arm.backend], arm, plan, number, place)
                if number:
                    rates.add(arm, rate)
    finally:
        for engine in engines.values():
            await engine.close()
    facts = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "model": str(engines[plan.backends[0]].fingerprint),
        "dtype": dtype,
        "tokens": plan.tokens,
        "rounds": plan.rounds,
        "encoder": plan.encoder,
        **{f"{name} {key}": value for name, options in backend_options.items() for key, value in options.items()},
    }
    lines = rates.lines()
    _show(facts, lines, console)
    report = {
        **facts,
        "lines": [{k: vars(v) if isinstance(v, Measurement) else v for k, v in line.items()} for line in lines],
    }
    if out is not None:
        write_json(out, report)
    return report


def _show(facts: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], console: Console) -> None:
    console.print(", ".join(f"{key} {value}" for key, value in facts.items()), markup=False)
    console.print(
        f"tokens/s, and ratios within a round (lowest to highest); ×: times {lines[0]['backend']}; medians",
        markup=False,
    )
    figures = list(
        dict.fromkeys(key for line in lines for key, value in line.items() if isinstance(value, Measurement))
    )
    table = Table(box=None, pad_edge=False)
    for column in ("T", "requests", "engine", *figures):
        table.add_column(column, justify="left" if column == "engine" else "right", no_wrap=column not in figures)
    for line in lines:
        shown = [line[name].show(brief="×" in name) if name in line else "" for name in figures]
        table.add_row(f"{line['temperature']:g}", str(line["rows"]), line["backend"], *shown)
    console.print(table, markup=False)


async def _measure(engine: Backend, arm: Arm, plan: Plan, number: int, place: int) -> float:
    """Return tokens/s of one arm in one round."""
    requests = []
    for row in range(arm.rows):
        first = NUMBERS[row % len(NUMBERS)]
        # A prompt that no arm has asked before: whoever asks first would pay for those who find it in the cache.
        prompt = f"List {number}-{place}-{row}: count from {first} on, in words, without stopping: {first},"
        encoder = plan.encoder if arm.kind == CIPHER or (arm.kind == MIXED and row % 2) else None
        seed = 1000 * number + row
        sampling = Sampling(temperature=arm.temperature, max_tokens=plan.tokens, seed=seed, ignore_eos=True)
        requests.append(Request(Prompt.of(prompt), sampling, encoder))
    start = time.perf_counter()
    pending = [engine.submit(request) for request in requests]
    generated = 0
    for waiting in pending:
        generated += (await waiting).usage.generated_tokens
    return generated / (time.perf_counter() - start)
