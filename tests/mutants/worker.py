"""What a forked process does: run tests on the copy of the project that it finds itself in, and say what came of it."""

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# A test that takes longer on the unchanged project is left out: hundreds of mutants run it.
SLOWEST_TEST_S = 4
LARGEST_DATA = 10 << 30


def in_child(job: Callable[[], Any], log: Path, *, cpu_s: float, wall_s: float) -> tuple[int | None, float]:
    """Run a job in a forked process; return its exit code, None where it took too long or died, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 3))
        resource.setrlimit(resource.RLIMIT_DATA, (LARGEST_DATA, LARGEST_DATA))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = 99
        try:
            code = int(job())
        except BaseException as error:
            print(f"the worker itself failed: {error!r}", flush=True)
        finally:
            sys.stdout.flush()
            os._exit(code)
    deadline = time.monotonic() + wall_s
    status = None
    while time.monotonic() < deadline:
        done, found = os.waitpid(child, os.WNOHANG)
        if done:
            status = found
            break
        time.sleep(0.02)
    # Whatever the tests started is in the child's group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None), used


class Baseline:
    """Runs every test once: how long each takes, and which lines of the core it reaches."""

    def __init__(self, modules: list[Path], out: Path) -> None:
        import coverage

        self._modules, self._out = modules, out
        self.coverage = coverage.Coverage(data_file=None, include=[str(path) for path in modules], config_file=False)
        self._seconds: dict[str, float] = {}
        self._failed: dict[str, str] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.coverage.switch_context(item.nodeid)
        signal.signal(signal.SIGPROF, _too_slow)
        signal.setitimer(signal.ITIMER_PROF, 2 * SLOWEST_TEST_S)
        began = time.process_time()
        yield
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._seconds[item.nodeid] = time.process_time() - began
        self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self._failed[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {
            str(path): {
                line: [name for name in names if name and name not in self._failed]
                for line, names in data.contexts_by_lineno(str(path)).items()
            }
            for path in self._modules
        }
        at_import = {
            str(path): [line for line, names in data.contexts_by_lineno(str(path)).items() if "" in names]
            for path in self._modules
        }
        seconds = {name: took for name, took in self._seconds.items() if name not in self._failed}
        found = {"seconds": seconds, "left_out": self._failed, "lines": lines, "at_import": at_import}
        self._out.write_text(json.dumps(found))


def _too_slow(*_: Any) -> None:
    raise TimeoutError("too slow to be run for every mutant")


class Chosen:
    """Runs some tests, in a given order, and writes down the first that fails."""

    def __init__(self, names: list[str], out: Path) -> None:
        self._place = {name: place for place, name in enumerate(names)}
        self._out = out

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._place]
        items[:] = sorted(chosen, key=lambda item: self._place[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._out.write_text(report.nodeid)


def run_tests(tests: list[str], plugin: object, *more: str) -> int:
    """Run tests under a plugin; return pytest's exit code."""
    # A machine with other work is slow, which is no fault of a mutant.
    hypothesis.settings.register_profile("mutants", deadline=None)
    hypothesis.settings.load_profile("mutants")
    # What is imported before the fork cannot be rewritten, and need not be.
    quiet = ["-p", "no:cacheprovider", "--tb=line", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main(["-q", *quiet, *more, *tests], plugins=[plugin]))
