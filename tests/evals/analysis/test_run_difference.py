"""Whether two runs are of the same agents, as far as they say."""

from types import SimpleNamespace

import pytest

from debate.config.load import validate
from evals.analysis.run_difference import other_agents


def run(path, weights=None, **agent):
    config = validate({"backend": "mock", "model": "mock", "agents": {"ada": agent}}, source="x")
    models = {"mock": {"weights": weights}} if weights else {}
    return SimpleNamespace(path=path, facts={"models": models}), SimpleNamespace(name="text", config=config)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ("a" * 64, "a" * 64, ""),
        ("a" * 64, None, ""),
        (None, "a" * 64, ""),
        ("a" * 64, "b" * 64, "weights aaaaaaaaaaaa in one, and mock by mock in bfloat16, weights bbbbbbbbbbbb in two"),
    ],
)
def test_weights_tell_agents_apart_where_both_runs_know_them(ours, theirs, said):
    (one, method), (other, its) = run("one", ours), run("two", theirs)
    found = other_agents(one, other, [(method, its)])
    assert found.endswith(said)
    assert bool(found) == bool(said)


def test_another_role_is_another_agent_whatever_the_weights():
    (one, method), (other, its) = run("one", "a" * 64), run("two", "a" * 64, role="critic")
    assert "role critic in two" in other_agents(one, other, [(method, its)])
