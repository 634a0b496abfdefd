"""The journal as a sequence: every byte is checked; what is missing, doubled, exchanged or cut off is told with its place."""

import errno
import json
import os
import re
import zlib
from importlib.metadata import version

import pytest

from agents.errors import RunError
from agents.question import Question
from debate.config.load import validate
from debate.decision.decision import Decision
from debate.run_folder.folder import RunFolder
from debate.run_folder.journal import Journal, JournalReader
from debate.run_folder.reader import RunReader
from debate.run_folder.status import status_of

CONFIG = validate({"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "rounds": 2}, source="x")
QUESTIONS = [Question(f"q{number}", f"What is {number}+1?") for number in range(6)]


def decide(path, questions=QUESTIONS, config=CONFIG):
    """Write a run in which every question is decided at once, and end it in order."""
    with RunFolder(path, config) as folder:
        method = folder.method("m")
        method.open(len(QUESTIONS), 4)
        for question in (asked for asked in questions if not method.is_over(asked)):
            method.begin(question)
            method.append_decision(question, Decision("7", "because", {"ada": "7"}), {"score": "correct"})
        folder.finish({})
    return path / "journal.log"


@pytest.fixture
def journal(tmp_path):
    return decide(tmp_path / "run")


def lines(journal):
    return journal.read_bytes().splitlines(keepends=True)


def refused(journal, sentence, offset):
    """Every way into the run says the sentence with the offset, and nothing is changed."""
    before = journal.read_bytes()
    for way in (
        lambda: RunFolder(journal.parent, CONFIG),
        lambda: RunReader(journal.parent),
        lambda: status_of(journal.parent),
    ):
        with pytest.raises(
            RunError, match=rf"journal\.log is damaged at byte {offset}: .*{sentence}.*Nothing was changed"
        ):
            way()
    assert journal.read_bytes() == before


def test_each_record_says_its_place_and_a_checksum_of_all_before_it(journal):
    records = [json.loads(line[9:]) for line in lines(journal)]
    assert records[0]["format"] == 2
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert len({record["chain"] for record in records}) == len(records)
    assert all(line[:9] == b"%08x " % zlib.crc32(line[9:-1]) for line in lines(journal))
    assert not any("seq" in entry.record or "chain" in entry.record for entry in JournalReader(journal))


def places(journal):
    """Return the bytes that hold a journal together, around each newline, and every thirteenth of the others."""
    ends = [sum(map(len, lines(journal)[:number])) for number in range(len(lines(journal)) + 1)]
    near = {place for end in ends for place in range(end - 3, end + 10)}
    return sorted(place for place in near | {*range(0, ends[-1], 13)} if 0 <= place < ends[-1])


def test_every_flipped_bit_is_noticed(journal):
    """Of a run that ended in order: not one bit of its journal can change unseen."""
    whole = journal.read_bytes()
    for place in places(journal):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 8)
        journal.write_bytes(flipped)
        with pytest.raises(RunError):
            RunReader(journal.parent)


def test_a_deleted_a_doubled_and_a_swapped_record_are_noticed(journal):
    found = lines(journal)
    starts = [sum(map(len, found[:number])) for number in range(len(found) + 1)]
    for number in range(1, len(found) - 1):
        journal.write_bytes(b"".join(found[:number] + found[number + 1 :]))
        refused(journal, f"record {number} is expected there, and it says that it is {number + 1}", starts[number])
        journal.write_bytes(b"".join(found[: number + 1] + found[number:]))
        refused(journal, f"record {number + 1} is expected there, and it says that it is {number}", starts[number + 1])
        journal.write_bytes(b"".join([*found[:number], found[number + 1], found[number], *found[number + 2 :]]))
        refused(journal, f"record {number} is expected there", starts[number])


def test_a_record_of_another_run_in_its_place_is_noticed(journal, tmp_path):
    other = lines(decide(tmp_path / "other"))
    found = lines(journal)
    journal.write_bytes(b"".join([*found[:5], other[5], *found[6:]]))
    refused(journal, "what is before record 5 is not what was before it when it was written", sum(map(len, found[:5])))


def test_an_empty_journal_is_noticed(journal):
    journal.write_bytes(b"")
    refused(journal, "the file is empty", 0)


def test_a_cut_at_the_border_of_two_records_is_noticed_after_an_end_in_order(journal):
    found = lines(journal)
    for kept in range(1, len(found)):
        journal.write_bytes(b"".join(found[:kept]))
        refused(
            journal,
            f"ends there with {kept} records, and run.json says that there were {len(found)}",
            sum(map(len, found[:kept])),
        )


def test_a_cut_is_noticed_in_the_next_session_too_also_if_that_is_killed(tmp_path):
    path = decide(tmp_path / "run", QUESTIONS[:3])
    first = len(lines(path))
    # A killed session: it never says how it ended.
    folder = RunFolder(path.parent, CONFIG)
    folder.close()
    assert json.loads((path.parent / "run.json").read_text())["journal"]["records"] == first
    RunReader(path.parent)
    path.write_bytes(b"".join(lines(path)[: first - 1]))
    refused(path, f"ends there with {first - 1} records", path.stat().st_size)


def test_a_whole_other_journal_in_its_place_is_noticed(journal, tmp_path):
    other = decide(tmp_path / "other")
    journal.write_bytes(other.read_bytes())
    refused(journal, "are not those of which run.json says the checksum", other.stat().st_size)


def test_what_was_killed_has_no_end_and_its_cuts_are_crashes(journal):
    (journal.parent / "run.json").unlink()
    found = lines(journal)
    journal.write_bytes(b"".join(found[:-1]) + found[-1][:-1])
    with RunFolder(journal.parent, CONFIG) as folder:
        assert f"a torn record of {len(found[-1]) - 1} bytes was cut off" in folder.warnings[0]
        assert folder.state.results["m"].total == len(QUESTIONS) - 1


def test_one_zero_byte_never_drops_two_records(journal):
    """Wherever it stands: it is refused, or what is passed over is the last record alone."""
    (journal.parent / "run.json").unlink()
    whole, records = journal.read_bytes(), len(lines(journal))
    for place in places(journal):
        journal.write_bytes(whole[:place] + b"\0" + whole[place + 1 :])
        reader = JournalReader(journal)
        try:
            kept = len(list(reader))
        except RunError:
            continue
        assert kept == records - 1
        assert reader.torn.offset == len(whole) - len(lines(journal)[-1])


def test_the_next_session_goes_on_with_the_chain(tmp_path):
    path = decide(tmp_path / "run", QUESTIONS[:3])
    decide(tmp_path / "run")
    records = [json.loads(line[9:]) for line in lines(path)]
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert sum(record["kind"] == "session" for record in records) == 2
    assert RunReader(path.parent).state.results["m"].total == len(QUESTIONS)


def as_format_1(path):
    """Rewrite a journal as versions before links wrote it."""
    written = []
    for line in lines(path):
        record = json.loads(line[9:])
        del record["seq"], record["chain"]
        if record["kind"] == "journal":
            record["format"] = 1
        body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
        written.append(b"%08x %s\n" % (zlib.crc32(body), body))
    path.write_bytes(b"".join(written))
    (path.parent / "run.json").unlink()


def test_format_1_is_read_and_continued_as_format_1(tmp_path):
    path = decide(tmp_path / "run", QUESTIONS[:3])
    as_format_1(path)
    before = path.read_bytes()
    assert RunReader(path.parent).state.results["m"].total == 3
    decide(tmp_path / "run")
    assert path.read_bytes().startswith(before)
    assert b'"seq"' not in path.read_bytes()
    assert "journal" not in json.loads((path.parent / "run.json").read_text())
    assert RunReader(path.parent).state.results["m"].total == len(QUESTIONS)


def test_linked_records_below_a_head_of_format_1_are_refused(journal):
    head, *rest = lines(journal)
    body = head[9:-1].replace(b'"format":2', b'"format":1')
    journal.write_bytes(b"%08x %s\n" % (zlib.crc32(body), body) + b"".join(rest[:3] + rest[4:]))
    refused(journal, "its records are linked, and the first says that it is of format 1", 0)


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "turn", "method": "m", "t": 1.0},
        {"kind": "question", "method": "m", "t": "soon", "question": "q", "text": "x"},
        {"kind": "fault", "method": "m", "t": 1.0, "question": "never begun", "error": "x", "alone": True},
        {"kind": "models", "models": {"x": {"nothing": 1}}},
        {"kind": "models", "models": []},
        {"kind": "decision", "method": "m", "t": 1.0, "question": [], "text": "", "answer": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_sound_record_that_no_run_writes_is_refused_with_its_offset(journal, record):
    opened = Journal(journal)
    list(opened.replay())
    offset = opened.append(record)
    opened.close()
    with pytest.raises(RunError, match=rf"the journal's record at byte {offset} is none that a run writes"):
        RunReader(journal.parent)


@pytest.mark.parametrize("body", [b"nonsense", b"[1]", b'{"no":"kind"}', b'{"kind":5}', b"[" * 100_000, b""])
def test_a_line_with_a_checksum_that_holds_no_record_is_refused(journal, body):
    end = journal.stat().st_size
    journal.write_bytes(journal.read_bytes() + b"%08x %s\n" % (zlib.crc32(body), body))
    refused(journal, "does not match", end)


@pytest.mark.parametrize("number", ["2", None, True, 2.0])
def test_a_format_is_a_whole_number(tmp_path, number):
    body = json.dumps({"kind": "journal", "format": number, "package": version("cipher-debate")}).encode()
    (tmp_path / "journal.log").write_bytes(b"%08x %s\n" % (zlib.crc32(body), body))
    with pytest.raises(RunError, match="is not a journal"):
        list(JournalReader(tmp_path / "journal.log"))


def test_without_fsync_nothing_is_said_of_the_end(tmp_path):
    unsynced = CONFIG.model_copy(update={"execution": CONFIG.execution.model_copy(update={"fsync": "no"})})
    decide(tmp_path / "run", config=unsynced)
    assert "journal" not in json.loads((tmp_path / "run" / "run.json").read_text())


def test_overwriting_and_another_config_begin_a_new_chain(tmp_path):
    path = decide(tmp_path / "run", [])
    other = CONFIG.model_copy(update={"rounds": 3})
    RunFolder(path.parent, other).close()
    assert re.search(rb'"rounds":3', path.read_bytes())
    RunFolder(path.parent, other).close()
    with RunFolder(path.parent, CONFIG, overwrite=True) as folder:
        folder.finish({})
    assert len(lines(path)) == 3
    RunFolder(path.parent, CONFIG).close()


def test_a_journal_that_cannot_be_looked_at_is_not_written(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal.log")
    list(journal.replay())

    def failing(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", failing)
        with pytest.raises(RunError, match="Permission denied"):
            journal.append({"kind": "session"})
    journal.append({"kind": "session"})
    journal.close()
    assert [entry.record["kind"] for entry in JournalReader(tmp_path / "journal.log")] == ["journal", "session"]
