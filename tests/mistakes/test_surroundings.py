"""Where commands run: full disks, second writers, closed pipes, no terminal, no home. Real processes."""

import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from mistakes.cases import EVAL, FILES

DEBATE = [sys.executable, "-m", "debate"]


@pytest.fixture
def there(tmp_path):
    (tmp_path / "good.yaml").write_text(FILES["good.yaml"])
    return tmp_path


def ask(command, folder, *, without=(), limit=None, **env):
    """Return exit code, stdout and stderr of a command in a folder."""
    environment = {key: value for key, value in os.environ.items() if key not in without} | env

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [*DEBATE, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        preexec_fn=None if limit is None else limited,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("limit", [0, pytest.param(3000, marks=pytest.mark.long)])
def test_a_disk_that_takes_no_more(there, limit):
    code, _, err = ask((*EVAL[:-1], "200"), there, limit=limit)
    assert code == 2
    # Without any space there is no folder for temporary files either.
    (said,) = (line for line in err.splitlines() if line.startswith("debate: "))
    assert ("cannot write" in said and "--out" in said) or "the disk's space" in said
    code, out, err = ask((*EVAL[:2], "--limit", "200"), there)
    assert (code, "cipher" in out) == (0, True), err


def test_a_folder_that_cannot_be_written(there):
    # Also to a user who may write everywhere.
    code, _, err = ask((*EVAL, "--out", "/proc/nothing/here"), there)
    assert code == 2
    assert "debate: cannot write /proc/nothing/here" in err


def test_two_who_write_the_same_run(there):
    command = [*DEBATE, "eval", "good.yaml", "--limit", "5000", "--out", "run"]
    with subprocess.Popen(command, cwd=there, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        until = time.monotonic() + 60
        while not (there / "run" / "journal.log").exists() and time.monotonic() < until:
            time.sleep(0.05)
        code, _, err = ask((*EVAL, "--out", "run"), there)
        first.kill()
    assert code == 2
    assert "run" in err
    assert "process" in err


@pytest.mark.parametrize("reader", ["head -n 1", "true"])
def test_a_pipe_that_is_closed(there, reader):
    command = f"{sys.executable} -m debate tasks | {reader}; echo ${{PIPESTATUS[0]}} >&2"
    done = subprocess.run(["bash", "-c", command], cwd=there, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr.strip() in ("0", "1", "141")


def test_an_output_that_is_closed(there):
    command = f"{sys.executable} -m debate tasks >&-"
    done = subprocess.run(["bash", "-c", command], cwd=there, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("without", "env"),
    [
        (("HOME",), {}),
        (("TERM",), {}),
        ((), {"TERM": "dumb"}),
        ((), {"LANG": "C", "LC_ALL": "C"}),
        ((), {"COLUMNS": "20"}),
    ],
    ids=["no HOME", "no TERM", "dumb", "LANG=C", "narrow"],
)
def test_surroundings_that_are_poor(there, without, env):
    code, out, err = ask(("run", "What is 1+1? ☃", "--config", "good.yaml"), there, without=without, **env)
    assert code == 0, err
    assert "decision:" in out


def test_a_mistake_is_said_in_any_language(there):
    code, _, err = ask(("eval", "schräg.yaml"), there, LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert code == 2
    assert "debate: no config file" in err
