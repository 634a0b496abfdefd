"""Rows of a table played side by side: what they come to is what they come to one after another."""

import asyncio
import json

import pytest

from agents.errors import ConfigError
from debate.config.load import validate
from debate.runtime.metrics import Metrics
from debate.runtime.observer import Observer, Together
from evals.analysis.run_record import read_run
from evals.cli.progress import Progress
from evals.evaluation import evaluate

CONFIG = {
    "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
    "backend": "mock",
    "model": "mock",
    "max_tokens": 64,
    "methods": {"single": {}, "text": {}, "cipher": {}},
}
ALONE = validate(CONFIG, source="x")
TOGETHER = validate({**CONFIG, "execution": {"rows_at_once": True, "in_flight": 4}}, source="x")


def contents(folder):
    """Return transcripts, messages and results, without times and how the run was carried out."""
    files = [*folder.rglob("transcript.jsonl"), *folder.rglob("*.safetensors")]
    results = json.loads((folder / "results.json").read_text())
    for row in results["methods"].values():
        del row["seconds"], row["cached_tokens"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files} | {"results": results}


class Watching(Observer):
    """Keeps the order in which rows say things, and the most debates at a time; stops as Ctrl-C does after so many turns."""

    def __init__(self, after=-1):
        self.after, self.rows, self.said, self.under_way, self.most = after, [], [], 0, 0

    def of_method(self, method):
        outer = self

        class OfMethod(Observer):
            def debate_started(self, question):
                outer.under_way += 1
                outer.most = max(outer.most, outer.under_way)

            def turn_said(self, question, turn):
                outer.rows.append(method)
                outer.said.append((method, question.id, turn.key))
                if len(outer.rows) == outer.after:
                    raise asyncio.CancelledError

            def debate_decided(self, question, decision, score):
                outer.under_way -= 1

        return OfMethod()


def test_rows_side_by_side_say_what_they_say_one_after_another(tmp_path, run):
    run(evaluate(ALONE, out=tmp_path / "alone", limit=5))
    watching = Watching()
    rows = run(evaluate(TOGETHER, out=tmp_path / "together", limit=5, observer=watching))
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")
    assert [row.method for row in rows] == ["single", "text", "cipher"]
    # They take turns, and no more debates are under way than one row would have.
    first = {row: watching.rows.index(row) for row in ("text", "cipher")}
    last = {row: len(watching.rows) - watching.rows[::-1].index(row) for row in ("text", "cipher")}
    assert first["cipher"] < last["text"]
    assert watching.most == 4


def test_a_rows_own_time_and_energy_are_not_known_then(tmp_path, run):
    rows = run(evaluate(TOGETHER, out=tmp_path / "run", limit=2))
    assert [row.seconds for row in rows] == [None] * 3
    record = read_run(tmp_path / "run")
    assert record.seconds == {}
    assert {spent.joules for spent in record.energy.values()} == {None}
    assert {spent.source for spent in record.energy.values()} == {"not known of a row: rows were played side by side"}
    # What one session did not keep another cannot know.
    run(evaluate(ALONE, out=tmp_path / "run", limit=3))
    assert read_run(tmp_path / "run").seconds == {}
    with pytest.raises(
        ConfigError, match="self-consistency@time takes its k from wall times, which rows that are played"
    ):
        run(evaluate(TOGETHER, out=tmp_path / "time", methods=["single", "cipher", "self-consistency@time"], limit=2))
    assert not (tmp_path / "time").exists()


def test_votes_at_equal_tokens_are_played_after_the_others(tmp_path, run):
    watching = Watching()
    methods = ["self-consistency@tokens", "single", "cipher"]
    run(evaluate(TOGETHER, out=tmp_path / "run", methods=methods, limit=3, observer=watching))
    assert "self-consistency@tokens" not in watching.rows[: 3 + 18]
    assert set(watching.rows[3 + 18 :]) == {"self-consistency@tokens"}


def test_a_run_of_rows_side_by_side_stopped_again_and_again_is_the_run_undisturbed(tmp_path, run):
    run(evaluate(TOGETHER, out=tmp_path / "whole", limit=5))
    taken = []
    for after in [2, 7, 13, 19, -1]:
        watching = Watching(after)
        try:
            run(evaluate(TOGETHER, out=tmp_path / "broken", limit=5, observer=watching))
        except asyncio.CancelledError:
            assert after > 0
        taken += watching.said
    assert len(taken) == len(set(taken)) == 5 * (1 + 6 + 6)
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


def test_counters_know_the_row(tmp_path, run):
    pytest.importorskip("prometheus_client")
    with Metrics(0) as metrics:
        rows = run(evaluate(TOGETHER, out=tmp_path / "run", limit=3, observer=Together(metrics)))
        counted = {row.method: metrics.turns.labels(row.method)._value.get() for row in rows}
    assert counted == {"single": 3, "text": 18, "cipher": 18}


def test_progress_tells_how_much_is_left_from_the_turns_said():
    progress = Progress()
    progress.expect("single", 2, 1)
    assert progress.line().startswith("single  0/2 questions   0/2 turns")
    assert "left" not in progress.line()
    progress.said("single", "q1", 5)
    progress.ended("single", "q1", True)
    assert "accuracy so far 1/1" in progress.line()
    progress.expect("cipher", 2, 6)
    # One debate is over and of the other two turns were said.
    progress.continued(1, 8)
    progress.debate_continued("cipher", "q2", 2)
    progress.said("cipher", "q2", 5)
    line = progress.line()
    assert line.startswith("2 rows side by side  2/4 questions   10/14 turns")
    assert "accuracy" not in line
    assert " left" in line
    # A debate that ends early has no more turns to come.
    assert progress.ended("cipher", "q2", False) == 3
    assert "10/11 turns" in progress.line()
