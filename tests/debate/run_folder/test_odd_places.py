"""Runs on file systems that fill up, turn read-only, have no locks or lose the folder, and under a clock that is set back."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chaos.storm import problems

from agents.errors import RunError
from agents.question import Question
from debate.build import build_debate
from debate.config.load import validate
from debate.decision.decision import Decision
from debate.orchestrator import play
from debate.run_folder.activity import Activity
from debate.run_folder.folder import RunFolder
from debate.run_folder.lock import is_being_written
from debate.run_folder.reader import RunReader
from debate.run_folder.status import status_of
from debate.run_folder.turn_record import Cost
from debate.runtime.backends import Backends

CONFIG = validate({"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "rounds": 2}, source="x")
QUESTION = Question("q1", "What is the result of 1+2*3+4-5*6?")
EVALUATION = (
    "eval",
    "smoke",
    "--limit",
    "1",
    "--methods",
    "text,cipher",
    "--set",
    "rounds=2",
    "--set",
    "max_tokens=12",
)


@pytest.fixture
def transcript(run):
    return run(play(build_debate(CONFIG, Backends(CONFIG)), QUESTION))


def write(folder, transcript, turns, *, ends=False):
    method = folder.method("m")
    method.open(1, 4)
    method.begin(QUESTION)
    for turn in turns:
        method.append_turn(QUESTION, turn, Cost(0.1, "mock", 1))
    if ends:
        method.append_decision(QUESTION, Decision("1", "so", {}), {"score": "correct", "target": "1"})
        folder.finish({})


@pytest.mark.parametrize("gone", ["deleted", "moved", "replaced"])
def test_a_folder_that_goes_away_under_a_run_is_noticed_and_not_made_again(tmp_path, transcript, gone):
    path, before = tmp_path / "run", None

    def goes_away():
        nonlocal before
        with RunFolder(path, CONFIG) as folder:
            write(folder, transcript, transcript.turns[:1])
            shutil.rmtree(path) if gone == "deleted" else path.rename(tmp_path / "moved")
            if gone == "replaced":
                shutil.copytree(tmp_path / "moved", path)
            before = sorted(path.rglob("*")) if path.exists() else None
            folder.method("m").append_turn(QUESTION, transcript.turns[1], Cost(0.1, "mock", 1))

    with pytest.raises(
        RunError, match=r"journal.log is (not there any more|another file now): the folder was deleted, moved"
    ):
        goes_away()
    assert (sorted(path.rglob("*")) if path.exists() else None) == before
    if gone == "moved":
        # What was said is where it was moved to, and goes on there.
        with RunFolder(tmp_path / "moved", CONFIG) as folder:
            write(folder, transcript, transcript.turns[1:], ends=True)
        assert RunReader(tmp_path / "moved").state.methods["m"].result.turns == 4


def test_a_fork_of_the_writer_writes_nothing(tmp_path, transcript):
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        write(folder, transcript, transcript.turns[:1])
        before = (tmp_path / "run" / "journal.log").read_bytes()
        child = os.fork()
        if child == 0:
            try:
                folder.append({"kind": "models", "models": {}})
            except RunError as error:
                os._exit(7 if "a fork of it" in str(error) else 1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert (tmp_path / "run" / "journal.log").read_bytes() == before
        write(folder, transcript, transcript.turns[1:], ends=True)
    assert RunReader(tmp_path / "run").state.methods["m"].result.turns == 4


def test_a_fork_that_outlives_the_writer_does_not_keep_the_lock(tmp_path):
    folder = RunFolder(tmp_path / "run", CONFIG)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        folder.close()
        assert not is_being_written(tmp_path / "run")
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)


def test_the_path_of_a_run_may_be_a_link(tmp_path, transcript):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with RunFolder(tmp_path / "link", CONFIG) as folder:
        write(folder, transcript, transcript.turns[:2])
    with pytest.raises(RunError, match="is being written by another process"), RunFolder(tmp_path / "disk", CONFIG):
        RunFolder(tmp_path / "link", CONFIG)
    with RunFolder(tmp_path / "disk", CONFIG) as folder:
        write(folder, transcript, transcript.turns[2:], ends=True)
    assert RunReader(tmp_path / "link").state.methods["m"].result.turns == 4


def test_a_run_in_memory(transcript):
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK):
        pytest.skip("there is no /dev/shm to write to")
    path = shm / f"debate-test-{os.getpid()}"
    try:
        with RunFolder(path, CONFIG) as folder:
            write(folder, transcript, transcript.turns, ends=True)
        assert status_of(path).state == "finished"
    finally:
        shutil.rmtree(path, ignore_errors=True)


def test_names_as_long_as_a_file_system_takes_and_longer(tmp_path, transcript):
    longest = tmp_path / ("ä" * 127 + "a")
    with RunFolder(longest, CONFIG) as folder:
        write(folder, transcript, transcript.turns, ends=True)
    assert RunReader(longest).state.methods["m"].result.turns == 4
    with pytest.raises(RunError, match=r"cannot look into .*: File name too long\. Choose another folder with --out"):
        RunFolder(tmp_path / ("a" * 256), CONFIG)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch, number):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunError, match=r"cannot be locked .*: its file system has no locks"):
        RunFolder(tmp_path / "run", CONFIG)
    with pytest.raises(RunError, match="cannot tell whether"):
        is_being_written(tmp_path / "run")


def test_a_clock_that_is_set_back_takes_nothing_away(tmp_path, transcript, monkeypatch):
    now = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        for turn, step in zip(transcript.turns, (5, -3600, 5, 5), strict=True):
            now[0] += step
            write(folder, transcript, [turn])
        assert folder.method("m").result.seconds == pytest.approx(10)
        pace = status_of(tmp_path / "run").turns_per_s
        write(folder, transcript, [], ends=True)
    # Three turns in ten seconds since then, not thousands.
    assert pace == pytest.approx(0.3)
    assert RunReader(tmp_path / "run").state.methods["m"].result.seconds == pytest.approx(10)


def test_the_pace_of_a_run_counts_from_where_the_clock_was_set_back():
    activity = Activity()
    usage = {"usage": {"generated_tokens": 4}, "cost": {"engine": "mock", "seconds": 0.1}}
    for now in (1000.0, 1001.0, 500.0, 502.0):
        activity.turn({**usage, "t": now})
    assert activity.pace().turns_per_s == 1


IN_A_SMALL_ROOM = """
set -e
mount -t tmpfs -o size=$SIZE tmpfs "$ROOM"
set +e
"$PYTHON" -m debate "$@"; echo "first $?"
mount -o remount,size=50m "$ROOM"
if [ -n "$READ_ONLY" ]; then
    mount -o remount,ro "$ROOM"
    "$PYTHON" -m debate "$@"; echo "read-only $?"
    mount -o remount,rw "$ROOM"
