"""`debate bench serve`: what a server adds to its engine, and whether it keeps up with `debate eval`.

Parts:

    streams   many clients that read streams, on an engine whose turns take a known time (agents/backends/simulated.py): errors,
              memory of the server, and how much later a turn reaches the client than the engine had it
    eval      the tokens a second of a config, asked over HTTP, as a share of those of `debate eval` on the same questions

Servers and evaluations are processes of their own, as users run them; the clients are coroutines of this one.
"""

import asyncio
import contextlib
import gc
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from rich.console import Console

from agents.atomic_file import write_json
from agents.backends import simulated
from agents.errors import BackendFailed
from agents.pretrained import Progress
from agents.process_time import cpu_seconds
from debate.bench.orchestrator import BACKEND, MIB

ROUNDS, TOKENS = 3, 32
TURN = re.compile(r"^(\w+), round (\d+):")
QUARTERS = 4
START_S, STOP_S = 300.0, 60.0


@dataclass
class Stream:
    """What clients saw.

    Attributes:
        late: seconds by which each turn came later than the engine had it.
        debates, errors: how many ended, and what went wrong.
        memory: of the server at each quarter, in bytes.
    """

    late: list[float] = field(default_factory=list)
    debates: int = 0
    errors: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


async def bench_serve(
    *,
    streams: int,
    seconds: float,
    turn_seconds: float,
    config: str | None,
    concurrent: int,
    questions: int,
    method: str,
    rounds: int,
    out: Path | None,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    """Measure, print and return the figures.

    Args:
        streams: clients at once; 0 leaves that part out.
        seconds: how long they ask.
        turn_seconds: what a turn takes the engine on average; turns take between half of it and one and a half.
        config: of the part `eval`; None leaves it out.
        concurrent, questions, method, rounds: debates at once, questions, row and interleaved rounds of that part.
        out: the figures as JSON.

    Raises:
        BackendFailed: a server or an evaluation did not do its work.
    """
    report: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(prefix="debate-bench-") as name:
        folder = Path(name)
        if streams:
            progress(f"streams: {streams} for {seconds:g} s, turns of {turn_seconds:g} s")
            report["streams"] = await _streams(folder, streams, seconds, turn_seconds)
            _print_streams(report["streams"], console)
        if config is not None:
            report["eval"] = await _against_eval(folder, config, method, concurrent, questions, rounds, progress)
            _print_eval(report["eval"], console)
    if out is not None:
        write_json(out, report)
    return report


async def _streams(folder: Path, count: int, seconds: float, turn_s: float) -> dict[str, Any]:
    config = folder / "timed.yaml"
    # Turns of one length would fall in step: those that came late together begin the next round together, and so for ever.
    options = {
        "decode_tokens_per_s": TOKENS / turn_s,
        "max_num_seqs": 8 * count,
        "shortest": TOKENS // 2,
        "longest": TOKENS + TOKENS // 2,
    }
    made = {
        "backend": BACKEND,
        "model": "simulated",
        "options": options,
        "message": "text",
        "task": "arithmetic",
        "rounds": ROUNDS,
        "max_tokens": 2 * TOKENS,
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.5}},
    }
    config.write_text(yaml.safe_dump(made))
    found = Stream()
    limits = ["--max-concurrent", str(2 * count), "--max-queue", str(count)]
    async with _server([str(config), *limits]) as (url, pid):
        # What a server allocates once is not growth.
        await _asked(url, "timed", "warm-up", found, turn_s)
        found = Stream()
        # The clock must not be held up by a search for garbage in what was imported.
        gc.collect()
        gc.freeze()
        start, spent = time.monotonic(), _computed(pid)
        clients = [asyncio.create_task(_client(url, place, start + seconds, found, turn_s)) for place in range(count)]
        for quarter in range(1, QUARTERS + 1):
            await asyncio.sleep(max(0.0, start + quarter * seconds / QUARTERS - time.monotonic()))
            found.memory.append(_resident(pid))
        await asyncio.gather(*clients)
        spent = _computed(pid) - spent
    late = sorted(found.late) or [float("nan")]
    return {
        "streams": count,
        "seconds": seconds,
        "turn_seconds": turn_s,
        "debates": found.debates,
        "turns": len(found.late),
        "errors": len(found.errors),
        "first_errors": found.errors[:3],
        "late_ms": {name: 1000 * late[int(share * (len(late) - 1))] for name, share in (("p50", 0.5), ("p99", 0.99))},
        "cpu_ms_per_turn": 1000 * spent / max(len(found.late), 1),
        "memory_mib": [one / MIB for one in found.memory],
    }


async def _client(url: str, place: int, end: float, found: Stream, turn_s: float) -> None:
    """Ask one question after the other, begun apart from the other clients'."""
    await asyncio.sleep(turn_s * (place % 97) / 97)
    number = 0
    while time.monotonic() < end:
        number += 1
        try:
            await _asked(url, "timed", f"Question {number} of client {place}: what is 1+2*3+4-5*6?", found, turn_s)
        except (OSError, ValueError, KeyError, EOFError) as error:
            found.errors.append(f"{type(error).__name__}: {error}")


