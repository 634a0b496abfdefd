"""`debate report`: what is derived from a run is made again."""

import socket
import sys
from pathlib import Path

import pytest

from debate.cli import main
from debate.config.load import load_config
from debate.config.shipped import find_config
from debate.run_folder.journal import JournalReader
from evals.evaluation import evaluate

METHODS = ("single", "self-consistency(k=3)", "text", "cipher")


def test_a_journal_is_read_twice_however_many_methods(tmp_path, run, monkeypatch):
    run(evaluate(load_config(find_config(Path("smoke"))), out=tmp_path / "run", methods=METHODS, limit=2))
    before = (tmp_path / "run" / "results.json").read_bytes()
    reads = []
    for way in ("__iter__", "more"):
        real = getattr(JournalReader, way)

        def counted(reader, real=real):
            reads.append(reader.path)
            return real(reader)

        monkeypatch.setattr(JournalReader, way, counted)
    monkeypatch.setattr(sys, "argv", ["debate", "report", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    # For the table, and for the page.
    assert reads == [tmp_path / "run" / "journal.log"] * 2
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    assert "accuracy" in (tmp_path / "run" / "report.html").read_text()


def test_what_reads_a_run_folder_asks_no_network_whatever_its_files_name(tmp_path, run, monkeypatch, capsys):
    """A stranger's run: its model, its agents' models, its messages' senders and its task are names on a hub."""
    folder = tmp_path / "run"
    run(evaluate(load_config(find_config(Path("smoke"))), out=folder, methods=("text", "cipher"), limit=2))
    named = (("model: mock", "model: somebody/tracker"), ("task: arithmetic", "task: gsm8k"))
    for file in (folder / "config.yaml", *folder.glob("*/config.yaml")):
        content = file.read_text()
        for ours, theirs in named:
            assert ours in content
            content = content.replace(ours, theirs)
        file.write_text(content)
    asked = []

    def refuse(*address, **_):
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    (message, *_) = (folder / "messages").glob("*/*.safetensors")
    for command in (
        ["report", folder],
        ["show", folder],
        ["view", folder, "--export", tmp_path / "page.html"],
        ["status", folder],
        ["compare", folder, folder],
        ["read", message],
    ):
        monkeypatch.setattr(sys, "argv", ["debate", *map(str, command)])
        with pytest.raises(SystemExit) as caught:
            main()
        shown = capsys.readouterr()
        assert not caught.value.code, shown
        assert "Traceback" not in shown.err
        assert shown.out or shown.err
    assert asked == []
