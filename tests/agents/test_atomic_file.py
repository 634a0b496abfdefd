"""Files and folders that are complete or not there."""

import os
from pathlib import Path

import pytest

from agents.atomic_file import open_atomic, replacing, write_atomic, write_json
from agents.errors import RunError


def test_a_file_is_written_with_the_folders_above_it_and_nothing_beside(tmp_path):
    assert write_atomic(tmp_path / "deep" / "text", "é\n") == tmp_path / "deep" / "text"
    write_atomic(tmp_path / "deep" / "bytes", b"\xff\n")
    write_json(tmp_path / "deep" / "json", {"a": [1]})
    assert {file.name: file.read_bytes() for file in (tmp_path / "deep").iterdir()} == {
        "text": "é\n".encode(),
        "bytes": b"\xff\n",
        "json": b'{\n "a": [\n  1\n ]\n}\n',
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_block_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path, error):
    write_atomic(tmp_path / "file", "before")

    def stopped_halfway():
        with open_atomic(tmp_path / "file") as file:
            file.write("half")
            raise error

    with pytest.raises(error):
        stopped_halfway()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "before")]


def test_a_folder_takes_its_place_whole_without_what_a_killed_process_left(tmp_path):
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "old").write_text("of another try")
    with replacing(tmp_path / "model") as aside:
        aside.mkdir()
        (aside / "weights").write_text("new")
        assert not (tmp_path / "model").exists()
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == [Path("model"), Path("model/weights")]


def test_a_folder_where_a_file_is_written_first_is_not_emptied(tmp_path):
    (tmp_path / ".file.part").mkdir()
    (tmp_path / ".file.part" / "thesis").write_text("years of work")
    with pytest.raises(RunError, match=r"\.file\.part is a folder, where a file is written before it becomes file"):
        write_atomic(tmp_path / "file", "text")
    assert (tmp_path / ".file.part" / "thesis").read_text() == "years of work"


def test_what_the_disk_does_not_take_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*name: File exists. What was finished"):
        write_atomic(tmp_path / "file" / "name", "text")


@pytest.mark.parametrize("durable", [True, False])
def test_durable_waits_for_the_content_before_the_rename_and_for_the_name_after(tmp_path, monkeypatch, durable):
    real, seen = os.fsync, []

    def watched(file):
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        real(file)

    monkeypatch.setattr(os, "fsync", watched)
    write_atomic(tmp_path / "file", "text", durable=durable)
    assert seen == ([[".file.part"], ["file"]] if durable else [])