async def _asked(url: str, model: str, question: str, found: Stream, turn_s: float) -> int:
    """Stream one debate, note how late its turns were, and return the tokens that it cost.

    Raises:
        ValueError: an error in place of an answer.
    """
    before, latest, tokens, is_done = time.monotonic(), time.monotonic(), 0, False
    current = 1
    async for event in _events(url, model, question):
        if event == "[DONE]":
            is_done = True
            break
        body = json.loads(event)
        if "error" in body:
            raise ValueError(body["error"]["message"])
        if body.get("usage"):
            tokens = body["usage"]["completion_tokens"]
        told = body["choices"][0]["delta"].get("reasoning") if body["choices"] else None
        if told and (turn := TURN.match(told)):
            now, number = time.monotonic(), int(turn[2])
            engine_s = turn_s * simulated.tokens_of(told) / TOKENS
            if number != current:
                # The turns of a round begin when the last of the round before it was said.
                before, current = latest, number
            latest = now
            found.late.append(now - before - engine_s)
    if not is_done:
        raise ValueError("a stream broke off")
    found.debates += 1
    return tokens


async def _events(url: str, model: str, question: str) -> AsyncIterator[str]:
    """Yield the events of a streamed chat completion, by sockets alone: a client that costs little."""
    parts = urlsplit(url)
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body = json.dumps(asked)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 22)
    try:
        head = (
            f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        )
        writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        status = (await reader.readline()).decode().strip()
        if " 200 " not in f"{status} ":
            raise ValueError(status)
        while line := await reader.readline():
            if line.startswith(b"data: "):
                yield line[6:].decode().strip()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _against_eval(
    folder: Path, config: str, method: str, concurrent: int, questions: int, rounds: int, progress: Progress
) -> dict[str, Any]:
    """Return tokens/s over HTTP and of `debate eval`, by interleaved rounds of the same questions."""
    served: list[float] = []
    evaluated: list[float] = []
    for number in range(rounds):
        run = folder / f"run-{number}"
        progress(f"eval: {questions} questions of {method}, round {number + 1} of {rounds}")
        in_flight = f"execution.in_flight={concurrent}"
        await _command(
            "eval", config, "--methods", method, "--limit", str(questions), "--out", str(run), "--set", in_flight
        )
        row = json.loads((run / "results.json").read_text())["methods"][method]
        evaluated.append(row["generated_tokens"] / row["seconds"])
        samples = [json.loads(line)["question"] for line in (run / "samples.jsonl").read_text().splitlines()]
        progress("served")
        async with _server([config, "--max-concurrent", str(concurrent)]) as (url, _):
            found, model = Stream(), _id_of(config)
            await _asked(url, model, samples[0], found, 0.0)
            start = time.monotonic()
            tokens = await asyncio.gather(*(_asked(url, model, text, found, 0.0) for text in samples))
            served.append(sum(tokens) / (time.monotonic() - start))
    shares = [one / other for one, other in zip(served, evaluated, strict=True)]
    return {
        "config": config,
        "method": method,
        "concurrent": concurrent,
        "questions": questions,
        "served_tokens_per_s": served,
        "eval_tokens_per_s": evaluated,
        "share": statistics.median(shares),
        "shares": shares,
    }


def _id_of(config: str) -> str:
    path = Path(config)
    return path.stem if path.suffix in (".yaml", ".yml") or path.is_absolute() else path.as_posix()


@contextlib.asynccontextmanager
async def _server(arguments: Sequence[str]) -> AsyncIterator[tuple[str, int]]:
    """Run `debate serve` while the block lasts; yield its address and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "debate", "serve", *arguments, "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        try:
            async with asyncio.timeout(START_S):
                url = (await process.stdout.readline()).decode().strip()
        except TimeoutError as error:
            raise BackendFailed(f"debate serve did not start within {START_S:g} s") from error
        if not url.startswith("http"):
            raise BackendFailed("debate serve did not start; see above")
        yield url, process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()


async def _command(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "debate", "--quiet", *arguments, stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise BackendFailed(f"debate {' '.join(arguments)} failed; see above")


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _computed(pid: int) -> float:
    found = cpu_seconds(pid)
    if found is None:
        raise BackendFailed(
            "the server's CPU time cannot be read: it is gone, or this is not Linux, where /proc says it"
        )
    return found


def _print_streams(found: dict[str, Any], console: Console) -> None:
    late, memory = found["late_ms"], found["memory_mib"]
    console.print(
        f"{found['streams']} streams for {found['seconds']:g} s: {found['debates']} debates, {found['turns']} turns, "
        f"{found['errors']} errors; a turn reaches the client {late['p50']:.1f} ms (median) and {late['p99']:.1f} ms (p99) after "
        f"the engine had it (some {found['turn_seconds']:g} s); {found['cpu_ms_per_turn']:.2f} ms of the server's CPU a turn; "
        "memory by quarter "
        f"{', '.join(f'{one:.0f}' for one in memory)} MiB",
        markup=False,
    )
    for error in found["first_errors"]:
        console.print(f"  {error}", markup=False)


def _print_eval(found: dict[str, Any], console: Console) -> None:
    shares = found["shares"]
    console.print(
        f"{found['config']}, {found['method']}, {found['concurrent']} at once: {found['share']:.2f} of the tokens a second of "
        f"`debate eval` ({min(shares):.2f} to {max(shares):.2f}; served "
        f"{statistics.median(found['served_tokens_per_s']):.0f}/s)",
        markup=False,
    )
