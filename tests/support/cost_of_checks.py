"""What the checks of docs/security.md cost a turn: `debate bench orchestrator`'s debates with them and without, in turns.

PYTHONPATH=tests python tests/support/cost_of_checks.py --turns 100000

Switched out are: the links of the journal's records, the checks of a message's fields, and those of marks in a question. In one
run they are switched on and off, so that each stretch with them has one without them beside it: what else the machine does slows
both. Debates that are under way together do the same at the same time, so a stretch is one such wave, whole; which of two
neighbours is first changes. CPU time of this process is compared: the sum over all stretches, the quicker half of each kind,
and by the median of neighbours. What is checked once a run (keys in its config, links in its folder, the journal's seal) is
measured by itself.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from agents import prompts
from agents.message import Message
from debate.bench import orchestrator
from debate.config import load
from debate.run_folder import folder
from debate.run_folder.chain import Chain
from debate.run_folder.journal import Journal

# A wave is each turn of the debates that are under way together.
WAVE = orchestrator.bench_config({}, {}).execution.in_flight * orchestrator.TURNS
WARM_UP = 6 * WAVE
OF_A_TURN: Sequence[tuple[Any, str, Callable[..., Any]]] = (
    (Chain, "linked", lambda self, body: body),
    (Chain, "add", lambda self, line: None),
    (Message, "__post_init__", lambda self: None),
    (prompts.slots, "checked", lambda text: text),
)
OF_A_RUN: Sequence[tuple[Any, str]] = (
    (load, "refuse_secrets"),
    (load, "refuse_secrets_anywhere"),
    (folder, "refuse_all_but_files"),
    (Journal, "seal"),
)


@dataclass
class Stretches(orchestrator.Meter):
    """Switches the checks of a turn after every stretch.

    Attributes:
        each: of every stretch, whether it had the checks, and CPU milliseconds a turn.
    """

    each: list[tuple[bool, float]] = field(default_factory=list)
    _switch: ExitStack = field(default_factory=ExitStack)
    _is_on: bool = True
    _began: float = 0.0

    def turn_said(self, question: Any, turn: Any) -> None:
        """Count a turn."""
        super().turn_said(question, turn)
        if self.turns < WARM_UP or (self.turns - WARM_UP) % WAVE:
            return
        now = time.process_time()
        if self.turns > WARM_UP:
            self.each.append((self._is_on, 1000 * (now - self._began) / WAVE))
        # One with and one without, then one without and one with.
        self._switch.close()
        self._is_on = len(self.each) % 4 in (0, 3)
        for owner, name, instead in () if self._is_on else OF_A_TURN:
            self._switch.enter_context(patch.object(owner, name, instead))
        self._began = time.process_time()


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Add the CPU seconds of each check of a run to `spent` while the block runs."""

    def clocked(name: str, check: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return check(*given, **named)
            finally:
                spent[name] = spent.get(name, 0.0) + time.process_time() - began

        return call

    with ExitStack() as stack:
        for owner, name in OF_A_RUN:
            stack.enter_context(patch.object(owner, name, clocked(name, getattr(owner, name))))
        yield


def measure(turns: int) -> tuple[list[float], list[float], dict[str, float]]:
    """Return CPU milliseconds a turn of stretches with the checks, of those without, and CPU seconds of each check of a run."""
    debates, spent = -(-turns // orchestrator.TURNS), dict[str, float]()
    meter = Stretches(debates * orchestrator.TURNS)
    with tempfile.TemporaryDirectory() as scratch, patch.object(orchestrator, "Meter", lambda _: meter), timed(spent):
        config = orchestrator.bench_config({}, {})
        asyncio.run(orchestrator._played(config, Path(scratch) / "run", debates, lambda _: None))
    meter._switch.close()
    whole = meter.each[: len(meter.each) // 2 * 2]
    return [took for is_on, took in whole if is_on], [took for is_on, took in whole if not is_on], spent


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="what the checks cost a turn")
    parser.add_argument("--turns", type=int, default=100_000)
    on, off, spent = measure(parser.parse_args().turns)
    quick_on, quick_off = (statistics.fmean(sorted(each)[: len(each) // 2]) for each in (on, off))
    shares = sorted(one / other - 1 for one, other in zip(on, off, strict=True))
    print(
        f"with {statistics.fmean(on):.4f} ms of CPU a turn, without {statistics.fmean(off):.4f} ({len(on)} stretches each, of "
        f"{WAVE} turns): {sum(on) / sum(off) - 1:+.2%}; quicker halves {quick_on:.4f} and {quick_off:.4f}: "
        f"{quick_on / quick_off - 1:+.2%}; median of neighbours {statistics.median(shares):+.2%} (middle half "
        f"{shares[len(shares) // 4]:+.1%} to {shares[3 * len(shares) // 4]:+.1%})"
    )
    once = ", ".join(f"{name} {1000 * seconds:.2f}" for name, seconds in spent.items())
    print(f"once a run: {1000 * sum(spent.values()):.2f} ms ({once})")


if __name__ == "__main__":
    main()
