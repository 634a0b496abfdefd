"""What the checks of docs/security.md cost a turn: `debate bench orchestrator`'s debates with them and without, in turns.

PYTHONPATH=tests python tests/support/cost_of_checks.py --pairs 40

Switched out are: the links of the journal's records and their seal, the checks of a message's fields, of marks in a question, of
keys in a config, of links in the run folder. Each pair of runs is one with and one without, in changing order, so that a machine
with other work slows both; CPU time of this process is compared, from before the folder is opened until after it is closed.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from agents import prompts
from agents.message import Message
from debate.bench import orchestrator
from debate.config import load
from debate.run_folder import folder
from debate.run_folder.chain import Chain
from debate.run_folder.journal import Journal

DEBATES = 200


@contextmanager
def without_checks() -> Iterator[None]:
    """Switch the checks out."""
    with ExitStack() as stack:
        for owner, name, instead in (
            (Chain, "linked", lambda self, body: body),
            (Chain, "add", lambda self, line: None),
            (Chain, "complaint", lambda self, record: ""),
            (Journal, "seal", lambda self: None),
            (Message, "__post_init__", lambda self: None),
            (prompts.slots, "checked", lambda text: text),
            (load, "refuse_secrets", lambda *_, **__: None),
            (load, "refuse_secrets_anywhere", lambda *_, **__: None),
            (folder, "refuse_links", lambda run: None),
        ):
            stack.enter_context(patch.object(owner, name, instead))
        yield


def cpu_ms_per_turn(scratch: Path) -> float:
    """Play the bench's debates and return CPU milliseconds a turn, start and end of the run folder included."""
    began = time.process_time()
    config = orchestrator.bench_config({}, {})
    meter = asyncio.run(orchestrator._played(config, scratch / "run", DEBATES, lambda _: None))
    return 1000 * (time.process_time() - began) / meter.turns


def measure(pairs: int) -> tuple[list[float], list[float]]:
    """Return CPU milliseconds a turn of runs with the checks, and of as many without."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for pair in range(pairs + 1):
        for checked in (True, False) if pair % 2 else (False, True):
            with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
                if not checked:
                    stack.enter_context(without_checks())
                took = cpu_ms_per_turn(Path(scratch))
            # The first pair warms up.
            if pair:
                found[checked].append(took)
    return found[True], found[False]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="what the checks cost a turn")
    parser.add_argument("--pairs", type=int, default=40)
    on, off = measure(parser.parse_args().pairs)
    shares = sorted(one / other - 1 for one, other in zip(on, off, strict=True))
    spread = f"{shares[len(shares) // 4]:+.1%} to {shares[3 * len(shares) // 4]:+.1%}"
    print(
        f"with {statistics.median(on):.4f} ms of CPU a turn, without {statistics.median(off):.4f}: "
        f"{statistics.median(shares):+.2%} (middle half of {len(shares)} pairs "
        f"{spread}; least with {min(on):.4f}, without {min(off):.4f}: "
        f"{min(on) / min(off) - 1:+.2%})"
    )


if __name__ == "__main__":
    main()
