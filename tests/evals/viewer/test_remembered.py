"""The viewer shows the prompt of an agent with a memory behind what it read and said before."""

import asyncio

from debate.config.load import validate
from debate.transcript import TurnKey
from evals.evaluation import evaluate
from evals.samples import read_samples
from evals.viewer.run_view import RunView

CONFIG = {
    "backend": "mock", "model": "mock", "task": "arithmetic", "agents": {"ada": {"memory": "debate"}, "ben": {}}, "rounds": 3,
    "max_tokens": 16, "methods": {"plain": {}},
}  # fmt: skip


def test_a_turn_that_remembered(tmp_path):
    asyncio.run(evaluate(validate(CONFIG, source="x"), out=tmp_path / "run", limit=1))
    view, (sample,) = RunView(tmp_path / "run"), read_samples(tmp_path / "run")
    shown = {
        key: view.message("plain", sample.id, TurnKey(*key))["prompt"]["turns"]
        for key in ((1, "ada"), (2, "ada"), (3, "ada"), (3, "ben"))
    }
    first, second, third = (shown[number, "ada"] for number in (1, 2, 3))
    assert second[: len(first)] == first
    assert third[: len(second)] == second
    assert (second[len(first)]["role"], third[len(second)]["role"]) == ("assistant", "assistant")
    slots = [third[len(first)]["parts"][0]["slot"], third[len(second)]["parts"][0]["slot"]]
    assert [(slot["round"], slot["agent"]) for slot in slots] == [(1, "ada"), (2, "ada")]
    assert not any("slot" in turn["parts"][0] for turn in shown[3, "ben"] if turn["role"] == "assistant")


def test_what_a_prompt_had_no_room_for_is_not_shown_in_it(tmp_path):
    plain = {**CONFIG, "agents": {"ada": {}, "ben": {}}, "prompts": "tiny", "rounds": 2}
    asyncio.run(evaluate(validate(plain, source="x"), out=tmp_path / "whole", limit=1))
    (sample,) = read_samples(tmp_path / "whole")
    first = RunView(tmp_path / "whole").debate("plain", sample.id)["turns"][0]["promptTokens"]
    tight = {**plain, "overflow": "truncate-oldest", "options": {"context": first + 16}}
    asyncio.run(evaluate(validate(tight, source="x"), out=tmp_path / "tight", limit=1))
    slots = {
        name: [
            part["slot"]["agent"]
            for turn in RunView(tmp_path / name).message("plain", sample.id, TurnKey(2, "ada"))["prompt"]["turns"]
            for part in turn["parts"]
            if "slot" in part
        ]
        for name in ("whole", "tight")
    }
    # Its own words go last, and they went too.
    assert slots == {"whole": ["ben", "ada"], "tight": []}
