"""What people get wrong: one sentence that says what to do, exit code 2, no traceback, and nothing left behind."""

import io
import os
import shutil
import sys
from pathlib import Path

import pytest
from mistakes.cases import COMMANDS, EVAL, FILES, FINE, SETTINGS

# Lines that are not about the mistake: notes, warnings, and how a command is used.
BESIDE = ("· ", "! ", "Usage: ", "Try '")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the files of the cases."""
    home = tmp_path_factory.mktemp("mistakes")
    for name, content in FILES.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return home


@pytest.fixture
def there(folder, monkeypatch):
    """Run in that folder, and return a function that tells what was left in it, which is then removed."""
    monkeypatch.chdir(folder)
    # A run takes nothing from here, and a person is not asked.
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    before = set(folder.rglob("*"))

    def left():
        found = sorted(set(folder.rglob("*")) - before)
        for path in found:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return [str(path.relative_to(folder)) for path in found]

    yield left
    left()


def sentences(err):
    """Return what is said about a mistake, line by line."""
    return [line for line in err.splitlines() if line.strip() and not line.startswith(BESIDE)]


def check(result, words):
    code, _, err = result
    said = sentences(err)
    assert code == 2, err
    assert words in err
    assert "Traceback" not in err
    assert said
    first, *more = said
    assert first.startswith(("debate: ", "Error: ")), err
    # Several mistakes in one file have a line each.
    assert all(".yaml: " in line for line in more), err


@pytest.mark.parametrize(("setting", "words"), SETTINGS, ids=[setting for setting, _ in SETTINGS])
def test_a_value_of_a_config(cli, there, setting, words):
    check(cli(*EVAL, "--set", setting), words)
    assert there() == []


@pytest.mark.parametrize(("command", "words"), COMMANDS, ids=[" ".join(command) for command, _ in COMMANDS])
def test_a_command(cli, there, command, words):
    check(cli(*command), words)
    assert there() == []


@pytest.mark.parametrize("command", FINE, ids=[" ".join(command) for command in FINE])
def test_what_looks_odd_and_is_right(cli, there, command):
    code, _, err = cli(*command)
    assert (code, sentences(err)) == (0, [])


def test_there_are_enough_of_them():
    assert len(SETTINGS) + len(COMMANDS) > 180


def test_a_config_that_was_refused_is_mended_in_the_same_folder(cli, there):
    assert cli(*EVAL, "--out", "mine/run", "--set", "backend=mok")[0] == 2
    assert not Path("mine").exists()
    assert cli(*EVAL, "--out", "mine/run")[0] == 0


def test_a_folder_that_was_there_stays(cli, there):
    os.mkdir("mine")
    assert cli(*EVAL, "--out", "mine", "--set", "backend=mok")[0] == 2
    assert Path("mine").is_dir()
