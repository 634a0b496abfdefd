"""What an error says, in one line."""

import re
from pathlib import Path

import pytest

import agents
from agents.beliefs import curves
from agents.errors import ModelError, first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no such key\nin this table"), "no such key"),
        (ValueError("\n  no such key"), "no such key"),
        (EOFError(), "EOFError"),
        (RuntimeError(" \n"), "RuntimeError"),
    ],
)
def test_an_error_is_told_in_its_first_line_or_by_its_name(error, line):
    assert first_line(error) == line


def test_an_error_without_words_may_have_others():
    assert first_line(EOFError(), silent="it is empty") == "it is empty"
    assert first_line(EOFError("cut off"), silent="it is empty") == "cut off"


def test_no_file_writes_it_by_hand():
    root = Path(agents.__file__).parents[1]
    by_hand = re.compile(r"str\((?:error|e|exc)\)(?:\.strip\(\))?\.split(?:lines\(\)|\(\"\\n\"\))")
    files = [path for room in ("agents", "debate", "evals", "kernels") for path in (root / room).rglob("*.py")]
    found = [str(path.relative_to(root)) for path in files if by_hand.search(path.read_text(encoding="utf-8"))]
    assert found == ["agents/errors.py"]


def test_a_library_that_fails_without_a_word_is_told_of(monkeypatch, tmp_path):
    def parse(_):
        raise ValueError

    monkeypatch.setattr(curves, "parse_json", parse)
    (tmp_path / "c.json").touch()
    with pytest.raises(ModelError, match="no curves in .*: ValueError$"):
        curves.read_curves(tmp_path / "c.json")
