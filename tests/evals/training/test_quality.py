"""What the shipped debaters score on fixed questions: a change that breaks the passing of messages shows here."""

import asyncio

import pytest
import torch
from safetensors.torch import load_file

from agents.pretrained import debaters, locate
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.evaluation import Selection, evaluate

QUESTIONS = 40
# Right of the first 40 held-out test questions in float32, on a processor with AVX-512.
RIGHT = {"single": 31, "cipher": 29}
EXPERTS = {"single": 12, "text": 34, "cipher": 33, "cipher-alike": 12}
# Elsewhere, and in bfloat16, another rounding may turn an answer or two.
BAND = 4


def played(tmp_path, *settings):
    """Return method → right answers of two dees."""
    config = load_config(configs_folder() / "debaters" / "headline.yaml", settings)
    rows = asyncio.run(evaluate(config, out=tmp_path / "run", methods=list(RIGHT), selection=Selection(QUESTIONS)))
    return {row.method: row.correct for row in rows}


def test_float32_scores_are_exact(tmp_path):
    found = played(tmp_path)
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        assert found["cipher"] == RIGHT["cipher"]
    for method, right in RIGHT.items():
        assert abs(found[method] - right) <= BAND, found


@pytest.mark.long
def test_bfloat16_scores_are_near(tmp_path):
    found = played(tmp_path, "dtype=bfloat16")
    for method, right in RIGHT.items():
        assert abs(found[method] - right) <= BAND, found


def test_two_experts_are_right_together_where_neither_is_alone(tmp_path):
    """What no debater that knows all can show: where messages do not arrive, or not as they were sent, nothing is won."""
    config = load_config(configs_folder() / "debaters" / "experts.yaml", [])
    rows = asyncio.run(evaluate(config, out=tmp_path, methods=list(EXPERTS), selection=Selection(QUESTIONS)))
    found = {row.method: row.correct for row in rows}
    for method, right in EXPERTS.items():
        assert abs(found[method] - right) <= BAND, found


@pytest.mark.parametrize(("name", "right"), [("tiny/fay", 40), ("tiny/gil", 26)])
def test_others_of_her_table_are_as_strong_as_they_were(name, right, tmp_path):
    config = load_config(configs_folder() / "debaters" / "headline.yaml", [f"model={name}"])
    (row,) = asyncio.run(evaluate(config, out=tmp_path, methods=["single"], selection=Selection(QUESTIONS)))
    assert abs(row.correct - right) <= BAND


@pytest.mark.parametrize(
    ("owner", "others"),
    [
        ("tiny/ada", ("tiny/bea", "tiny/ben")),
        ("tiny/kim", ("tiny/lou",)),
        ("tiny/dee", ("tiny/fay", "tiny/hal", "tiny/gil", "tiny/ivy", "tiny/jay")),
    ],
)
def test_debaters_of_one_table_have_it_to_the_bit(owner, others):
    tables = [load_file(locate(name) / "model.safetensors")["model.embed_tokens.weight"] for name in (owner, *others)]
    assert all(torch.equal(table, tables[0]) for table in tables)


@pytest.mark.parametrize("name", debaters())
def test_a_shipped_debater_is_small_enough_to_ship(name):
    folder = locate(name)
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000
    assert {file.name for file in folder.iterdir()} == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
