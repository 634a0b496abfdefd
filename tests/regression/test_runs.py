"""Runs come to what they came to: every journal, transcript, message and result, and an old run is read and continued.

What is compared is in outcome.py, the runs in cases.py, what they came to in recorded/. `python tests/regression/record.py`
records again; a change of these files is a change of what the project computes or writes, and its commit says why.
"""

import difflib
import json
import shutil

import pytest
from regression.cases import CASES, RAY
from regression.outcome import journal
from regression.player import HERE, OLD_RUN, RECORDED, machine, play, play_old_run, recorded

# Whether last bits can be what they were where they were recorded.
IS_SAME_MACHINE = json.loads((RECORDED / "machine.json").read_text()) == machine()
OLD = HERE / "old_run"


@pytest.fixture(autouse=True)
def no_warnings_of_models(monkeypatch):
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")


def compare(name, found, *, wanted=None):
    """Fail with a diff unless lines are as recorded; of another machine without the last bits."""
    wanted = recorded(name) if wanted is None else wanted
    if not IS_SAME_MACHINE:
        wanted, found = ([line for line in lines if not line.startswith("exact ")] for lines in (wanted, found))
    if found != wanted:
        diff = "\n".join(difflib.unified_diff(wanted, found, "recorded", "now", lineterm="", n=0))
        pytest.fail(f"{name} is another run than was recorded:\n{diff[:4000]}", pytrace=False)


@pytest.mark.parametrize("name", CASES)
def test_the_run_is_the_recorded_one(name, tmp_path):
    if CASES[name].is_real and not IS_SAME_MACHINE:
        pytest.skip("recorded on another machine: near ties of a real model may fall otherwise here")
    compare(name, play(CASES[name], tmp_path))


# Ray's bytes are held to one process's in tests/debate/runtime/ray, in both ways to play.
@pytest.mark.long
def test_under_ray_it_is_the_same(tmp_path):
    pytest.importorskip("ray")
    execution = {"runtime": "ray", "in_flight": 2, "engines": {"default": {"replicas": 2, "num_cpus": 0}}}
    found = play(RAY, tmp_path, runtime=execution)
    compare("ray", said(found), wanted=said(recorded("ray")))


def said(lines):
    """Return the lines of transcripts, results and messages, whatever order they were said in."""
    kept = (" < ", " decided ", "row ", "transcript.jsonl ", "messages")
    return sorted(line for line in lines if any(part in line for part in kept))


def test_what_is_to_end_early_does():
    for name in CASES:
        if name.startswith(("stopping ", "protocol ")):
            (row,) = (json.loads(line[4:]) for line in recorded(name) if line.startswith("row "))
            assert row["turns"] < row["planned_turns"], name


def test_every_recording_is_of_a_case():
    names = {
        json.loads(line)["case"]
        for file in RECORDED.glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("{")
    }
    assert names == {*CASES, "ray", *OLD_RUN}


def test_an_old_run_is_shown(cli, tmp_path):
    shutil.copytree(OLD, tmp_path / "old_run")
    code, shown, _ = cli("show", tmp_path / "old_run")
    assert code == 0
    records = journal(OLD / "journal.log")
    turns = [record for record in records if record["kind"] == "turn"]
    assert len(turns) == 22
    assert all(turn["text"] in shown and turn["agent"] in shown for turn in turns)
    decided = [record for record in records if record["kind"] == "decision"]
    assert all(f"{one['answer']} ({one['score']}; {one['target']} is right)" in shown for one in decided)
    begun = {(record["method"], record["question"]) for record in records if record["kind"] == "question"}
    assert all(f"{method}  {question}" in shown for method, question in begun)
    assert len(begun) == len(decided) + 1


def test_an_old_run_is_reported_and_resumed_to_its_end(cli, tmp_path):
    said = {}

    def debate(*arguments):
        code, out, error = cli(*arguments)
        assert code == 0, error
        said[arguments[0]] = out + error

    for name, lines in play_old_run(tmp_path, debate).items():
        wanted = recorded(name)
        if not IS_SAME_MACHINE:
            # Messages that are the same to the last bit share a file: those of another processor are the old ones less often.
            wanted, lines = ([line for line in of if not line.startswith("messages: ")] for of in (wanted, lines))
        compare(name, lines, wanted=wanted)
    torn = len((OLD / "journal.log").read_bytes().rpartition(b"\n")[2])
    assert torn > 0
    assert f"torn record of {torn} bytes" in " ".join(said["eval"].split())
    run = tmp_path / "old_run"
    assert (run / "report.html").is_file()
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    before, after = journal(OLD / "journal.log"), journal(run / "journal.log")
    # What was said is kept byte for byte, and no turn is taken twice.
    whole = (OLD / "journal.log").read_bytes().rpartition(b"\n")[0]
    assert (run / "journal.log").read_bytes().startswith(whole + b"\n")
    turns = [(r["method"], r["question"], r["round"], r["agent"]) for r in after if r["kind"] == "turn"]
    assert len(turns) == len(set(turns)) == 2 * 4 * 2 * 2
    named = {r["digest"] for r in after if r["kind"] == "turn" and r["encoder"] is not None}
    assert {file.name.partition(".")[0] for file in (run / "messages").glob("*/*")} == named
    assert len(after) > len(before)
