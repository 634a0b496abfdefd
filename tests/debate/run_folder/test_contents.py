"""Run folders from strangers: nothing outside one is ever touched, and in it only what runs put there."""

import os
import resource
import shutil
import socket

import pytest

from agents.errors import MessageError, RunError
from agents.message_file import write_message
from agents.question import Question
from debate.build import build_debate
from debate.config.load import validate
from debate.decision.decision import Decision
from debate.orchestrator import play
from debate.run_folder.cancel import cancel
from debate.run_folder.facts import read_facts
from debate.run_folder.folder import RunFolder
from debate.run_folder.journal import JournalReader
from debate.run_folder.manifest import read_manifest
from debate.run_folder.message_store import MessageStore
from debate.run_folder.reader import RunReader
from debate.run_folder.status import status_of
from debate.run_folder.turn_record import Cost
from debate.run_folder.verify import verify_run
from debate.runtime.backends import Backends

CONFIG = validate({"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "rounds": 2}, source="x")
QUESTION = Question("q1", "What is the result of 1+2*3+4-5*6?")


@pytest.fixture
def recorded(tmp_path, run):
    """Return the folder of a run that ended after half of its debate, and the debate's transcript."""
    transcript = run(play(build_debate(CONFIG, Backends(CONFIG)), QUESTION))
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        method = folder.method("m")
        method.open(1, len(transcript.turns))
        method.begin(QUESTION)
        for turn in transcript.turns[:2]:
            method.append_turn(QUESTION, turn, Cost(0.1, "mock", 1))
        folder.finish({})
    return tmp_path / "run", transcript


@pytest.fixture
def outside(tmp_path):
    """Return a folder beside the run, with files that are called as a run's are."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("thesis.tex", "f" * 64 + ".safetensors", "journal.log", "transcript.jsonl", "log.jsonl", "lock"):
        (folder / name).write_text("years of work")
    return folder


def listing(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


LINKS = {
    "messages": "", "messages/ff": "", "m": "", "lm_eval": "", "notes": "",
    "journal.log": "journal.log", "log.jsonl": "log.jsonl", "lock": "lock", "config.yaml": "thesis.tex",
    "run.json": "thesis.tex", ".run.json.part": "thesis.tex", "results.json": "not there yet", "cancel": "not there yet",
}  # fmt: skip


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", LINKS)
def test_a_link_in_a_run_folder_is_refused_and_what_lies_behind_it_is_untouched(recorded, outside, name, overwrite):
    path, _ = recorded
    link = path / name
    if link.exists():
        shutil.rmtree(link) if link.is_dir() else link.unlink()
    link.symlink_to(outside / LINKS[name] if LINKS[name] else outside)
    before, inside = listing(outside), sorted(os.listdir(path))
    ways = [lambda: RunFolder(path, CONFIG, overwrite=overwrite), lambda: RunReader(path), lambda: status_of(path)]
    for way in [*ways, lambda: cancel(path, 0.0)]:
        with pytest.raises(RunError, match="is a link, and a run folder holds none"):
            way()
    assert listing(outside) == before
    assert sorted(os.listdir(path)) == inside


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["log.jsonl", "lock", "run.json", "config.yaml", "energy.json", "cancel", "messages/ff/x", "notes"]
)
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_neither_a_file_nor_a_folder_is_refused_and_not_waited_for(
    recorded, kind, name, overwrite, monkeypatch
):
    path, _ = recorded
    strange = path / name
    strange.parent.mkdir(exist_ok=True)
    strange.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(strange)
    else:
        # The path of a socket is short.
        monkeypatch.chdir(strange.parent)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(strange.name)
    inside = sorted(os.listdir(path))
    ways = [lambda: RunFolder(path, CONFIG, overwrite=overwrite), lambda: RunReader(path), lambda: status_of(path)]
    for way in [*ways, lambda: cancel(path, 0.0), lambda: verify_run(path)]:
        with pytest.raises(
            RunError, match="is a pipe, a socket or a device, and a run folder holds files and folders alone"
        ):
            way()
    assert sorted(os.listdir(path)) == inside


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["journal.log", "log.jsonl", "lock"])
def test_a_file_that_is_another_elsewhere_as_well_is_not_added_to(recorded, outside, name, overwrite):
    path, _ = recorded
    theirs = outside / "theirs"
    theirs.write_bytes((path / name).read_bytes() if (path / name).exists() else b"")
    # Whatever else is missing.
    for missing in ("lock", name):
        (path / missing).unlink(missing_ok=True)
    os.link(theirs, path / name)
    before = listing(outside)
    with pytest.raises(RunError, match=rf"{name} is the same file as another elsewhere \(a hard link\)"):
        RunFolder(path, CONFIG, overwrite=overwrite)
    assert listing(outside) == before
    # Reading changes nothing there.
    assert RunReader(path).methods == ["m"]


def test_files_that_are_written_whole_leave_another_of_theirs_alone(recorded, outside):
    path, transcript = recorded
    for name in ("config.yaml", "run.json"):
        os.link(path / name, outside / name)
    before = listing(outside)
    with RunFolder(path, CONFIG) as folder:
        method = folder.method("m")
        method.open(1, len(transcript.turns))
        folder.finish({})
    assert listing(outside) == before


def test_the_run_folder_itself_may_be_reached_by_a_link(recorded, tmp_path):
    path, _ = recorded
    (tmp_path / "linked").symlink_to(path)
    RunFolder(tmp_path / "linked", CONFIG).close()
    assert RunReader(tmp_path / "linked").methods == ["m"]


def test_files_that_are_called_otherwise_are_not_swept(recorded):
    path, _ = recorded
    strangers = ("messages/notes/thesis.tex", "messages/ff/thesis.tex", "messages/thesis.tex", "messages/ff/deeper/x")
    for name in strangers:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("years of work")
    orphans = [
        path / "messages" / "ff" / f"{'f' * 64}.safetensors",
        path / "messages" / "ff" / f".{'f' * 64}.safetensors.part",
    ]
    for orphan in orphans:
        orphan.write_text("named by no record")
    RunFolder(path, CONFIG).close()
    assert all((path / name).read_text() == "years of work" for name in strangers)
    assert not any(orphan.exists() for orphan in orphans)


def test_overwriting_removes_what_a_run_wrote_and_nothing_else(recorded):
    path, _ = recorded
    strangers = (
        "thesis.tex",
        "notes/transcript.tex",
        "m/thesis.tex",
        "messages/notes/thesis.tex",
        "lm_eval/m/x/thesis.tex",
    )
    for name in strangers:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("years of work")
    with RunFolder(path, CONFIG, overwrite=True) as folder:
        assert not folder.is_resumed
        assert folder.warnings == [
            f"{path}: left in place, since no run made it: lm_eval, m, messages, notes, thesis.tex"
        ]
    assert all((path / name).read_text() == "years of work" for name in strangers)
    assert {file.name for file in path.rglob("*") if file.is_file() and file.name != "thesis.tex"} == {
        "journal.log", "lock", "log.jsonl", "config.yaml", "run.json", "transcript.tex",
    }  # fmt: skip


def test_overwriting_leaves_nothing_of_a_run_behind(recorded):
    path, _ = recorded
    with RunFolder(path, CONFIG, overwrite=True) as folder:
        assert folder.warnings == []
    assert sorted(os.listdir(path)) == ["config.yaml", "journal.log", "lock", "log.jsonl", "run.json"]


def test_overwriting_removes_lm_evals_files_with_the_run(recorded):
    path, _ = recorded
    folder = path / "lm_eval" / "m" / "x"
    folder.mkdir(parents=True)
    for name in ("results_2026-01-01T00-00-00.json", "samples_gsm8k_2026-01-01T00-00-00.jsonl"):
        (folder / name).write_text("{}")
    with RunFolder(path, CONFIG, overwrite=True) as run:
        assert run.warnings == []
    assert not (path / "lm_eval").exists()


def test_a_method_of_a_journal_is_the_name_of_a_folder(recorded, tmp_path):
    path, _ = recorded
    with RunFolder(path, CONFIG) as folder:
        folder.append({"kind": "method", "method": "../outside", "total": 1, "planned_turns": 1})
    with pytest.raises(RunError, match=r"its journal has a method '\.\./outside', which is no name of a folder"):
        RunReader(path)
    assert not (tmp_path / "outside").exists()


def test_a_message_under_another_message_s_name_is_refused_and_made_again(recorded):
    path, transcript = recorded
    first, second = (turn.message for turn in transcript.turns[:2])
    store = MessageStore(path / "messages")
    write_message(second, store.file(first.digest))
    with pytest.raises(MessageError, match="it holds another message"):
        store.get(first.digest)
    with pytest.raises(MessageError, match="it holds another message"):
        list(RunReader(path).debates("m"))
    with RunFolder(path, CONFIG) as folder:
        method = folder.method("m")
        assert method.begin(QUESTION).keys() == {transcript.turns[1].key}
        assert "it holds another message" in folder.warnings[0]
        for turn in (transcript.turns[0], *transcript.turns[2:]):
            method.append_turn(QUESTION, turn, Cost(0.1))
        method.append_decision(QUESTION, Decision("7", "because", {}), {"score": "correct"})
    assert MessageStore(path / "messages").get(first.digest) == first
    (found,) = RunReader(path).debates("m")
    assert found.transcript == transcript


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "f" * 63, "F" * 64, "ff/" + "f" * 61, "f" * 64 + "\n"])
def test_what_is_no_digest_names_no_file(tmp_path, digest):
    with pytest.raises(MessageError, match="no message is called"):
        MessageStore(tmp_path / "messages").get(digest)


def test_a_message_in_another_folder_than_its_own_is_written_again(recorded, tmp_path):
    _, transcript = recorded
    message = transcript.turns[0].message
    store = MessageStore(tmp_path / "messages")
    store.put(message)
    file = store.file(message.digest)
    (tmp_path / "messages" / "zz").mkdir()
    file.rename(tmp_path / "messages" / "zz" / file.name)
    again = MessageStore(tmp_path / "messages")
    again.put(message)
    assert again.get(message.digest) == message


def test_a_message_behind_a_link_is_not_read(recorded, tmp_path):
    path, transcript = recorded
    digest = transcript.turns[0].message.digest
    store = MessageStore(path / "messages")
    store.file(digest).rename(tmp_path / "moved")
    store.file(digest).symlink_to(tmp_path / "moved")
    with pytest.raises(MessageError, match="cannot read the message"):
        store.get(digest)


def test_a_journal_behind_a_link_is_not_read(recorded, tmp_path):
    path, _ = recorded
    (path / "journal.log").rename(tmp_path / "moved")
    (path / "journal.log").symlink_to(tmp_path / "moved")
    with pytest.raises(RunError, match="cannot read"):
        list(JournalReader(path / "journal.log"))


READERS = {
    "journal.log": RunReader,
    "run.json": lambda run: read_facts(run / "run.json"),
    "results.json": lambda run: read_facts(run / "results.json"),
    "manifest.json": read_manifest,
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_all_holes_is_not_read_into_memory(recorded, name):
    """It takes no place on the disk, and little in an archive, whatever size it says it has."""
    path, _ = recorded
    (path / name).touch()
    os.truncate(path / name, 1 << 40)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunError, match=r"1,099,511,627,776 bytes|damaged at byte .* bytes without an end of a line"):
        READERS[name](path)
    # In KiB; a record may have 64 MiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
