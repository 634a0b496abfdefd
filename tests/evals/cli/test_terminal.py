"""What a person sees in a real terminal: results stay, the panel goes."""

import json
from importlib.metadata import version

import pytest

pytest.importorskip("pyte")
from support.terminal import screen_of

from evals.cli.run import default_config

QUESTION = "What is the result of 1+2*3+4-5*6?"


def joined(lines):
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("columns", [50, 80, 100])
def test_a_debate_stands_on_the_screen_when_it_is_over(columns):
    code, lines = screen_of("run", QUESTION, "--config", "smoke", columns=columns)
    said = joined(lines)
    assert code == 0, said
    assert "decision:" in said
    turns = [f"round {number} {agent}" for number in (1, 2, 3) for agent in ("ada", "ben")]
    assert [turn for turn in turns if turn not in said] == []
    assert QUESTION.partition("?")[0] in said
    assert not any("╭" in line or "╰" in line for line in lines), "the panel is gone"
    assert said.index("round 1") < said.index("round 3") < said.index("decision:")


def test_an_evaluation_leaves_its_table_and_no_panel(tmp_path):
    code, lines = screen_of("eval", "smoke", "--limit", 4, "--out", tmp_path / "run", columns=100)
    said = joined(lines)
    assert code == 0, said
    assert "transcripts:" in said
    assert not any("╭─ debate" in line for line in lines)


def test_control_characters_of_a_question_reach_no_terminal(cli):
    hostile = "What is 1+1?\x1b[2J\x1b]0;owned\x07\u202eevil\x9b31m"
    code, out, err = cli("run", hostile, "--config", "smoke")
    assert code == 0
    assert "What is 1+1?" in out
    for forbidden in ("\x1b", "\x07", "\u202e", "\x9b"):
        assert forbidden not in out + err


def test_control_characters_of_a_question_are_escaped_in_json(cli, tmp_path):
    hostile = "What is 1+1?\x9b31m\u202eevil\x7f\u2028é"
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"question": hostile, "answer": "2"}) + "\n")
    code, _, err = cli(
        "eval", "smoke", "--task", "file", "--data", questions, "--methods", "single", "--out", tmp_path / "run"
    )
    assert code == 0, err
    code, out, _ = cli("show", tmp_path / "run", "--json")
    assert code == 0
    assert not any(character in out for character in "\x9b\u202e\x7f\u2028")
    assert "é" in out
    assert json.loads(out)["debates"][0]["text"] == hostile


def test_what_looks_like_markup_is_shown_as_it_was_written(cli, tmp_path):
    """Names come with a config or a run folder: what is in brackets there is no style and no link, and ends no style either."""
    names, words = ["[link=https:x]text", "[bold]", "ratio a:b:c :bomb:"], "a:b:c [/b] [red]x [link=https://x]x"
    methods = ", ".join(f"{name!r}: {{message: text}}" for name in names)
    config = tmp_path / "c.yaml"
    config.write_text(
        "backend: mock\nmodel: mock\nrounds: 1\nagents: {ada: {}, ben: {}}\ntask: arithmetic\n"
        f"options: {{script: {{'.': '{words}'}}}}\nmethods: {{{methods}}}\n"
    )
    run = tmp_path / "run"
    code, out, err = cli("eval", config, "--limit", 2, "--out", run)
    assert code == 0, err
    said = {"eval": out}
    for command in (("status", run), ("show", run), ("report", run), ("verify", run), ("topology", "check", config)):
        code, out, err = cli(*command)
        assert code in (0, 3), (command, err)
        said[command[0]] = out + err
    for command in ("eval", "status", "show", "report"):
        assert all(name in said[command] for name in names), (command, said[command])
    assert words in said["show"]
    assert "\x1b" not in "".join(said.values())


def test_sums_are_debated_by_those_who_can_add_and_answered_rightly(cli):
    code, out, err = cli("run", "What is the result of 3+4*5+6-2*7?")
    assert (code, "decision: 15:" in out) == (0, True), out
    assert "tiny/ivy" in err
    code, out, err = cli("--quiet", "run", "What is the result of 3+4*5+6-2*7?")
    assert (code, "decision: 15:" in out, err) == (0, True, "")


@pytest.mark.parametrize(
    ("question", "task", "model", "expected"),
    [
        ("What is 2+3*4?", None, None, "debaters/experts"),
        ("Is 91 a prime?", None, None, "first_debate"),
        (None, "arithmetic", None, "debaters/experts"),
        (None, "arithmetic:held_out", None, "debaters/experts"),
        (None, "gsm8k", None, "first_debate"),
        ("What is 2+3*4?", None, "some/model", "first_debate"),
    ],
)
def test_who_debates_where_nobody_says(question, task, model, expected):
    assert default_config(question, task, model).as_posix() == expected


def test_the_version_and_the_short_help(cli):
    assert cli("--version")[:2] == (0, f"cipher-debate {version('cipher-debate')}\n")
    for command in ((), ("eval",), ("topology", "check")):
        assert cli(*command, "-h")[:2] == cli(*command, "--help")[:2]
