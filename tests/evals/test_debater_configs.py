"""The shipped experiments of the tiny debaters are configs that play, on the mock backend."""

import asyncio

import pytest
from support.plain_loops import on_mock

from debate.config.shipped import configs_folder
from evals.evaluation import Selection, evaluate

FILES = sorted((configs_folder() / "debaters").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_experiment_plays(path, tmp_path):
    config = on_mock(path).model_copy(update={"options": {}, "dtype": "float32"})
    config = config.model_copy(
        update={"methods": {name: _on_mock(changes) for name, changes in config.methods.items()}}
    )
    results = asyncio.run(evaluate(config, out=tmp_path / "run", selection=Selection(2)))
    assert [result.method for result in results] == list(config.methods)


def _on_mock(changes):
    agents = {name: {**(agent or {}), "model": None} for name, agent in (changes.get("agents") or {}).items()}
    return {**changes, "agents": agents} if agents else changes
