"""`debate bench peers`: debates an hour of this project's engine beside the decoding loop of CIPHER's published code.

The same weights, prompts and questions, in one run: two agents and three rounds, all questions at once, engines started before
the clock. Rounds of the race are interleaved and have questions of their own, so that no arm finds an earlier round's prompts.
The loop is debate/bench/reference_loop.py.

Where the factor comes from is told as a product. Let an arm take t seconds for n positions that went through its model, prompts
included. With n' the reference's positions if it stopped where messages end, and m the engine's if it kept nothing of a prompt,

    t_ref / t = (n_ref / n') · (n' / m) · (m / n) · ((t_ref / n_ref) / (t / n)):

stopping, messages of other lengths, the prefix cache, and time a position. Of the last, the averages over the table and the
distances to it are what the reference would save if both took no time; batching over agents is what its own forward pass saves in
batches that hold all agents, measured; the rest is the engine.
"""

import asyncio
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from agents.atomic_file import write_json
from agents.pretrained import Progress
from agents.question import Question
from agents.registry import create_backend
from debate.bench.reference_loop import ReferenceLoop, Spent, StaticBatches
from debate.bench.shape import shape_of
from debate.bench.tax import OneEngine
from debate.build import build_debate
from debate.config.load import validate
from debate.config.schema import DebateConfig
from debate.decision.decision import Decision
from debate.orchestrator import Debate
from debate.runtime.backends import Backends
from debate.runtime.batch import play_questions
from debate.transcript import Transcript
from kernels.bench import machine

# The two debaters' temperatures, and rounds of a debate.
TEMPERATURES = {"ada": 0.25, "ben": 0.65}
ROUNDS = 3
# By the most tokens of a message: how many times as many debates an hour are asked for.
GOALS = {128: 8.0, 400: 20.0}


