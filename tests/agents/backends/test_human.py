"""A person as an agent, at a real pseudo-terminal."""

import subprocess
import sys
import time

import pytest

pytest.importorskip("pyte")
from support.terminal import Terminal

from agents.errors import ConfigError
from agents.registry import create_backend

ASKED = "an empty line ends it"
QUESTION = "What is the result of 1+2*3+4-5*6?"


def one_round(*settings):
    """Return the command of a debate of a mock and a person, who reads what the mock said."""
    return (
        *("run", QUESTION, "--config", "smoke", "--set", "agents.ben.backend=human", "--set", "rounds=1"),
        *("--set", "protocol=one_by_one", "--out", "run", *settings),
    )


def test_what_is_typed_is_said_and_is_not_asked_again(tmp_path):
    with Terminal(*one_round(), cwd=tmp_path, columns=100) as terminal:
        terminal.wait_for(ASKED)
        assert "Answer: -19" in terminal.text, "what the other said can be read"
        terminal.type(b" \n\n")
        terminal.type(b"I say 2*3 is 6,\n" + "and ünderneath: Answer: 5\n\n".encode())
        assert terminal.wait() == 0
        assert "2*3 is 6, ⏎ and ünderneath: Answer: 5" in terminal.text
        assert "decision:" in terminal.text
    with Terminal(*one_round(), cwd=tmp_path, columns=100) as again:
        assert again.wait() == 0
        assert "continuing run" in again.text
        assert ASKED not in again.text


def test_a_person_who_does_not_answer_in_time_said_nothing(tmp_path):
    with Terminal(*one_round("--set", "agents.ben.options.timeout=0.5"), cwd=tmp_path, columns=100) as terminal:
        assert terminal.wait() == 0
        assert "within 0.5 s" in terminal.text
        assert "no answer" in terminal.text
    assert "no answer" in (tmp_path / "run" / "journal.log").read_text()


def test_a_person_judges(tmp_path):
    judged = ("--set", "agents.ben.role=judge", "--set", "decision=judge", "--set", "agents.eve={}")
    with Terminal(*one_round(*judged), cwd=tmp_path, columns=100) as terminal:
        terminal.wait_for(ASKED)
        terminal.type(b"Answer: 42\n\n")
        assert terminal.wait() == 0
        assert "decision: 42" in terminal.text


def test_ctrl_c_while_a_person_thinks(tmp_path):
    with Terminal(*one_round(), cwd=tmp_path, columns=100) as terminal:
        terminal.wait_for(ASKED)
        terminal.type(b"half an ans\x03")
        start = time.monotonic()
        assert terminal.wait(20) == 130
        assert time.monotonic() - start < 15
    with Terminal(*one_round(), cwd=tmp_path, columns=100) as terminal:
        terminal.wait_for(ASKED)
        terminal.type(b"Answer: 7\n\n")
        assert terminal.wait() == 0


def test_an_evaluation_says_how_much_it_asks(tmp_path):
    command = (
        *("eval", "smoke", "--limit", 2, "--methods", "text,cipher", "--out", "run", "--set", "rounds=1"),
        *("--set", "agents.ben.backend=human"),
    )
    with Terminal(*command, cwd=tmp_path, columns=100) as terminal:
        for count in range(1, 5):
            terminal.wait_for(ASKED, count=count)
            terminal.type(b"Answer: 1\n\n")
        assert terminal.wait() == 0
        assert "ben: a person answers at this terminal, in 2 questions of each of 2 methods" in terminal.text


def test_without_a_terminal_it_is_one_sentence(tmp_path):
    command = [sys.executable, "-m", "debate", *map(str, one_round())]
    done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr.count("debate: backend human asks a person at the terminal, and standard input is none here") == 1
    )


def test_a_time_limit_is_a_number_of_seconds():
    for wrong in (0, -1, float("nan"), "soon"):
        with pytest.raises(ConfigError, match="timeout is a number of seconds above 0"):
            create_backend("human", timeout=wrong)
