"""`debate view` and `debate run --view` from the command line: what is wrong is a sentence, and the address is printed alone."""

import signal
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from support.viewer_runs import config_of, made_run, play

from debate.cli import main
from evals.cli.view import open_page

DEBATE = str(Path(sys.executable).with_name("debate"))


def said(monkeypatch, capsys, *arguments):
    """Return the exit code of a command and what it says."""
    monkeypatch.setattr(sys, "argv", ["debate", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    return ended.value.code or 0, " ".join((shown.out + shown.err).split())


def test_mistakes_are_sentences(tmp_path, monkeypatch, capsys):
    code, words = said(monkeypatch, capsys, "view", tmp_path / "none")
    assert code == 2
    assert "is not a run: it has no journal.log, nor has any folder in it. Name a run folder" in words
    run = play(tmp_path / "run", config_of(), ["text"], limit=1)
    code, words = said(monkeypatch, capsys, "view", run, "--export", tmp_path / "no" / "such" / "\0")
    assert code == 2
    data = bytearray((run / "journal.log").read_bytes())
    data[300] ^= 1
    (run / "journal.log").write_bytes(data)
    code, words = said(monkeypatch, capsys, "view", run, "--no-open")
    assert code == 2
    assert "is damaged at byte" in words


def test_without_its_packages_it_names_the_extra(tmp_path, monkeypatch, capsys):
    with made_run(tmp_path / "run", questions=1):
        pass
    monkeypatch.delitem(sys.modules, "evals.viewer.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, words = said(monkeypatch, capsys, "view", tmp_path / "run")
    assert code == 2
    assert "debate view needs the package 'uvicorn'. Install it with: pip install 'cipher-debate[view]'" in words


def test_a_page_is_opened_only_on_a_desktop(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    open_page("http://a")
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    open_page("http://b")
    assert opened == ["http://b"]


def test_the_address_is_printed_alone_and_ctrl_c_ends_the_server(tmp_path):
    with made_run(tmp_path / "run", questions=2):
        pass
    command = [DEBATE, "view", str(tmp_path / "run"), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        try:
            with opener.open(url) as page:
                assert b'id="app"' in page.read()
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) in (0, 130)


def test_a_run_that_is_watched_is_kept_only_where_it_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, words = said(monkeypatch, capsys, "run", "What is 1+1?", "--config", "smoke", "--view")
    assert code == 0
    assert "http://127.0.0.1:" in words
    assert "decision:" in words
    assert list(tmp_path.iterdir()) == []
    assert said(monkeypatch, capsys, "run", "What is 1+1?", "-c", "smoke", "--view", "--out", tmp_path / "kept")[0] == 0
    assert (tmp_path / "kept" / "journal.log").is_file()
