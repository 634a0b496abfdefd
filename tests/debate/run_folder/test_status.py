"""A run seen and stopped from another process."""

import contextlib
import json
import subprocess
import sys
import time

import pytest

from agents.errors import RunError
from debate.config.load import validate
from debate.run_folder.activity import Activity, Pace
from debate.run_folder.cancel import cancel
from debate.run_folder.folder import RunFolder
from debate.run_folder.status import state_of, status_of
from evals.evaluation import evaluate

CONFIG = validate(
    {"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "methods": {"text": {}}}, source="x"
)


@pytest.fixture
def under_way(tmp_path):
    """Return the folder of a run that a real process writes."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "debate", "eval", "smoke", "--limit", "3000", "--methods", "cipher", "--out", run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(1200):
            time.sleep(0.05)
            if (run / "journal.log").exists() and (run / "journal.log").read_text().count('"decision"') > 20:
                break
        yield run, process
        process.kill()


def test_a_run_under_way_is_seen_and_stopped(under_way):
    run, process = under_way
    status = status_of(run)
    assert (status.state, status.sessions) == ("running", 1)
    row = status.methods["cipher"]
    assert row.asked == 3000
    assert 20 < row.total < 3000
    assert status.engines["mock:mock"].turns == row.turns
    assert status.turns_per_s > 1
    assert status.seconds_left > 0
    assert cancel(run, 30)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "Interrupted. Run the same command to continue." in err) == (130, True)
    assert status_of(run).state == "interrupted"
    with pytest.raises(RunError, match="is not running"):
        cancel(run, 1)
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["session", "method", "interrupted"]
    assert {"timestamp", "level"} <= events[0].keys()


def test_a_killed_run_is_said_to_be_killed(under_way):
    run, process = under_way
    process.kill()
    process.wait()
    status = status_of(run)
    assert (status.state, "the same command continues it" in status.reason) == ("killed", True)


def test_a_finished_run(tmp_path, run, capsys, monkeypatch):
    from debate.cli import main

    run(evaluate(CONFIG, out=tmp_path / "run", limit=3))
    status = status_of(tmp_path / "run")
    assert (status.state, status.seconds_left) == ("finished", None)
    assert status.engines["mock:mock"].turns == 18
    monkeypatch.setattr(sys, "argv", ["debate", "status", str(tmp_path / "run"), "--json"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert json.loads(capsys.readouterr().out)["methods"]["text"]["total"] == 3
    with pytest.raises(RunError, match="is not a run"):
        status_of(tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such thing"), ("failed", "no such thing")),
        (ValueError(), ("failed", "ValueError")),
        (KeyboardInterrupt(), ("interrupted", "KeyboardInterrupt")),
    ],
)
def test_a_run_says_what_ended_it(tmp_path, error, said):
    with contextlib.suppress(type(error)), RunFolder(tmp_path / "run", CONFIG):
        raise error
    assert state_of(tmp_path / "run") == said


def test_what_is_left_takes_as_long_as_at_the_last_minutes_pace(tmp_path, monkeypatch):
    monkeypatch.setattr(Activity, "pace", lambda activity: Pace(ended_per_s=0.5))
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        folder.method("text").open(6, 12)
        assert status_of(tmp_path / "run").seconds_left == 12
    assert status_of(tmp_path / "run").seconds_left is None


def test_a_run_that_has_said_nothing_yet_has_no_pace(tmp_path):
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        folder.method("text").open(6, 12)
        status = status_of(tmp_path / "run")
    assert (status.turns_per_s, status.tokens_per_s, status.seconds_left) == (0.0, 0.0, None)
