"""A run whose own cluster loses one of Ray's own processes ends soon, with a sentence, and goes on when it is begun again."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest
from chaos.ray_storm import ACTORS, TESTS, command, descendants, leftovers
from chaos.storm import problems, size

from debate.runtime.ray.watch import Watch, is_refused

pytest.importorskip("ray")
PROCESSES = {"raylet": "/raylet/raylet ", "GCS": "/gcs/gcs_server "}


def test_what_listens_no_longer_is_noticed_once():
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = dict(zip(("one", "other"), (one.getsockname() for one in listening), strict=True))
    lost, noticed = [], threading.Event()
    watch = Watch(addresses, lambda name: (lost.append(name), noticed.set()))
    assert not noticed.wait(0.6)
    listening[1].close()
    assert noticed.wait(10)
    watch.stop()
    assert lost == ["other"]
    assert is_refused(addresses["other"])
    assert not is_refused(addresses["one"])
    listening[0].close()


def test_a_watch_that_was_stopped_says_nothing():
    listening, lost = socket.create_server(("127.0.0.1", 0)), []
    watch = Watch({"one": listening.getsockname()}, lost.append)
    watch.stop()
    listening.close()
    time.sleep(0.5)
    assert lost == []


@pytest.mark.long
@pytest.mark.parametrize("runners", [0, 2])
@pytest.mark.parametrize("killed", sorted(PROCESSES))
def test_a_run_whose_raylet_is_killed_ends_within_half_a_minute(tmp_path, killed, runners):
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    out, whole = tmp_path / "disturbed", tmp_path / "undisturbed"
    asked = [*command(out, 300, runtime="ray"), "--set", f"execution.runners={runners}"]
    subprocess.run(command(whole, 300, runtime="local"), check=True, capture_output=True, env=environment)
    process = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    children = {}
    until = time.monotonic() + 300
    while size(out) < 20_000 or not any(line.startswith(ACTORS["engine"]) for line in children.values()):
        assert time.monotonic() < until
        assert process.poll() is None, process.stderr.read()
        children = descendants(process.pid)
        time.sleep(0.1)
    (victim,) = [pid for pid, line in children.items() if PROCESSES[killed] in line]
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    _, said = process.communicate(timeout=120)
    took = time.monotonic() - began
    assert process.returncode == 2, said
    assert f"debate: Ray's {killed} on this machine died" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert took < 30
    assert leftovers(children) == []
    subprocess.run(asked, check=True, capture_output=True, env=environment)
    assert problems(out, whole, configs=False) == []