@dataclass(frozen=True)
class Work:
    """What an arm did in a race.

    Attributes:
        debates, seconds: how many, and in what time.
        prompt: positions of prompts.
        cached: those of them that were not computed.
        decoded: positions decoded, whether they were kept or not.
        said: tokens of the messages.
    """

    debates: int
    seconds: float
    prompt: int
    cached: int
    decoded: int
    said: int

    @property
    def positions(self) -> int:
        """Positions that went through the model."""
        return self.prompt - self.cached + self.decoded

    @property
    def an_hour(self) -> float:
        """Debates an hour."""
        return 3600 * self.debates / self.seconds

    def plus(self, other: "Work") -> "Work":
        """Return the work of two races."""
        return Work(**{name: value + vars(other)[name] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Factors:
    """What a factor of debates an hour is the product of."""

    stopping: float
    lengths: float
    prefix_cache: float
    table: float
    batching: float
    engine: float

    @property
    def product(self) -> float:
        """Their product."""
        return self.stopping * self.lengths * self.prefix_cache * self.table * self.batching * self.engine


def factors(reference: Work, ours: Work, spent: Spent, batching: float) -> Factors:
    """Return where the factor comes from.

    Args:
        reference, ours: what the arms did.
        spent: where the reference's time went.
        batching: how many times as fast a position is in batches of all agents.
    """
    stopped = reference.prompt + reference.said
    whole = ours.prompt + ours.decoded
    table = reference.seconds / (reference.seconds - spent.expectation_s - spent.nearest_s)
    a_position = (reference.seconds / reference.positions) / (ours.seconds / ours.positions)
    return Factors(
        stopping=reference.positions / stopped,
        lengths=stopped / whole,
        prefix_cache=whole / ours.positions,
        table=table,
        batching=batching,
        engine=a_position / table / batching,
    )


def arithmetic_limit(ours: Work, operations: int, rate: float) -> float:
    """Return the debates an hour if all that has to be computed were matrix products at a machine's rate.

    Args:
        ours: whose positions have to be.
        operations: of a position.
        rate: operations a second.
    """
    return 3600 * ours.debates / (ours.positions * operations / rate)


async def bench_peers(
    *,
    model: str,
    backend: str,
    dtype: str,
    questions: int,
    tokens: int,
    rounds: int,
    options: Mapping[str, Any],
    out: Path | None,
    console: Console,
    progress: Progress,
    prompts: str = "arithmetic",
    form: str = "auto",
) -> dict[str, Any]:
    """Race, print what was found, and return the figures.

    Args:
        model, dtype: of both arms.
        backend, options: the engine that is raced against the loop.
        questions: of each round of the race, all at once.
        tokens: most of a message.
        rounds: of the race.
        out: the figures as JSON.
        console, progress: where the table and the sentences go.
        prompts, form: of the agents.
    """
    config = _config(model, backend, dtype, questions, tokens, options, prompts, form)
    engine = create_backend(backend, model=model, dtype=dtype, progress=progress, **options)
    try:
        progress("loading the model for the published code's loop")
        loop = ReferenceLoop(model, dtype, progress)
        races: list[dict[str, Work]] = []
        # The first answers of an engine, and the first passes of the loop, are slower; they are not of the race.
        first = _questions(-1, min(2, questions))
        await _race(config, OneEngine(config, engine), first, loop)
        await _race(config, OneEngine(config, engine), first)
        loop.spent = Spent()
        for number in range(rounds):
            asked = _questions(number, questions)
            progress(f"race {number + 1} of {rounds}: the published code's loop")
            theirs = await _race(config, OneEngine(config, engine), asked, loop)
            progress(f"race {number + 1} of {rounds}: {backend}")
            races.append({"reference": theirs, "ours": await _race(config, OneEngine(config, engine), asked)})
    finally:
        await engine.close()
    progress("measuring this machine's rates")
    spent = replace(loop.spent)
    batching = _batching(loop, questions, len(TEMPERATURES))
    rates = machine.rates(torch.device("cpu"), 3)
    rate = rates["matmul_bfloat16_flops_per_s" if dtype == "bfloat16" else "matmul_float32_flops_per_s"]
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "model": str(loop.fingerprint),
        "engine": backend,
        "dtype": dtype,
        "questions": questions,
        "tokens": tokens,
        **_report(races, loop, spent, batching, rate),
        "goal": GOALS.get(tokens),
    }
    _show(report, console)
    if out is not None:
        write_json(out, report)
    return report


def _config(
    model: str,
    backend: str,
    dtype: str,
    questions: int,
    tokens: int,
    options: Mapping[str, Any],
    prompts: str,
    form: str,
) -> DebateConfig:
    return validate(
        {
            "agents": {name: {"temperature": temperature} for name, temperature in TEMPERATURES.items()},
            "backend": backend,
            "model": model,
            "dtype": dtype,
            "options": dict(options),
            "message": "cipher",
            "prompts": prompts,
            "rounds": ROUNDS,
            "max_tokens": tokens,
            "format": form,
            "execution": {"in_flight": questions},
        },
        source="bench",
    )


def _questions(number: int, count: int) -> list[Question]:
    """Return a race's own questions."""
    first = 11 + (number + 1) * count
    return [Question(f"q{first + n}", f"What is the result of {first + n}+2*3+4-5*6?") for n in range(count)]


async def _race(
    config: DebateConfig, backends: Backends, questions: Sequence[Question], loop: ReferenceLoop | None = None
) -> Work:
    """Return what debates over some questions take, by the engine or by the loop."""
    debate = build_debate(config, backends)
    if loop is not None:
        debate = _by_loop(debate, loop, len(questions))
    transcripts: list[Transcript] = []

    def over(transcript: Transcript) -> Decision:
        transcripts.append(transcript)
        return Decision(None, "not asked", {})

    begun = time.perf_counter()
    await play_questions(debate, questions, decide=over, execution=config.execution)
    seconds = time.perf_counter() - begun
    turns = [turn for transcript in transcripts for turn in transcript.turns]
    return Work(
        debates=len(transcripts),
        seconds=seconds,
        prompt=sum(turn.usage.prompt_tokens for turn in turns),
        cached=sum(turn.usage.cached_tokens for turn in turns),
        decoded=sum(turn.usage.generated_tokens for turn in turns),
        said=sum(turn.message.num_tokens for turn in turns),
    )


def _by_loop(debate: Debate, loop: ReferenceLoop, size: int) -> Debate:
    """Return a debate whose agents speak by static batches."""
    turns = asyncio.Lock()
    agents: dict[str, Any] = {}
    for name, agent in debate.agents.items():
        agents[name] = replace(agent, backend=StaticBatches(loop, size, turns))
    return replace(debate, agents=agents)


@torch.inference_mode()
def _batching(loop: ReferenceLoop, rows: int, agents: int) -> float:
    """Return how many times as fast a row's step is in a batch of all agents, by the median of a few, 128 positions in."""
    seconds = {}
    width = loop.table.shape[1]
    for count in (rows, agents * rows):
        _, cache = loop._forward(torch.zeros(count, 128, width, dtype=loop.table.dtype), 0, None)
        taken = []
        for step in range(6):
            begun = time.perf_counter()
            _, cache = loop._forward(torch.zeros(count, 1, width, dtype=loop.table.dtype), 128 + step, cache)
            taken.append(time.perf_counter() - begun)
        seconds[count] = statistics.median(taken[1:])
    return agents * seconds[rows] / seconds[agents * rows] if agents > 1 else 1.0


def _report(
    races: Sequence[Mapping[str, Work]], loop: ReferenceLoop, spent: Spent, batching: float, rate: float
) -> dict[str, Any]:
    """Return the figures of all races."""
    total = {}
    for arm in ("reference", "ours"):
        first, *others = (race[arm] for race in races)
        for other in others:
            first = first.plus(other)
        total[arm] = first
    reference, ours = total["reference"], total["ours"]
    found = factors(reference, ours, spent, batching)
    shape = shape_of(loop.config, loop.fingerprint.model)
    # Of a CIPHER step: the model's own products, and the average over the table and the search in it.
    operations = 2 * shape.linear + 4 * shape.table
    limit = arithmetic_limit(ours, operations, rate)
    return {
        "races": [{arm: {**asdict(work), "an_hour": work.an_hour} for arm, work in race.items()} for race in races],
        "factor": [race["reference"].seconds / race["ours"].seconds for race in races],
        "from": {**asdict(found), "product": found.product},
        "loop": asdict(spent),
        "operations_a_position": operations,
        "operations_a_second": rate,
        "limit_an_hour": limit,
        "share_of_limit": ours.an_hour / limit,
    }


NAMES = {
    "stopping": "stopping, and no padding to the longest",
    "lengths": "messages of other lengths",
    "prefix_cache": "prefix cache",
    "table": "averages and distances over the table, at most",
    "batching": "batching across agents",
    "engine": "the engine, and batching across rounds",
}


def _show(report: Mapping[str, Any], console: Console) -> None:
    names = ("machine", "torch", "model", "engine", "dtype", "questions", "tokens")
    console.print(", ".join(f"{name} {report[name]}" for name in names), markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("arm", "debates/h", "prompt positions", "of them cached", "decoded", "kept"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm, label in (("reference", "published code's loop"), ("ours", str(report["engine"]))):
        works = [race[arm] for race in report["races"]]
        hourly = statistics.median(work["an_hour"] for work in works)
        counts = [sum(work[name] for work in works) for name in ("prompt", "cached", "decoded", "said")]
        table.add_row(label, f"{hourly:.1f}", *(f"{count:,}" for count in counts))
    console.print(table, markup=False)
    factor = statistics.median(report["factor"])
    span = f"{min(report['factor']):.2f} to {max(report['factor']):.2f}"
    console.print(f"factor {factor:.2f} ({span}); over all races it is a product:", markup=False)
    parts = Table(box=None, pad_edge=False, show_header=False)
    for name, label in NAMES.items():
        parts.add_row(label, f"× {report['from'][name]:.2f}")
    parts.add_row("together", f"× {report['from']['product']:.2f}")
    console.print(parts, markup=False)
    console.print(
        f"limit: {report['limit_an_hour']:,.0f} debates/h if the engine's positions were matrix products at "
        f"{report['operations_a_second'] / 1e9:,.0f} G operations/s; reached: {report['share_of_limit']:.0%}",
        markup=False,
    )
    if report["goal"] is not None:
        verdict = "met" if factor >= report["goal"] else "missed"
        console.print(f"goal at {report['tokens']} tokens: {report['goal']:g} times: {verdict}", markup=False)
