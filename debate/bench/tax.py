"""`debate bench tax`: debates through the orchestrator beside the same requests given straight to the engine.

The straight arm has the best static schedule: a round's requests all at once, then the next round's. The requests are
those that the debates make, recorded in a first pass that is not timed, so both arms do the same work on one engine;
prefix sharing is off, so that neither finds the other's prompts. Arms take turns in one process.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from agents.atomic_file import write_json
from agents.backend import Backend, Pending, Request
from agents.pretrained import Progress
from agents.question import Question
from agents.registry import create_backend
from agents.supervision.supervised import Supervised
from agents.tokenizers import byte_tokenizer
from debate.bench.recorder import Recorder
from debate.build import build_debate
from debate.config.execution import EngineConfig
from debate.config.load import validate
from debate.config.schema import DebateConfig
from debate.decision.decision import Decision
from debate.run_folder.folder import RunFolder
from debate.runtime.backends import Backends
from debate.runtime.batch import play_questions

AGENTS = ("ada", "ben")
ROUNDS = 3
VOCABULARY = 300


class OneEngine(Backends):
    """Backends that are all the engine that is there."""

    def __init__(self, config: DebateConfig, engine: Backend) -> None:
        super().__init__(config)
        self._engine = Supervised("engine", lambda: engine)

    def get(self, name: str, model: str, own: Any = None) -> Backend:
        """Return the engine."""
        return self._engine


async def bench_tax(
    *,
    model: str | None,
    debates: int,
    tokens: int,
    rounds: int,
    message: str,
    with_ray: bool,
    out: Path | None,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    """Measure, print and return the ratios.

    Args:
        model: a model; None makes a random one of the Llama architecture with some four million parameters.
        debates: at once; two agents, three rounds.
        tokens: most of a message.
        rounds: timed ones, after one that is not.
        message: `text` or `cipher`.
        with_ray: also through an engine in a process of its own.
        out: the figures as JSON.
    """
    with tempfile.TemporaryDirectory(prefix="debate-bench-") as name:
        folder = Path(name)
        used = model or str(random_llama(folder / "model"))
        options = {"max_num_seqs": 32, "prefix_cache": False}
        config = validate(
            {
                "agents": {name: {"temperature": 0.5 + place / 2} for place, name in enumerate(AGENTS)},
                "backend": "transformers",
                "model": used,
                "dtype": "float32",
                "options": options,
                "message": message,
                "rounds": ROUNDS,
                "max_tokens": tokens,
                "format": "plain",
                "execution": {"in_flight": debates},
            },
            source="bench",
        )
        questions = [Question(f"q{number}", f"What is the result of {number}+2*3+4-5*6?") for number in range(debates)]
        engine = create_backend("transformers", model=used, dtype="float32", progress=progress, **options)
        recorder = Recorder(engine)
        await _through_debates(config, OneEngine(config, recorder), questions, folder / "recorded")
        # Submitted in whatever order; a request of round r hears what was said in r - 1, and the first r are the shortest.
        static = _by_round(recorder.requests, len(AGENTS) * debates)
        remote: Backends | None = None
        if with_ray:
            # As many threads as the engine in this process has.
            placed = {"default": EngineConfig(num_cpus=torch.get_num_threads())}
            execution = config.execution.model_copy(update={"runtime": "ray", "engines": placed})
            remote = Backends(config.model_copy(update={"execution": execution}), progress)
        arms: dict[str, list[Elapsed]] = {}
        try:
            for number in range(rounds + 1):
                progress(f"round {number + 1} of {rounds + 1}" + (" (not counted)" if number == 0 else ""))
                timed = {"straight": await _straight(engine, static)}
                timed["local"] = await _through_debates(
                    config, OneEngine(config, engine), questions, folder / f"local-{number}"
                )
                if remote is not None:
                    timed["ray"] = await _through_debates(config, remote, questions, folder / f"ray-{number}")
                if number:
                    for arm, took in timed.items():
                        arms.setdefault(arm, []).append(took)
        finally:
            await engine.close()
            if remote is not None:
                await remote.close()
    facts = {
        "model": model or "random Llama",
        "message": message,
        "debates": debates,
        "turns": len(recorder.requests),
        "tokens": tokens,
    }
    report = _report(facts, arms, console)
    if out is not None:
        write_json(out, report)
    return report


def _report(facts: Mapping[str, Any], arms: Mapping[str, Sequence["Elapsed"]], console: Console) -> dict[str, Any]:
    """Print the times of every arm beside those of the straight one, and return the figures."""
    straight = arms["straight"]
    report: dict[str, Any] = {**facts, "straight": {"seconds": [took.seconds for took in straight]}}
    console.print(
        f"{facts['debates']} debates, {facts['turns']} turns of up to {facts['tokens']} tokens, {facts['message']}",
        markup=False,
    )
    console.print(f"straight: {statistics.median(report['straight']['seconds']):.2f} s", markup=False)
    for arm, some in arms.items():
        if arm == "straight":
            continue
        wall = [one.seconds / other.seconds for one, other in zip(some, straight, strict=True)]
        cpu = [one.cpu / other.cpu for one, other in zip(some, straight, strict=True)]
        report[arm] = {"seconds": [took.seconds for took in some], "ratios": wall}
        line = f"{arm}: {statistics.median(report[arm]['seconds']):.2f} s, {_spread(wall)} × straight"
        if arm == "local":
            # The engine is in this process, so that its CPU time can be compared, which others on the machine disturb less.
            report[arm]["cpu_ratios"] = cpu
            line += f"; in CPU time {_spread(cpu)} ×"
        console.print(line, markup=False)
    return report


def random_llama(folder: Path) -> Path:
    """Write a random model of the Llama architecture, 4.2 million parameters, with a tokenizer of bytes."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    byte_tokenizer(VOCABULARY).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Elapsed:
    """What something took: seconds by the clock, and of this process's CPU time."""

    seconds: float
    cpu: float

    @classmethod
    def since(cls, start: "Elapsed") -> "Elapsed":
        """Return what was taken since a moment."""
        now = cls.now()
        return cls(now.seconds - start.seconds, now.cpu - start.cpu)

    @classmethod
    def now(cls) -> "Elapsed":
        """Return the moment."""
        return cls(time.perf_counter(), time.process_time())


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


