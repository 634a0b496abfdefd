"""`debate report`: what is derived from a run is made again."""

import sys
from pathlib import Path

import pytest

from debate.cli import main
from debate.config.load import load_config
from debate.config.shipped import find_config
from debate.run_folder.journal import JournalReader
from evals.evaluation import evaluate

METHODS = ("single", "self-consistency(k=3)", "text", "cipher")


def test_a_journal_is_read_once_however_many_methods(tmp_path, run, monkeypatch):
    run(evaluate(load_config(find_config(Path("smoke"))), out=tmp_path / "run", methods=METHODS, limit=2))
    before = (tmp_path / "run" / "results.json").read_bytes()
    real, reads = JournalReader.__iter__, []

    def counted(reader):
        reads.append(reader.path)
        return real(reader)

    monkeypatch.setattr(JournalReader, "__iter__", counted)
    monkeypatch.setattr(sys, "argv", ["debate", "report", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert reads == [tmp_path / "run" / "journal.log"]
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    assert "accuracy" in (tmp_path / "run" / "report.html").read_text()
