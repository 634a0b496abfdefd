"""A run on disk: written as it happens, read back equal, and what happens when the disk does not play along."""

import errno
import json
from dataclasses import replace

import pytest

from agents.backends.mock import MockBackend
from agents.errors import RunError
from debate.config import load_config, validate
from debate.decision import Decision
from debate.orchestrator import play
from debate.protocol import TurnKey
from debate.run_folder import RunFolder, methods_in, read_method
from debate.setup import Backends, build_debate
from debate.transcript import Question

CONFIG = validate({"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "rounds": 2}, source="x")
QUESTION = Question("q1", "What is the result of 1+2*3+4-5*6?")


@pytest.fixture(params=["cipher", "text"])
def transcript(request, run):
    config = CONFIG.model_copy(update={"message": request.param})
    return run(play(build_debate(config, Backends(config)), QUESTION))


def record(folder, transcript, upto=None):
    with folder.method("m") as writer:
        for turn in transcript.turns[:upto]:
            writer.append_turn(QUESTION, turn, 0.1)
        if upto is None:
            writer.append_decision(QUESTION, Decision("7", "because", {"ada": "7", "ben": None}), {"score": "correct"})


def test_a_transcript_reads_back_equal(tmp_path, transcript):
    record(RunFolder(tmp_path / "run", CONFIG), transcript)
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript == transcript
    assert found.decision["answer"] == "7"
    assert [path.name for path in methods_in(tmp_path / "run")] == ["m"]
    assert load_config(tmp_path / "run" / "config.yaml") == CONFIG


def test_what_was_finished_is_readable_after_a_crash(tmp_path, transcript):
    record(RunFolder(tmp_path / "run", CONFIG), transcript, upto=3)
    file = tmp_path / "run" / "m" / "transcript.jsonl"
    file.write_text(file.read_text() + '{"kind": "turn", "question": "q1", "ag')
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == transcript.turns[:3]
    assert found.decision is None


def test_a_damaged_line_in_the_middle_is_named(tmp_path, transcript):
    record(RunFolder(tmp_path / "run", CONFIG), transcript)
    file = tmp_path / "run" / "m" / "transcript.jsonl"
    lines = file.read_text().split("\n")
    lines[1] = lines[1][:20]
    file.write_text("\n".join(lines))
    with pytest.raises(RunError, match=r"transcript\.jsonl:2: a damaged line"):
        list(read_method(tmp_path / "run" / "m"))


def test_an_existing_run_is_not_overwritten_unasked(tmp_path, transcript):
    record(RunFolder(tmp_path / "run", CONFIG), transcript)
    before = (tmp_path / "run" / "m" / "transcript.jsonl").read_bytes()
    with pytest.raises(RunError, match="holds a run already.*--overwrite"):
        RunFolder(tmp_path / "run", CONFIG)
    assert (tmp_path / "run" / "m" / "transcript.jsonl").read_bytes() == before
    RunFolder(tmp_path / "run", CONFIG, overwrite=True)
    assert not (tmp_path / "run" / "m").exists()


def test_a_folder_of_other_things_is_never_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="is not a run; nothing was written"):
        RunFolder(tmp_path, CONFIG, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="is not a run"):
        methods_in(tmp_path)


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*: Not a directory"):
        RunFolder(tmp_path / "file" / "run", CONFIG)


def test_a_full_disk_says_what_to_do_and_keeps_what_is_there(tmp_path, transcript, monkeypatch):
    folder = RunFolder(tmp_path / "run", CONFIG)
    with folder.method("m") as writer:
        writer.append_turn(QUESTION, transcript.turns[0], 0.1)
        real = writer._transcript

        class Full:
            name = real.name

            def write(self, text):
                raise OSError(errno.ENOSPC, "No space left on device")

            def close(self):
                real.close()

        writer._transcript = Full()
        with pytest.raises(RunError, match="No space left on device. What was finished before is on disk"):
            writer.append_turn(QUESTION, transcript.turns[1], 0.1)
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == transcript.turns[:1]


def test_the_disk_holds_vectors_once_and_no_times_in_the_transcript(tmp_path, run):
    debate = build_debate(CONFIG, Backends(CONFIG))
    transcript = run(play(debate, QUESTION))
    record(RunFolder(tmp_path / "run", CONFIG), transcript)
    lines = [json.loads(line) for line in (tmp_path / "run" / "m" / "transcript.jsonl").read_text().splitlines()]
    assert not any("seconds" in line for line in lines)
    files = {path.stem for path in (tmp_path / "run" / "m" / "messages").iterdir()}
    assert files == {turn.message.digest for turn in transcript.turns}
    assert isinstance(debate.agents["ada"].backend, MockBackend)


def test_what_was_read_out_is_kept_and_only_then_written(transcript, tmp_path):
    first, *rest = transcript.turns
    told = replace(first, read_out=(TurnKey(1, "ben"), TurnKey(1, "ada")))
    folder = RunFolder(tmp_path / "run", CONFIG)
    with folder.method("m") as writer:
        for turn in (told, *rest):
            writer.append_turn(QUESTION, turn, 0.0)
    (record,) = read_method(tmp_path / "run" / "m")
    assert record.transcript.turns == (told, *rest)
    lines = [json.loads(line) for line in (tmp_path / "run" / "m" / "transcript.jsonl").read_text().splitlines()]
    assert lines[0]["read_out"] == [[1, "ben"], [1, "ada"]]
    # Lines of turns without any, and of runs before there was the field, have no such key.
    assert all("read_out" not in line for line in lines[1:])