async def _through_debates(
    config: DebateConfig, backends: Backends, questions: Sequence[Question], out: Path
) -> Elapsed:
    """Return what the debates take, journal on; starting is not counted."""
    debate = build_debate(config, backends)
    with RunFolder(out, config) as run:
        start = Elapsed.now()
        await play_questions(
            debate,
            questions,
            decide=lambda transcript: Decision(None, "not asked", {}),
            record=run.method("bench"),
            execution=config.execution,
        )
        return Elapsed.since(start)


async def _straight(engine: Backend, static: Sequence[Sequence[Request]]) -> Elapsed:
    """Return what the engine takes for the same requests, round by round."""
    start = Elapsed.now()
    for requests in static:
        await asyncio.gather(*(_answer(engine.submit(request)) for request in requests))
    return Elapsed.since(start)


async def _answer(pending: Pending) -> None:
    await pending


def _by_round(requests: Sequence[Request], width: int) -> list[list[Request]]:
    """Return the requests of each round: a debate's round r is its agents' r-th request."""
    seen: dict[tuple[str, float], int] = {}
    found: list[list[Request]] = [[] for _ in range(ROUNDS)]
    for request in requests:
        # The question's own text and the temperature tell whose request it is.
        key = (_question(request), request.sampling.temperature)
        number = seen[key] = seen.get(key, -1) + 1
        found[number].append(request)
    assert [len(one) for one in found] == [width] * ROUNDS
    return found


def _question(request: Request) -> str:
    text = "".join(part for part in request.prompt.turns[-1].parts if isinstance(part, str))
    start = text.index("What is the result of ")
    return text[start : text.index("?", start)]
