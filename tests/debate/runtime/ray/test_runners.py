"""Debates played in processes of their own: the same bytes as in one, also when runners and engines are killed."""

import asyncio
import os
import signal
import time

import pytest
from chaos.ray_storm import descendants, is_running
from support.outcomes import config_of, outcome, records, with_runners

from agents.errors import ConfigError
from evals.evaluation import evaluate

pytest.importorskip("ray")
pytestmark = pytest.mark.usefixtures("session")


def processes():
    """Return the runners' and the engines' processes of this one's Ray."""
    found = descendants(os.getpid())
    return [[pid for pid, line in found.items() if line.startswith(f"ray::{kind}")] for kind in ("Runner", "Engine")]


def test_runners_give_the_same_bytes_and_both_play(tmp_path, run, undisturbed):
    seen = set()

    class Watching:
        def of_method(self, method):
            return self

        def __getattr__(self, name):
            return lambda *given: seen.update(processes()[0])

    # So slow that whichever starts first does not play everything before the other is there.
    config = with_runners("support.mortal_backend:MortalBackend", folder=str(tmp_path), nap_s=0.4)
    run(evaluate(config, out=tmp_path / "run", limit=8, observer=Watching()))
    assert len(seen) == 2
    assert outcome(tmp_path / "run") == undisturbed
    engines = {turn["cost"]["engine"] for turn in records(tmp_path / "run", "turn")}
    assert {engine.rpartition("#")[2] for engine in engines} == {"0", "1"}
    until = time.monotonic() + 10
    while time.monotonic() < until and any(processes()):
        time.sleep(0.1)
    assert processes() == [[], []]


def test_a_runner_that_is_killed_loses_no_turn_and_its_debates_are_taken_up(tmp_path, run, undisturbed):
    config = with_runners("support.mortal_backend:MortalBackend", folder=str(tmp_path), nap_s=0.1)
    killed = []

    async def play():
        playing = asyncio.create_task(evaluate(config, out=tmp_path / "run", limit=8))
        journal = tmp_path / "run" / "journal.log"
        for enough in (8, 90):
            while not playing.done() and (not journal.exists() or len(records(tmp_path / "run", "turn")) < enough):
                await asyncio.sleep(0.02)
            while not (alive := [pid for pid in processes()[0] if pid not in killed]) and not playing.done():
                await asyncio.sleep(0.02)
            # Where the others were quick nobody is left to kill the second time.
            for pid in alive[:1]:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
        await playing

    run(play())
    assert killed
    assert outcome(tmp_path / "run") == undisturbed
    turns = [
        (turn["method"], turn["question"], turn["agent"], turn["round"]) for turn in records(tmp_path / "run", "turn")
    ]
    assert len(turns) == len(set(turns)) == 8 * 3 * 3 * 2
    died = records(tmp_path / "run", "runner")
    assert died
    assert all(record["error"] == "its process died" and record["questions"] for record in died)
    assert "its process died" in (tmp_path / "run" / "log.jsonl").read_text()


def test_a_runner_that_is_stopped_is_ended_and_its_debates_are_taken_up(tmp_path, run, undisturbed):
    config = with_runners(
        "support.mortal_backend:MortalBackend", folder=str(tmp_path), nap_s=0.1, execution={"runner_patience_s": 3}
    )
    stopped = []

    async def play():
        playing = asyncio.create_task(evaluate(config, out=tmp_path / "run", limit=8))
        journal = tmp_path / "run" / "journal.log"
        while not journal.exists() or len(records(tmp_path / "run", "turn")) < 8:
            await asyncio.sleep(0.02)
        stopped.append(processes()[0][0])
        os.kill(stopped[0], signal.SIGSTOP)
        await playing

    run(play())
    assert outcome(tmp_path / "run") == undisturbed
    died = records(tmp_path / "run", "runner")
    assert any(record["error"] == "it said nothing for 3 s, and was ended" and record["questions"] for record in died)
    until = time.monotonic() + 30
    while time.monotonic() < until and is_running(stopped[0]):
        time.sleep(0.1)
    assert not is_running(stopped[0])


def test_an_engine_that_is_killed_under_runners_is_started_again_and_nothing_is_lost(tmp_path, run, undisturbed):
    config = with_runners("support.mortal_backend:MortalBackend", folder=str(tmp_path), deaths=3)
    run(evaluate(config, out=tmp_path / "run", limit=8))
    assert outcome(tmp_path / "run") == undisturbed
    assert len(list(tmp_path.glob("death-*"))) == 3
    assert all("its process died" in fault["error"] for fault in records(tmp_path / "run", "fault"))


def test_a_prompt_that_a_runner_finds_too_long_fails_its_question_with_its_sentence(tmp_path, run):
    (row,) = run(
        evaluate(with_runners(context=200, replicas=1, runners=1), out=tmp_path / "run", limit=1, methods=["text"])
    )
    (failed,) = records(tmp_path / "run", "failed")
    assert (row.failed, row.total) == (1, 1)
    assert "agent 'ada'" in failed["reason"]


def test_runners_without_ray_are_a_mistake():
    with pytest.raises(ConfigError, match=r"runners needs runtime: ray"):
        config_of(runtime="local", execution={"runners": 2})
