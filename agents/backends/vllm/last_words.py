"""Why a worker did not start or died, told to the process that started it: vLLM itself says there only that it did."""

import linecache
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from agents.backends.vllm.environment import variable
from agents.backends.vllm.stages import begin

# Signals that come from outside of a process, by number; what its own code runs into, as SIGSEGV, is not among them.
FROM_OUTSIDE = {
    int(number): number.name
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM)
}
_ENDED = re.compile(r"Failed core proc\(s\): \{(.*?)\}")
VARIABLE = "CIPHER_DEBATE_VLLM_LAST_WORDS"


class LastWords:
    """Mixed in before a vLLM worker."""

    def init_device(self) -> None:
        """See vLLM."""
        begin("setting the worker up")
        with written():
            super().init_device()  # type: ignore[misc]

    def load_model(self, *args: Any, **kwargs: Any) -> Any:
        """See vLLM."""
        begin("loading the weights")
        with written():
            return super().load_model(*args, **kwargs)  # type: ignore[misc]

    def determine_available_memory(self) -> Any:
        """See vLLM; the model runs for the first time."""
        begin("compiling the model, and its first pass")
        with written():
            return super().determine_available_memory()  # type: ignore[misc]

    def compile_or_warm_up_model(self) -> Any:
        """See vLLM."""
        begin("warming up")
        with written():
            return super().compile_or_warm_up_model()  # type: ignore[misc]

    def execute_model(self, *args: Any, **kwargs: Any) -> Any:
        """See vLLM."""
        with written():
            return super().execute_model(*args, **kwargs)  # type: ignore[misc]

    def sample_tokens(self, *args: Any, **kwargs: Any) -> Any:
        """See vLLM."""
        with written():
            return super().sample_tokens(*args, **kwargs)  # type: ignore[misc]


class Heard:
    """The file in which workers leave their last words, until it is closed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "words"

    @contextmanager
    def by_new_workers(self) -> Iterator[None]:
        """Have workers that are started meanwhile leave their last words here."""
        self._file.unlink(missing_ok=True)
        with variable(VARIABLE, str(self._file)):
            yield

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()

    def words(self) -> str:
        """Return what the worker said last; empty where it said nothing."""
        return self._file.read_text(encoding="utf-8") if self._file.is_file() else ""


@contextmanager
def written() -> Iterator[None]:
    """Write down what is raised, for whoever listens."""
    try:
        yield
    except Exception as error:
        if file := os.environ.get(VARIABLE):
            with suppress(OSError):
                Path(file).write_text(in_a_sentence(error), encoding="utf-8")
        raise


def stopped_by(error: BaseException) -> str:
    """Return by what vLLM's process was ended from outside while it started, e.g. `SIGKILL`; empty where it failed by itself.

    vLLM tells the exit codes of the processes that ended, but for one that ended this very moment: that is asked again. A process
    that is asked to end by a signal that it handles ends with 0.
    """
    found = _ENDED.search(str(error))
    codes = [int(code) for code in re.findall(r": (-?\d+)", found[1])] if found else []
    if found and not codes:
        codes = [process.exitcode for process in _processes(error) if process.exitcode is not None]
    if not codes or not all(code == 0 or -code in FROM_OUTSIDE for code in codes):
        return ""
    return next((FROM_OUTSIDE[-code] for code in codes if code), "a request to end")


def _processes(error: BaseException) -> list[BaseProcess]:
    """Return the engine's processes, as those who raised an error had them at hand, once they have had time to end."""
    known: dict[int, BaseProcess] = {}
    trace = error.__traceback__
    while trace is not None:
        for value in trace.tb_frame.f_locals.values():
            manager = getattr(value, "engine_manager", value)
            for process in getattr(manager, "processes", None) or ():
                if isinstance(process, BaseProcess):
                    known[id(process)] = process
        trace = trace.tb_next
    for process in known.values():
        process.join(timeout=1.0)
    return list(known.values())


def in_a_sentence(error: BaseException) -> str:
    """Return what an exception says, of many words the first ones; of an assertion without words, what it asserts."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(str(error).split())
    if not said:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            said = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
    said = re.sub(r"^\d+ validation errors? for \w+ ", "", said).replace("Value error, ", "")
    first = re.split(r"(?<=[a-z)\]}'`])\. |(?<=\.) The available parameters| \[type=", said)[0]
    return (first if len(first) <= 240 else f"{first[:240]}…").rstrip(".") or type(error).__name__
