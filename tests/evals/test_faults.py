"""Engines die, hang and run out of memory; the run goes on and comes to what an undisturbed one comes to."""

import asyncio
import json
import re

import pytest
from support.faulty_backend import HAPPENED

from agents.errors import BackendFailed
from agents.supervision.supervised import Gate
from debate.config.load import validate
from debate.run_folder.journal import JournalReader
from debate.run_folder.reader import read_method
from evals.evaluation import evaluate
from evals.sample import Sample


def config_of(backend="support.faulty_backend:FaultyBackend", execution=None, **options):
    raw = {
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
        "backend": backend,
        "model": "mock",
        "max_tokens": 64,
        "options": options,
        "methods": {"cipher": {}},
        "execution": execution or {},
    }
    return validate(raw, source="x")


def outcome(folder):
    """Return transcripts and results without what names the backend, times and caches."""
    results = json.loads((folder / "results.json").read_text())["methods"]
    for row in results.values():
        del row["seconds"], row["cached_tokens"]
    return (folder / "cipher" / "transcript.jsonl").read_bytes(), results


def faults_in(folder):
    return [entry.record for entry in JournalReader(folder / "journal.log") if entry.record["kind"] == "fault"]


@pytest.fixture(autouse=True)
def nothing_happened():
    HAPPENED.clear()


@pytest.fixture
def undisturbed(tmp_path, run):
    run(evaluate(config_of("mock"), out=tmp_path / "whole", limit=8))
    return outcome(tmp_path / "whole")


def test_an_engine_that_dies_is_started_again_and_nothing_is_lost(tmp_path, run, undisturbed):
    run(evaluate(config_of(deaths=4), out=tmp_path / "run", limit=8))
    assert (HAPPENED["deaths"], HAPPENED["starts"]) == (4, 5)
    assert outcome(tmp_path / "run") == undisturbed
    faults = faults_in(tmp_path / "run")
    assert {fault["error"] for fault in faults} == {"BackendFailed: out of luck"}
    tries = [
        e.record["cost"]["tries"] for e in JournalReader(tmp_path / "run" / "journal.log") if e.record["kind"] == "turn"
    ]
    assert len(tries) == 48
    assert max(tries) > 1


def test_a_poisoned_question_is_given_up_and_no_other(tmp_path, run, undisturbed):
    """Its engine serves others when it dies, every time; only the question that fails alone is held guilty."""
    record = list(read_method(tmp_path / "whole" / "cipher"))[3]
    poisoned = record.transcript.question
    rows = run(evaluate(config_of(poison=poisoned.text), out=tmp_path / "run", limit=8))
    (row,) = rows
    assert (row.asked, row.total, row.failed) == (8, 8, 1)
    assert [question for question, answer in row.answers.items() if answer is None] == [poisoned.id]
    debates = {found.transcript.question: found for found in read_method(tmp_path / "run" / "cipher")}
    assert len(debates) == 8
    failure = debates.pop(poisoned).failure
    assert "engines failed 3 times over it alone" in failure
    assert "a cosmic ray" in failure
    whole = {found.transcript.question: found.transcript for found in read_method(tmp_path / "whole" / "cipher")}
    assert all(found.transcript == whole[question] for question, found in debates.items())
    starts = HAPPENED["starts"]
    again = run(evaluate(config_of(poison=poisoned.text), out=tmp_path / "run", limit=8))
    assert (again[0].failed, HAPPENED["starts"]) == (1, starts + 1)
    assert HAPPENED["starts"] <= 7


def test_an_engine_that_cannot_answer_one_question_serves_the_others_and_is_not_started_again(
    tmp_path, run, undisturbed
):
    (_, _, asked, *_) = list(read_method(tmp_path / "whole" / "cipher"))
    (row,) = run(evaluate(config_of(row=asked.transcript.question.text), out=tmp_path / "run", limit=8))
    assert (row.asked, row.total, row.failed, HAPPENED["starts"]) == (8, 8, 1, 1)
    whole = {found.transcript.question: found.transcript for found in read_method(tmp_path / "whole" / "cipher")}
    found = {one.transcript.question: one for one in read_method(tmp_path / "run" / "cipher")}
    assert "RowFailed: its logits are not finite" in found.pop(asked.transcript.question).failure
    assert len(found) == 7
    assert all(one.transcript == whole[question] for question, one in found.items())


