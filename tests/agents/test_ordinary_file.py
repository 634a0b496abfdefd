"""What a stranger's file names is read if it is an ordinary file of a bounded size; nothing else is waited for or read."""

import os
from pathlib import Path

import pytest

from agents.errors import MessageError, PromptError, TaskError
from agents.message_file import read_message
from agents.ordinary_file import read_ordinary, read_ordinary_text
from agents.prompts import Prompts
from evals.datasets.observed import observations
from evals.datasets.rows import read_rows


def test_a_file_is_read_as_it_is_and_a_text_with_one_kind_of_newline(tmp_path):
    (tmp_path / "file").write_bytes("grün\r\nblau\rrot\n".encode())
    assert read_ordinary(tmp_path / "file", most=20) == "grün\r\nblau\rrot\n".encode()
    assert read_ordinary_text(tmp_path / "file", most=20) == "grün\nblau\nrot\n"
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_ordinary(tmp_path / "link", most=20)
    with pytest.raises(OSError, match="symbolic links"):
        read_ordinary(tmp_path / "link", most=20, follow=False)
    with pytest.raises(OSError, match="it has 16 bytes, and 15 are allowed"):
        read_ordinary(tmp_path / "file", most=15)
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_ordinary_text(tmp_path / "file", most=20)


@pytest.fixture(params=["pipe", "device", "folder"])
def strange(request, tmp_path):
    """Return the path of something that is no ordinary file."""
    path = tmp_path / "strange.jsonl"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path


def test_no_reader_waits_for_what_is_no_ordinary_file(strange, tmp_path):
    with pytest.raises(OSError, match="it is no ordinary file"):
        read_ordinary(strange, most=10)
    with pytest.raises(MessageError, match="cannot read the message .*strange.jsonl: it is no ordinary file"):
        read_message(strange)
    with pytest.raises(TaskError, match="cannot read .*strange.jsonl: it is no ordinary file"):
        list(read_rows(strange))
    (tmp_path / "rows.jsonl").write_text('{"audio": "strange.jsonl", "answer": "low"}\n')
    (row,) = read_rows(tmp_path / "rows.jsonl")
    # A link to a device leads out of the table's folder, and is not even asked what it is.
    with pytest.raises(TaskError, match=r"rows\.jsonl:1: .*strange.jsonl(: it is no ordinary file| lies outside)"):
        observations(row, tmp_path)
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for name in ("system", "initial", "debate"):
        (prompts / f"{name}.jinja").write_text("{{ question }}" if name == "initial" else "Be brief.")
    (prompts / "initial.jinja").unlink()
    strange.rename(prompts / "initial.jinja")
    with pytest.raises(PromptError, match="cannot read the prompt .*initial.jinja: it is no ordinary file"):
        Prompts(prompts).initial("?")


def test_a_device_without_an_end_is_never_read_to_it():
    with pytest.raises(OSError, match="it is no ordinary file"):
        read_ordinary(Path("/dev/urandom"), most=1 << 40)
