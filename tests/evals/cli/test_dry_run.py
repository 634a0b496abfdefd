"""`--dry-run` of run, eval and search, and `topology check`: what is printed, what is refused, and that nothing is written."""

import json

import pytest

COMMANDS = [
    ("eval", "smoke", "--limit", 4),
    ("search", "smoke", "--trials", 3, "--limit", 4),
    ("run", "--task", "arithmetic", "--limit", 4, "--config", "smoke"),
    ("run", "What is 1+1+1?", "--config", "smoke"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(map(str, command[:2])))
def test_a_dry_run_says_what_would_happen_and_writes_nothing(cli, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    code, out, _ = cli(*command, "--dry-run")
    assert code == 0
    for word in ("cipher: at most ", " turns, ", " tokens generated, ", " read, ", " of messages, roughly "):
        assert word in out
    assert "longest prompt of mock: ada, round 2: at most " in out
    assert "dry run: nothing was started" in out
    assert list(tmp_path.iterdir()) == []


def test_turns_are_those_of_all_questions(cli):
    _, out, _ = cli("eval", "smoke", "--limit", 4, "--dry-run")
    assert "single: at most 4 turns" in out
    assert "cipher: at most 24 turns" in out


def test_what_dies_later_is_an_error_now(cli, tmp_path):
    settings = ("--set", "options.context=200", "--set", "backend=mock")
    code, out, _ = cli("eval", "smoke", "--limit", 4, "--dry-run", *settings)
    assert code == 2
    assert "error (single): ada, round 1, mock: the prompt of the shortest question has " in out
    code, out, _ = cli("topology", "check", "smoke", *settings)
    assert (code, "the context of 200 is too short for it" in out) == (2, True)
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "Q", "gold": "1"}))
    code, _, err = cli("eval", "smoke", "--task", "file", "--data", tmp_path / "q.jsonl", "--dry-run")
    assert (code, "no column 'answer'" in err) == (2, True)


def test_own_questions_from_the_command_line(cli, tmp_path):
    (tmp_path / "q.csv").write_text(
        'prompt,gold\n"What is 1+2*3+4-5*1?",6\n"What is 2+2*3+4-5*1?",7\n', encoding="utf-8"
    )
    own = ("--task", "file", "--data", tmp_path / "q.csv", "--columns", "question=prompt,answer=gold")
    code, out, _ = cli("eval", "smoke", *own, "--scoring", "number", "--methods", "text", "--out", tmp_path / "run")
    assert code == 0
    assert "file:number: 2 questions" in out
    code, out, _ = cli("report", tmp_path / "run")
    assert code == 0
    code, out, _ = cli("run", "--config", "smoke", *own, "--limit", 1)
    assert (code, out.count("round ")) == (0, 6)
    code, _, err = cli("eval", "smoke", "--task", "gsm8k", "--scoring", "text")
    assert (code, "--scoring is for your own questions" in err) == (2, True)
    code, _, err = cli("eval", "smoke", "--task", "file:text", "--scoring", "number", "--data", tmp_path / "q.csv")
    assert (code, "the task is file:text; give one of the two" in err) == (2, True)
    code, _, err = cli("run", "--config", "smoke", *own, "--set", "options.context=50")
    assert (code, "no question was answered" in err) == (2, True)


def test_the_mock_is_called_the_mock_whatever_model_the_config_names(cli):
    code, out, _ = cli("topology", "check", "first_debate", "--set", "backend=mock")
    assert (code, "longest prompt of mock: " in out, "smollm2" in out) == (0, True, False)


def test_who_gives_the_mock_questions_of_their_own_is_told_what_it_answers(cli, tmp_path):
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "Capital of France?", "answer": "Paris"}))
    own = ("--task", "file", "--data", tmp_path / "q.jsonl", "--scoring", "text", "--out", tmp_path / "run")
    code, _, err = cli("eval", "smoke", *own)
    assert (code, " ".join(err.split()).count("the mock backend answers only arithmetic")) == (0, 1)
    code, _, err = cli("eval", "smoke", "--limit", 1, "--out", tmp_path / "sums")
    assert (code, "answers only arithmetic" in " ".join(err.split())) == (0, False)
