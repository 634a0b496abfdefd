"""Claim tables: their arithmetic, and the commands that list and train."""

import math

import pytest
import torch

from agents.beliefs.claims import Claim, table
from agents.errors import ConfigError
from agents.models.discrete_functions import training
from agents.models.in_context import width
from agents.models.in_context.training import Recipe


def test_the_interval_is_students():
    scipy = pytest.importorskip("scipy.stats")
    ours, baseline = (0.91, 0.93, 0.95), (0.85, 0.84, 0.88)
    claim = Claim("better", ours, baseline, least=0.05)
    differences = torch.tensor(ours, dtype=torch.float64) - torch.tensor(baseline, dtype=torch.float64)
    half = scipy.t.ppf(0.975, 2) * float(differences.std()) / math.sqrt(3)
    assert claim.interval == pytest.approx(
        (float(differences.mean()) - half, float(differences.mean()) + half), abs=1e-4
    )


@pytest.mark.parametrize(
    ("ours", "asked", "verdict"),
    [
        ((0.90, 0.91, 0.92), {"least": 0.05}, "pass"),
        ((0.90, 0.91, 0.92), {"least": 0.2}, "null"),
        ((0.60, 0.99, 0.80), {"least": 0.05}, "null"),
        ((0.90,), {"least": 0.05}, "null"),
        ((0.81, 0.80, 0.79), {"within": 0.03}, "pass"),
        ((0.85, 0.85, 0.85), {"within": 0.03}, "null"),
    ],
)
def test_a_verdict_needs_the_whole_interval(ours, asked, verdict):
    claim = Claim("x", ours, (0.8,) * len(ours), **asked)
    assert claim.verdict == verdict
    assert table([claim])[0][-1] == verdict


def test_what_is_no_claim_is_refused():
    with pytest.raises(ConfigError, match="either"):
        Claim("x", (1.0,), (1.0,))
    with pytest.raises(ConfigError, match="a baseline a seed"):
        Claim("x", (1.0,), (), least=0)


def test_training_prints_the_table_and_does_not_train_again(cli, tmp_path, monkeypatch):
    tiny = training.Recipe(steps=2, batch=4, warmup=1)
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    monkeypatch.setattr(training, "FRESH", 40)
    code, out, _ = cli("train", "discrete_functions", "--out", tmp_path, "--seeds", 2)
    assert code == 0
    assert out.count("null") + out.count("pass") == 5
    files = {path: path.read_bytes() for path in tmp_path.glob("*/*")}
    assert len(files) == 2 * 2 * 3
    assert cli("train", "discrete_functions", "--out", tmp_path, "--seeds", 2)[1] == out
    assert files == {path: path.read_bytes() for path in tmp_path.glob("*/*")}


def test_a_further_recipe_has_a_table_of_its_own(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(width, "RECIPE", Recipe(steps=2, batch=4, warmup=1))
    monkeypatch.setattr(width, "FRESH", 40)
    code, out, _ = cli("train", "in_context:width", "--out", tmp_path, "--seeds", 1)
    assert code == 0
    assert "in_context:width: Gumaan, 2025" in out
    assert out.count("null") == 4
    assert "width (Gumaan, 2025" in " ".join(cli("backends", "in_context")[1].split())
    code, _, err = cli("train", "in_context:widt", "--out", tmp_path)
    assert code == 2
    assert "unknown recipe of in_context 'widt'" in err
    assert "Did you mean 'width'" in err
    assert "one recipe: leave --published out" in cli("train", "in_context:width", "--published")[2]


def test_backends_lists_both_kinds(cli):
    code, out, _ = cli("backends")
    assert code == 0
    one = cli("backends", "discrete_functions")[1]
    assert one in out
    assert "transformers" not in one.split()
    for word in ("transformers", "discrete_functions", "arXiv:2310.03016", "table", "Apache-2.0", "yes"):
        assert word in out


def test_an_unknown_name_is_a_sentence(cli, tmp_path):
    code, _, err = cli("train", "discrete", "--out", tmp_path)
    assert code == 2
    for word in ("cannot train 'discrete'", "ada", "discrete_functions"):
        assert word in err
    code, _, err = cli("backends", "discrete")
    assert code == 2
    assert "unknown belief backend 'discrete'" in err


def test_an_option_of_the_other_kind_is_a_sentence(cli, tmp_path):
    assert "--seed: not of a belief backend, which kalm is" in cli("train", "kalm", "--seed", 1, "--out", tmp_path)[2]
    assert "--seeds: not of a debater, which smoke is" in cli("train", "smoke", "--seeds", 2, "--out", tmp_path)[2]
    assert "--published: not of a debater, which smoke is" in cli("train", "smoke", "--published", "--out", tmp_path)[2]
    code, _, err = cli("train", "langsamp", "--published", "--out", tmp_path)
    assert code == 2
    assert "langsamp has one recipe: leave --published out" in err
    assert list(tmp_path.iterdir()) == []