def test_tries_count_over_sessions(tmp_path, run):
    """A run that is stopped between two tries does not begin to count anew."""
    execution = {"tries": 5, "in_flight": 1}
    (first, *_) = list(read_method(_whole(tmp_path, run)))
    config = config_of(poison=first.transcript.question.text, execution=execution)

    async def stopped():
        task = asyncio.ensure_future(evaluate(config, out=tmp_path / "run", limit=2))
        while HAPPENED["starts"] < 4:
            await asyncio.sleep(0.001)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(stopped())
    before = sum(fault["alone"] for fault in faults_in(tmp_path / "run"))
    assert 1 <= before < 5
    (row,) = run(evaluate(config, out=tmp_path / "run", limit=2))
    assert (row.failed, row.total) == (1, 2)
    assert sum(fault["alone"] for fault in faults_in(tmp_path / "run")) == 5


def _whole(tmp_path, run):
    run(evaluate(config_of("mock"), out=tmp_path / "w", limit=2))
    return tmp_path / "w" / "cipher"


def test_a_hung_turn_is_timed_out_and_taken_again(tmp_path, run, undisturbed):
    question = list(read_method(tmp_path / "whole" / "cipher"))[2].transcript.question
    config = config_of(hang=question.text, execution={"turn_timeout_s": 0.3})
    run(evaluate(config, out=tmp_path / "run", limit=8))
    assert outcome(tmp_path / "run") == undisturbed
    assert any(
        fault["error"].startswith("TurnTimedOut: no answer within 0.3 s") for fault in faults_in(tmp_path / "run")
    )


def test_where_memory_runs_out_fewer_run_at_once(tmp_path, run, undisturbed):
    run(evaluate(config_of(room=5), out=tmp_path / "run", limit=8))
    assert outcome(tmp_path / "run") == undisturbed
    assert HAPPENED["most"] == 16
    assert HAPPENED["starts"] == 1
    assert all(fault["error"].startswith("OutOfMemory") for fault in faults_in(tmp_path / "run"))


def test_a_question_for_which_there_is_never_memory_is_given_up(tmp_path, run):
    (row,) = run(evaluate(config_of(room=0), out=tmp_path / "run", limit=2))
    assert (row.total, row.failed, row.correct) == (2, 2, 0)


def test_a_prompt_that_is_too_long_fails_its_question_alone_and_is_not_tried_again(tmp_path, run):
    asked = [Sample("short", "1+1?", "2"), Sample("long", "1+1? " * 1000, "2"), Sample("other", "2+2?", "4")]
    (row,) = run(evaluate(config_of(context=4000), out=tmp_path / "run", samples=asked))
    assert (row.total, row.failed) == (3, 1)
    assert faults_in(tmp_path / "run") == []
    (failed,) = [record for record in read_method(tmp_path / "run" / "cipher") if record.failure is not None]
    assert re.match(
        r"question long, method cipher: agent '(ada|ben)', round \d: the prompt has \d+ tokens", failed.failure
    )
    again = run(evaluate(config_of(context=4000), out=tmp_path / "run", samples=asked))
    assert (again[0].failed, again[0].turns) == (1, row.turns)


def test_an_engine_that_comes_back_as_another_model_is_refused(run):
    from agents.backends.mock import MockBackend
    from agents.supervision.supervised import Supervised

    seeds = iter([0, 1])

    async def scenario():
        backend = Supervised("mock", lambda: MockBackend(seed=next(seeds)))
        await backend.replace(1)

    with pytest.raises(BackendFailed, match="was started again and is mock .*, not mock"):
        run(scenario())


def test_a_gate_lets_one_alone_and_forgets_the_cancelled(run):
    async def scenario():
        gate, order = Gate(), []

        async def enter(name, alone, steps=3):
            async with gate.entered(alone=alone):
                order.append((name, gate.running))
                for _ in range(steps):
                    await asyncio.sleep(0)

        first = [asyncio.create_task(enter(f"a{i}", False)) for i in range(3)]
        await asyncio.sleep(0)
        suspects = [asyncio.create_task(enter(f"s{i}", True)) for i in range(3)]
        await asyncio.sleep(0)
        late = [asyncio.create_task(enter(f"b{i}", False)) for i in range(2)]
        await asyncio.sleep(0)
        suspects[2].cancel()
        await asyncio.wait_for(asyncio.gather(*first, *suspects, *late, return_exceptions=True), 5)
        return order

    order = run(scenario())
    assert [count for name, count in order if name.startswith("s")] == [1, 1]
    assert [name for name, _ in order] == ["a0", "a1", "a2", "s0", "s1", "b0", "b1"]
