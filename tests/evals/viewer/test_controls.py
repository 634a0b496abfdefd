"""The viewer says of a turn which controls it heard, and shows no prompt that was not read."""

import asyncio

from debate.config.load import validate
from debate.transcript import TurnKey
from evals.evaluation import evaluate
from evals.samples import read_samples
from evals.viewer.run_view import RunView

CONFIG = {
    "backend": "mock", "model": "mock", "task": "arithmetic", "agents": {"ada": {}, "ben": {}}, "rounds": 2, "max_tokens": 48,
    "methods": {"silent": {"content": "silence"}},
}  # fmt: skip


def test_a_turn_that_heard_a_control(tmp_path):
    asyncio.run(evaluate(validate(CONFIG, source="x"), out=tmp_path / "run", limit=1))
    view, (sample,) = RunView(tmp_path / "run"), read_samples(tmp_path / "run")
    turns = {(turn["round"], turn["agent"]): turn for turn in view.debate("silent", sample.id)["turns"]}
    assert [heard.get("control") for heard in turns[2, "ada"]["heard"]] == ["silence"]
    assert turns[1, "ada"]["heard"] == []
    message = view.message("silent", sample.id, TurnKey(2, "ada"))
    assert message["prompt"]["none"].startswith(
        "It heard content controls in place of messages (silence for ben in round 1)"
    )
    assert "none" not in view.message("silent", sample.id, TurnKey(1, "ada"))["prompt"]
