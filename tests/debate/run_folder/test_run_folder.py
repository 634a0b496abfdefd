"""A run on disk: written as it happens, read back equal, continued, and what happens when the disk does not play along."""

import errno
import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agents.backend import Usage
from agents.errors import ConfigError, RunError
from agents.installed import DECISIVE, versions
from agents.question import Question
from debate.build import build_debate
from debate.config.load import load_config, validate
from debate.decision.decision import Decision
from debate.orchestrator import play
from debate.run_folder.folder import RunFolder
from debate.run_folder.lock import hold, is_being_written
from debate.run_folder.log import Log
from debate.run_folder.reader import RunReader, read_method
from debate.run_folder.run_state import RunState
from debate.run_folder.turn_record import Cost
from debate.runtime.backends import Backends
from debate.transcript import Control, Reduced, Summary, TurnKey

CONFIG = validate({"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "rounds": 2}, source="x")
QUESTION = Question("q1", "What is the result of 1+2*3+4-5*6?")


@pytest.fixture(params=["cipher", "text"])
def transcript(request, run):
    config = CONFIG.model_copy(update={"message": request.param})
    return run(play(build_debate(config, Backends(config)), QUESTION))


def record(path, transcript, upto=None, config=CONFIG):
    with RunFolder(path, config) as folder:
        method = folder.method("m")
        method.open(1, len(transcript.turns))
        method.begin(QUESTION)
        for turn in transcript.turns[:upto]:
            method.append_turn(QUESTION, turn, Cost(0.1, "mock", 1))
        if upto is None:
            method.append_decision(QUESTION, Decision("7", "because", {"ada": "7", "ben": None}), {"score": "correct"})
            folder.finish({})


def journal_of(path):
    return path / "journal.log"


def test_a_transcript_reads_back_equal(tmp_path, transcript):
    record(tmp_path / "run", transcript)
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript == transcript
    assert found.decision["answer"] == "7"
    assert RunReader(tmp_path / "run").methods == ["m"]
    assert load_config(tmp_path / "run" / "config.yaml") == CONFIG


def test_what_was_said_before_a_crash_is_readable_and_continued(tmp_path, transcript):
    record(tmp_path / "run", transcript, upto=3)
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == transcript.turns[:3]
    assert found.decision is None
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        assert folder.is_resumed
        assert folder.method("m").begin(QUESTION) == {turn.key: turn for turn in transcript.turns[:3]}


@pytest.mark.parametrize(
    "tail", [b'0a1b2c3d {"kind": "turn", "question": "q1", "ag', b"\0" * 700, b'1234 {"a\0\0": 1}\n']
)
def test_a_torn_tail_is_passed_over_by_readers_and_cut_by_the_writer(tmp_path, transcript, tail):
    record(tmp_path / "run", transcript, upto=2)
    file = journal_of(tmp_path / "run")
    size = file.stat().st_size
    file.write_bytes(file.read_bytes() + tail)
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == transcript.turns[:2]
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        assert f"a torn record of {len(tail)} bytes was cut off at byte {size}" in folder.warnings[0]
    record(tmp_path / "run", transcript, upto=2)
    assert len(list(read_method(tmp_path / "run" / "m"))) == 1


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_other_damage_is_refused_with_its_offset_and_nothing_is_changed(tmp_path, transcript, where):
    record(tmp_path / "run", transcript)
    file = journal_of(tmp_path / "run")
    lines = file.read_bytes().splitlines(keepends=True)
    number = {"first": 0, "middle": len(lines) // 2, "last": len(lines) - 1}[where]
    offset = sum(map(len, lines[:number]))
    lines[number] = lines[number].replace(b":", b";", 1)
    file.write_bytes(b"".join(lines))
    before = file.read_bytes()
    for attempt in (
        lambda: list(read_method(tmp_path / "run" / "m")),
        lambda: RunFolder(tmp_path / "run", CONFIG),
        lambda: RunReader(tmp_path / "run"),
    ):
        with pytest.raises(RunError, match=rf"journal\.log is damaged at byte {offset}"):
            attempt()
    assert file.read_bytes() == before
    assert not is_being_written(tmp_path / "run")


def test_every_cut_of_a_journal_is_continued_or_begun_again(tmp_path, transcript):
    """Whatever prefix of the file a crash left: it opens, and what is whole in it is kept."""
    record(tmp_path / "run", transcript)
    # A crash leaves no word of an end.
    (tmp_path / "run" / "run.json").unlink()
    whole = journal_of(tmp_path / "run").read_bytes()
    header = whole.index(b"\n") + 1
    for end in range(header, len(whole), 97):
        journal_of(tmp_path / "run").write_bytes(whole[:end])
        with RunFolder(tmp_path / "run", CONFIG) as folder:
            kept = folder.state.results["m"].turns if "m" in folder.state.results else 0
        assert kept == whole[: whole[:end].rfind(b"\n") + 1].count(b'"kind":"turn"')


def test_a_journal_of_a_newer_format_is_refused(tmp_path, transcript, monkeypatch):
    monkeypatch.setattr("debate.run_folder.journal.FORMAT", 3)
    record(tmp_path / "run", transcript)
    monkeypatch.setattr("debate.run_folder.journal.FORMAT", 2)
    with pytest.raises(RunError, match=r"of format 3, written by cipher-debate .*; this version reads formats up to 2"):
        RunFolder(tmp_path / "run", CONFIG)


def test_another_config_is_refused_with_the_difference(tmp_path, transcript):
    record(tmp_path / "run", transcript)
    before = journal_of(tmp_path / "run").read_bytes()
    with pytest.raises(RunError, match=r"(?s)holds a run of another config.*-rounds: 2\n\+rounds: 3\n.*--overwrite"):
        RunFolder(tmp_path / "run", CONFIG.model_copy(update={"rounds": 3}))
    with pytest.raises(RunError, match=r"(?s)\+  data: other"):
        RunFolder(tmp_path / "run", CONFIG, asked={"data": "other"})
    with pytest.raises(RunError, match=r"is a run over every question, and none .* run it with no limit"):
        RunFolder(tmp_path / "run", CONFIG, asked={"limit": 5})
    assert journal_of(tmp_path / "run").read_bytes() == before
    execution = CONFIG.execution.model_copy(update={"in_flight": 3, "tries": 9})
    RunFolder(tmp_path / "run", CONFIG.model_copy(update={"execution": execution})).close()
    with RunFolder(tmp_path / "run", CONFIG.model_copy(update={"rounds": 3}), overwrite=True) as folder:
        assert not folder.is_resumed
    assert not (tmp_path / "run" / "m").exists()
    assert not list((tmp_path / "run").glob("messages/*/*"))


def test_another_question_under_the_same_id_is_refused(tmp_path, transcript):
    record(tmp_path / "run", transcript, upto=1)
    with (
        RunFolder(tmp_path / "run", CONFIG) as folder,
        pytest.raises(RunError, match=r"question q1 was .* and is now 'Why\?'"),
    ):
        folder.method("m").begin(Question("q1", "Why?"))


def test_other_weights_under_the_same_name_are_refused(tmp_path):
    from agents.backends.mock import MockBackend

    one, other = (MockBackend(seed=seed).fingerprint for seed in (0, 1))
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        folder.note_models([one])
    with (
        RunFolder(tmp_path / "run", CONFIG) as folder,
        pytest.raises(RunError, match="was begun with mock .*is now mock"),
    ):
        folder.note_models([other])


def test_one_writer_until_it_dies(tmp_path, transcript):
    """A real second process holds the run; when it is killed the next one goes on."""
    record(tmp_path / "run", transcript, upto=2)
    code = (
        "import sys, time; from pathlib import Path; from debate.config.load import load_config; "
        "from debate.run_folder.folder import RunFolder; run = Path(sys.argv[1]); "
        "folder = RunFolder(run, load_config(run / 'config.yaml')); print('open', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        assert is_being_written(tmp_path / "run")
        with pytest.raises(
            RunError, match=rf"is being written by another process \(process {holder.pid} on .*debate cancel"
        ):
            RunFolder(tmp_path / "run", CONFIG)
        assert [len(debate.transcript.turns) for debate in read_method(tmp_path / "run" / "m")] == [2]
        holder.kill()
    assert not is_being_written(tmp_path / "run")
    RunFolder(tmp_path / "run", CONFIG).close()


def test_a_folder_of_other_things_is_never_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="is not a run; nothing was written"):
        RunFolder(tmp_path, CONFIG, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="is not a run"):
        RunReader(tmp_path)


def test_a_run_of_an_earlier_version_is_named_and_made_again_only_where_that_is_asked(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "transcript.jsonl").write_text("{}")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="a run of an earlier version, which kept no journal .* or pass --overwrite"):
        RunFolder(tmp_path, CONFIG)
    assert (tmp_path / "m" / "transcript.jsonl").exists()
    with RunFolder(tmp_path, CONFIG, overwrite=True):
        assert (tmp_path / "journal.log").exists()


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*: Not a directory"):
        RunFolder(tmp_path / "file" / "run", CONFIG)


def test_a_full_disk_says_what_to_do_and_keeps_what_is_there(tmp_path, transcript, monkeypatch):
    """The disk takes half a record and no more; when there is room again the run goes on."""
    record(tmp_path / "run", transcript, upto=1)
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        method = folder.method("m")
        method.begin(QUESTION)
        real = os.write

        def full(file, data, budget=[100]):  # noqa: B006 - the budget is what is left on the disk
            if not budget[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            written, budget[0] = real(file, data[: budget[0]]), 0
            return written

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(RunError, match="No space left on device. What was finished before is on disk"):
            method.append_turn(QUESTION, transcript.turns[1], Cost(0.1))
        monkeypatch.setattr(os, "write", real)
        method.append_turn(QUESTION, transcript.turns[1], Cost(0.1))
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == transcript.turns[:2]


def test_the_disk_holds_vectors_once_and_no_times_in_the_transcript(tmp_path, run):
    transcript = run(play(build_debate(CONFIG, Backends(CONFIG)), QUESTION))
    record(tmp_path / "run", transcript)
    lines = [json.loads(line) for line in (tmp_path / "run" / "m" / "transcript.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["turn"] * 4 + ["decision"]
    assert not any(key in line for line in lines for key in ("seconds", "t", "cost", "cached_tokens"))
    files = {path.stem for path in (tmp_path / "run" / "messages").glob("*/*")}
    assert files == {turn.message.digest for turn in transcript.turns}


def test_what_a_killed_writer_left_half_done_is_swept(tmp_path, run):
    transcript = run(play(build_debate(CONFIG, Backends(CONFIG)), QUESTION))
    record(tmp_path / "run", transcript)
    wanted = sorted((tmp_path / "run" / "messages").glob("*/*"))
    (wanted[0].parent / ("f" * 64 + ".safetensors")).write_bytes(b"named by no record")
    (wanted[0].parent / ".half.safetensors.x").write_bytes(b"half")
    RunFolder(tmp_path / "run", CONFIG).close()
    assert sorted((tmp_path / "run" / "messages").glob("*/*")) == wanted
    assert not list((tmp_path / "run" / "messages").glob("*/.*"))


def test_a_message_lost_to_a_power_cut_is_made_again_and_must_be_the_same(tmp_path, run):
    transcript = run(play(build_debate(CONFIG, Backends(CONFIG)), QUESTION))
    record(tmp_path / "run", transcript, upto=2)
    lost = transcript.turns[1]
    file = tmp_path / "run" / "messages" / lost.message.digest[:2] / f"{lost.message.digest}.safetensors"
    file.unlink()
    size = None
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        method = folder.method("m")
        assert method.begin(QUESTION).keys() == {transcript.turns[0].key}
        assert "the turn is taken again" in folder.warnings[0]
        size = journal_of(tmp_path / "run").stat().st_size
        other = type(lost)(**{**vars(lost), "message": transcript.turns[0].message})
        with pytest.raises(RunError, match="taken again it is another message"):
            method.append_turn(QUESTION, other, Cost(0.1))
        method.append_turn(QUESTION, lost, Cost(0.1))
        assert journal_of(tmp_path / "run").stat().st_size == size
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == transcript.turns[:2]


def test_what_is_derived_is_rebuilt_to_the_same_bytes(tmp_path, transcript):
    record(tmp_path / "run", transcript)
    derived = [tmp_path / "run" / name for name in ("results.json", "m/transcript.jsonl", "m/timings.jsonl")]
    before = [file.read_bytes() for file in derived]
    for file in derived:
        file.unlink()
    assert RunReader(tmp_path / "run").rebuild() == derived[0]
    assert [file.read_bytes() for file in derived] == before


def test_results_count_failed_debates_apart():
    state = RunState()
    base = {"method": "m", "t": 1.0}
    for kind, rest in (
        ("method", {"total": 4, "planned_turns": 4}),
        ("decision", {"question": "a", "text": "", "answer": "1", "score": "correct"}),
        ("decision", {"question": "b", "text": "", "answer": None, "score": "no answer"}),
        ("failed", {"question": "c", "text": "", "reason": "the engine died"}),
        ("decision", {"question": "d", "text": "", "answer": None, "score": "failed"}),
    ):
        state.add({"kind": kind, **base, **rest}, 0)
    row = state.results["m"]
    assert (row.asked, row.total, row.correct, row.no_answer, row.failed) == (4, 4, 1, 1, 2)
    assert row.accuracy == 1 / 4


@pytest.mark.parametrize(("policy", "least"), [("always", 4), ("everysec", 1), ("no", 0)])
def test_fsync_policies(tmp_path, transcript, monkeypatch, policy, least):
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    config = CONFIG.model_copy(update={"execution": CONFIG.execution.model_copy(update={"fsync": policy})})
    record(tmp_path / "run", transcript, upto=4, config=config)
    assert len(synced) >= least
    assert (policy == "no") == (not synced)


def test_what_was_read_out_is_kept_and_only_then_written(transcript, tmp_path):
    first, *rest = transcript.turns
    told = replace(first, read_out=(TurnKey(1, "ben"), TurnKey(1, "ada")))
    record(tmp_path / "run", replace(transcript, turns=(told, *rest)))
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == (told, *rest)
    lines = [json.loads(line) for line in (tmp_path / "run" / "m" / "transcript.jsonl").read_text().splitlines()]
    assert lines[0]["read_out"] == [[1, "ben"], [1, "ada"]]
    # Lines of turns without any, and of runs before there was the field, have no such key.
    assert all("read_out" not in line for line in lines[1:])


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"options": {"extra_headers": {"Accept": "anything"}}}, {}),
        ({"options": {"base_url": "https://host/v1?token=12345678"}}, {}),
        ({"model": "https://me:word@host/model"}, {}),
        ({}, {"data": "https://host/data?access_token=12345678"}),
    ],
)
def test_a_key_is_refused_before_the_first_byte_is_written(tmp_path, changes, asked):
    with pytest.raises(ConfigError, match=r"^config(\.|: ).*(a key has no place|give the address without)"):
        RunFolder(tmp_path / "run", CONFIG.model_copy(update=changes), asked=asked)
    assert not (tmp_path / "run").exists()


def test_all_that_a_turn_may_say_is_read_back_and_counted(tmp_path, transcript):
    heard = TurnKey(1, "ben")
    turns = tuple(
        replace(
            turn,
            usage=Usage(20, 5, 3),
            mapped=((heard, 0.75),),
            read_out=(heard,),
            reduced=((heard, Reduced("merge(keep=0.5)", 5, ((0,), (1, 2), (4,)), "a" * 64)),),
            controls=((heard, Control("swapped", "q2")), (heard, Control("silence"))),
            left_out=(heard,),
            summary=Summary((heard,), "so far", Usage(7, 2, 1)),
            log_likelihood=-2.5,
        )
        for turn in transcript.turns
    )
    record(tmp_path / "run", replace(transcript, turns=turns))
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == turns
    row = RunReader(tmp_path / "run").state.methods["m"].result
    assert (row.turns, row.prompt_tokens, row.cached_tokens, row.generated_tokens) == (4, 80, 20, 12)
    assert (row.planned_turns, row.total, row.correct, row.failed, row.no_answer) == (4, 1, 1, 0, 0)
    assert row.message_bytes == sum(turn.message.num_bytes for turn in turns)


def test_the_journal_says_with_which_packages_a_run_was_played(tmp_path, transcript):
    record(tmp_path / "run", transcript)
    (session,) = [
        line
        for line in journal_of(tmp_path / "run").read_text().splitlines()
        if '"kind":"session"' in line.replace(" ", "")
    ]
    said = json.loads(session[session.index("{") :])
    assert said["packages"] == versions(DECISIVE)
    assert said["python"] == platform.python_version()


def test_all_that_runs_write_goes_with_a_run_that_is_overwritten(tmp_path, transcript):
    record(tmp_path / "run", transcript)
    made = [
        "samples.jsonl", "label_tokens.json", "energy.json", "budgets.json", "turns.parquet", "report.html", "plan.json",
        "results.json", "manifest.json", "m/transcript.jsonl", "m/timings.jsonl", "m/effects.json", "m/config.yaml",
    ]  # fmt: skip
    for name in made:
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_text("{}")
    with RunFolder(tmp_path / "run", CONFIG, overwrite=True) as folder:
        assert folder.warnings == []
        assert [name for name in made if (tmp_path / "run" / name).exists()] == []


def test_the_log_has_the_events_of_the_run_with_their_weight(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    for kind in ("session", "method", "turn", "fault", "runner", "failed", "decision"):
        log.record({"kind": kind, "t": 1, "text": "long", "question": "q"})
    log.close()
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {event["event"]: event["level"] for event in events} == {
        "session": "info", "method": "info", "fault": "warning", "runner": "warning", "failed": "error",
    }  # fmt: skip
    assert all(event["question"] == "q" and "text" not in event for event in events)
    assert {datetime.fromisoformat(event["timestamp"]).utcoffset() for event in events} == {timedelta(0)}


def test_a_writer_keeps_of_a_debate_that_is_over_only_that_it_is(tmp_path, transcript):
    """What a long evaluation takes in memory does not grow with the debates behind it."""
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        method = folder.method("m")
        method.open(1, len(transcript.turns))
        method.begin(QUESTION)
        state = folder.state.methods["m"]
        for turn in transcript.turns:
            method.append_turn(QUESTION, turn, Cost(0.1, "mock", 1))
        assert (list(state.debates), state.is_over("q1")) == (["q1"], False)
        method.append_decision(QUESTION, Decision("7", "because", {}), {"score": "correct"})
        assert (list(state.debates), state.is_over("q1")) == ([], True)


def test_a_run_that_has_only_begun_has_one_writer_too_wherever_it_is(tmp_path):
    lock = hold(tmp_path / "folder" / "of" / "runs")
    try:
        with pytest.raises(RunError, match=r"is being written by another process \(it has only begun\)"):
            hold(tmp_path / "folder" / "of" / "runs")
    finally:
        lock.release()


def test_a_run_that_ended_before_it_began_has_no_table(tmp_path, transcript):
    record(tmp_path / "run", transcript)
    (tmp_path / "run" / "run.json").unlink()
    header, _, _ = journal_of(tmp_path / "run").read_bytes().partition(b"\n")
    journal_of(tmp_path / "run").write_bytes(header + b"\n")
    with pytest.raises(RunError, match="the run ended before it began: its journal has no config"):
        RunReader(tmp_path / "run").state.table()
