"""How far the start of an engine is: each of its processes writes down what it begins, and whoever waits reads it.

Where nobody listens nothing is written.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from agents.backends.vllm.environment import variable
from agents.pretrained import Progress

# Names the file; processes that are started inherit it.
VARIABLE = "CIPHER_DEBATE_VLLM_STAGES"
LOOK_S = 0.2
# The last two, of the process that asked for the engine.
SPEAKING, CLOSING = "the first turn", "closing the engine"


@dataclass(frozen=True)
class Stage:
    """What a process began.

    Attributes:
        name: what it is.
        at: seconds since the epoch.
        cpu_s: CPU seconds that the process had taken until then.
        process: its id.
    """

    name: str
    at: float
    cpu_s: float
    process: int


def begin(name: str) -> None:
    """Write down that this process begins something, for whoever listens."""
    if file := os.environ.get(VARIABLE):
        stage = Stage(name, time.time(), time.process_time(), os.getpid())
        with suppress(OSError), open(file, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(stage)) + "\n")


def read(file: Path) -> list[Stage]:
    """Return what was written so far, in order; a line that is being written is left for the next time."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return []
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [Stage(**json.loads(line)) for line in lines]


@contextmanager
def told(progress: Progress, look_s: float = LOOK_S) -> Iterator[None]:
    """Have somebody told of what is begun meanwhile, by this process and by those that it starts.

    Args:
        progress: called with a sentence for each stage, from a thread.
        look_s: seconds between two looks.
    """
    with tempfile.TemporaryDirectory(prefix="cipher-debate-") as folder:
        file = Path(os.environ.get(VARIABLE) or Path(folder) / "stages")
        known, begun = len(read(file)), time.time()
        is_over = threading.Event()

        def look() -> None:
            nonlocal known
            while not is_over.wait(look_s):
                for stage in read(file)[known:]:
                    known += 1
                    progress(f"vLLM after {stage.at - begun:.0f} s: {stage.name}")

        with variable(VARIABLE, str(file)):
            watch = threading.Thread(target=look, name="stages", daemon=True)
            watch.start()
            try:
                yield
            finally:
                is_over.set()
                watch.join()
