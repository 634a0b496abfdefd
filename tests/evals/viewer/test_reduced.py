"""The viewer says of a turn of which messages it heard fewer positions, and shows no prompt that was not read."""

import asyncio

from debate.config.load import validate
from debate.transcript import TurnKey
from evals.evaluation import evaluate
from evals.samples import read_samples
from evals.viewer.run_view import RunView

CONFIG = {
    "backend": "mock", "model": "mock", "task": "arithmetic", "agents": {"ada": {}, "ben": {}}, "rounds": 2, "max_tokens": 48,
    "methods": {"half": {"reduce": "merge(keep=0.5)"}},
}  # fmt: skip


def test_a_turn_that_heard_fewer_positions(tmp_path):
    asyncio.run(evaluate(validate(CONFIG, source="x"), out=tmp_path / "run", limit=1))
    view, (sample,) = RunView(tmp_path / "run"), read_samples(tmp_path / "run")
    turns = {(turn["round"], turn["agent"]): turn for turn in view.debate("half", sample.id)["turns"]}
    ((after, before),) = [heard["reduced"] for heard in turns[2, "ada"]["heard"]]
    assert after == (before + 1) // 2
    assert 1 < before <= turns[1, "ben"]["generatedTokens"]
    prompt = view.message("half", sample.id, TurnKey(2, "ada"))["prompt"]
    assert prompt["none"].startswith(f"It heard fewer positions of messages ({after} of {before} for ben in round 1)")
    assert "exact" not in prompt
    assert view.message("half", sample.id, TurnKey(1, "ada"))["prompt"]["exact"] is True
