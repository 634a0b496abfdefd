"""Whether two runs are of the same agents, as far as they say."""

from types import SimpleNamespace

import pytest
import torch

from agents.errors import ConfigError
from agents.observation import Image
from debate.config.load import validate
from evals.analysis.run_difference import check_shown, other_agents
from evals.sample import Sample
from evals.samples import write_samples


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


def test_questions_of_the_same_words_about_other_pictures_are_not_paired(tmp_path):
    # One pixel of 400 x 400: in the small copies of 96 pixels a side both are black.
    pictures = [torch.zeros(3, 400, 400) for _ in range(2)]
    pictures[1][:, 200, 200] = 0.01
    for name, picture in zip("ab", pictures, strict=True):
        (tmp_path / name).mkdir()
        write_samples(tmp_path / name, [Sample("q1", "What is it?", "cat", observations=(Image(picture),))])
    check_shown(tmp_path / "a", tmp_path / "a")
    with pytest.raises(ConfigError, match="'q1' shows one thing in .*a and another in .*b"):
        check_shown(tmp_path / "a", tmp_path / "b")


def test_questions_that_only_one_run_has_are_no_difference(tmp_path):
    for name, ids in (("a", ("q1", "q2")), ("b", ("q2", "q3"))):
        (tmp_path / name).mkdir()
        write_samples(tmp_path / name, [Sample(one, f"What is {one}?", "1") for one in ids])
    check_shown(tmp_path / "a", tmp_path / "b")