fi
"$PYTHON" -m debate "$@"; echo "second $?"
cp -r "$ROOM/run" "$KEPT"
"""


def in_a_small_room(tmp_path, *, size, read_only=False):
    """Play an evaluation on a file system of its own, that is too small at first."""
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here without rights")
    room = tmp_path / "room"
    room.mkdir()
    environment = {
        **os.environ,
        "ROOM": str(room),
        "SIZE": size,
        "PYTHON": sys.executable,
        "KEPT": str(tmp_path / "kept"),
    }
    environment["READ_ONLY"] = "1" if read_only else ""
    command = ["unshare", "-Urm", "bash", "-c", IN_A_SMALL_ROOM, "bash", *EVALUATION, "--out", str(room / "run")]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
@pytest.mark.parametrize("size", ["8k", "24k", "40k", "64k", "96k"])
def test_a_disk_that_was_full_and_has_room_again(tmp_path, cli, size):
    assert cli(*EVALUATION, "--out", str(tmp_path / "whole"))[0] == 0
    played = in_a_small_room(tmp_path, size=size, read_only=size == "64k")
    assert "second 0" in played.stdout, played.stderr
    assert "Traceback" not in played.stderr
    assert ("first 2" in played.stdout) == ("debate: cannot write" in played.stderr)
    assert "first 1" not in played.stdout
    if size == "64k":
        assert "read-only 2" in played.stdout
        assert "Read-only file system" in played.stderr
    assert problems(tmp_path / "kept", tmp_path / "whole") == []
