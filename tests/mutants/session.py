"""A process that has collected the tests once; each mutant is a fork of it in which functions have other code.

Importing and collecting takes several seconds, most mutants' tests a fraction of one. What can be exchanged in a running program
is the code of functions: a mutant elsewhere (in a class's body, a default, a constant of a module) is judged from a fresh import.
"""

import ast
import gc
import json
import os
import socket
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from mutants.operators import Mutant, span
from mutants.worker import in_child, run_tests

# Of a fork that could not exchange the code.
NOT_EXCHANGED = 98
COLLECTED_S = 900


class Session:
    """The process, and how it is asked.

    Args:
        tests: files and folders that are collected.
        scratch: a folder for its log and the tests' files.
    """

    def __init__(self, tests: list[str], scratch: Path) -> None:
        ours, theirs = socket.socketpair()
        self._child = os.fork()
        if self._child == 0:
            ours.close()
            log = os.open(scratch / "session.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            code = 99
            try:
                code = run_tests(tests, _Asked(theirs, scratch), "--basetemp", str(scratch / "tmp"))
            finally:
                os._exit(code)
        theirs.close()
        ours.settimeout(COLLECTED_S)
        self._file = ours.makefile("rw")
        if self._file.readline() != "ready\n":
            raise SystemExit(f"the tests cannot be collected; see {scratch / 'session.log'}")
        ours.settimeout(None)

    def judge(self, question: dict[str, Any]) -> tuple[int | None, float]:
        """Return exit code and CPU seconds of a mutant's tests; see `in_child`.

        Args:
            question: `module` (path), `before` and `after` (its source), `tests`, `out` (a file for the first that fails),
                `cpu_s` and `wall_s`.
        """
        self._file.write(json.dumps(question) + "\n")
        self._file.flush()
        answer = self._file.readline()
        if not answer:
            raise SystemExit("the process that had collected the tests is gone")
        code, took = json.loads(answer)
        return code, took

    def close(self) -> None:
        """End the process."""
        self._file.close()
        os.waitpid(self._child, 0)


class _Asked:
    """In the process: collects as pytest does, then runs what is asked for in forks."""

    def __init__(self, connection: socket.socket, scratch: Path) -> None:
        self._file, self._scratch = connection.makefile("rw"), scratch
        self._failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed = self._failed or report.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            return True
        # From here on modules on the disk are mutants, of which nothing is to be kept.
        sys.dont_write_bytecode = True
        items = {item.nodeid: item for item in session.items}
        self._functions = functions_of(Path.cwd())
        gc.freeze()
        self._say("ready")
        for line in iter(self._file.readline, ""):
            question = json.loads(line)

            def job(question: dict[str, Any] = question) -> int:
                return self._judge(question, [items[name] for name in question["tests"] if name in items])

            found = in_child(job, self._scratch / "last.log", cpu_s=question["cpu_s"], wall_s=question["wall_s"])
            self._say(json.dumps(found))
        return True

    def _say(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()

    def _judge(self, question: dict[str, Any], items: list[pytest.Item]) -> int:
        if not exchange(self._functions, Path(question["module"]), question["before"], question["after"]):
            return NOT_EXCHANGED
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                Path(question["out"]).write_text(self._failed)
                return 1
        return 0


def is_in_function(source: str, mutant: Mutant) -> bool:
    """Whether a mutant lies in a function's body, whose code can be exchanged."""
    return any(start <= mutant.start and mutant.end <= end for start, end in _bodies(source))


@lru_cache
def _bodies(source: str) -> list[tuple[int, int]]:
    """Return the bytes between which the bodies of a source's functions stand."""
    return [
        (span(source, node.body[0])[0], span(source, node.body[-1])[1])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def functions_of(root: Path) -> dict[CodeType, list[FunctionType]]:
    """Return the functions of this process that come from files below a folder, by their code."""
    found: dict[CodeType, list[FunctionType]] = {}
    for thing in gc.get_objects():
        # Not `isinstance`, which asks things for their class: some warn, or import what they stand for.
        if type(thing) is FunctionType and thing.__code__.co_filename.startswith(f"{root}/"):
            found.setdefault(thing.__code__, []).append(thing)
    return found


def exchange(functions: dict[CodeType, list[FunctionType]], module: Path, before: str, after: str) -> bool:
    """Give the functions of a module that is imported the code of a changed source; whether that could be done.

    Args:
        functions: of the process, see `functions_of`.
        module: its file; one that is not imported yet needs nothing.
        before, after: its source as it is imported, and as it is to be.
    """
    if not any(getattr(one, "__file__", None) == str(module) for one in list(sys.modules.values())):
        return True
    old, new = (list(_codes(compile(source, str(module), "exec"))) for source in (before, after))
    if [code.co_qualname for code in old] != [code.co_qualname for code in new]:
        return False
    found = False
    for one, other in zip(old, new, strict=True):
        for function in functions.get(one, ()) if one != other else ():
            if one.co_filename != function.__code__.co_filename:
                continue
            try:
                function.__code__ = other
            except ValueError:
                # It closes over other variables than before.
                return False
            found = True
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
