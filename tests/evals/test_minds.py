"""`debate reproduce minds`, as a whole, on the shipped experts: what it says follows from its run folders."""

import pytest

from debate.run_folder.reader import read_method
from evals.experiment import load_experiment
from evals.reproduce import reproduce

pytest.importorskip("statsmodels")


def test_hearers_that_adapt_are_compared_with_the_plain_debate(tmp_path, run):
    rows = list(load_experiment("minds").methods)
    made = run(reproduce("minds", out=tmp_path / "r", overrides={"seed": 7, "max_tokens": 16, "rounds": 2}, limit=1))
    assert [line.method for line in made.lines] == rows
    assert [sentence.split(" = ")[0] for _, sentence in made.sentences] == [
        f"{row} − cipher" for row in rows if row != "cipher"
    ]
    assert made.conditions.startswith("tiny/ivy and tiny/jay on transformers")
    said = {}
    for line in (tmp_path / "r" / "arithmetic-held_out" / "hso" / "config.yaml").read_text().splitlines():
        said.setdefault("decoding" in line, []).append(line)
    assert len(said[True]) == 2
    texts = {}
    for row in ("cipher", "hso", "hso-far"):
        debate, *_ = read_method(tmp_path / "r" / "arithmetic-held_out" / row)
        turns = sorted(debate.transcript.turns, key=lambda turn: (turn.key.round, turn.key.agent))
        texts[row] = [turn.message.digest for turn in turns]
    assert texts["cipher"][:2] == texts["hso"][:2] == texts["hso-far"][:2]
    assert texts["cipher"] != texts["hso-far"]
