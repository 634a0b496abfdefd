"""What a person sees in a real terminal: results stay, the panel goes."""

import pytest

pytest.importorskip("pyte")
from support.terminal import screen_of

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
