"""Transforms of an agent: carried out when its engine starts, recorded with the run, and refused where they mean nothing."""

import asyncio
import json
from pathlib import Path

import pytest

from agents import pretrained
from agents.errors import ConfigError
from debate.config.load import load_config, to_yaml, validate
from evals.evaluation import evaluate

HALF = "optin(macs=0.5, rows=4, length=64, tokens=64, group=64, calibration='sums')"
DEBATE = {
    "model": "tiny/dee",
    "backend": "transformers",
    "dtype": "float32",
    "task": "arithmetic:held_out",
    "prompts": "tiny",
    "format": "plain",
    "rounds": 2,
    "max_tokens": 24,
    "agents": {"whole": {"temperature": 0.3}, "half": {"transforms": [HALF]}},
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "cache_home", lambda: tmp_path / "home")
    return tmp_path / "home"


def test_a_transformed_agent_debates_in_cipher_with_its_base_and_the_run_says_what_it_is(tmp_path, home, cli):
    config = validate(DEBATE, source="here")
    assert config.engines == (
        ("tiny/dee", "float32", "transformers"),
        (f"tiny/dee | {HALF}", "float32", "transformers"),
    )
    said = []
    (row,) = asyncio.run(evaluate(config, out=tmp_path / "run", methods=["cipher"], limit=2, progress=said.append))
    assert (row.total, row.failed, row.turns) == (2, 0, 8)
    # Vectors pass as they are: nothing is said of two tables.
    assert not [sentence for sentence in said if "two tables" in sentence]
    models = json.loads((tmp_path / "run" / "run.json").read_text())["models"]
    half = models[f"tiny/dee | {HALF}"]
    assert half["table"] == models["tiny/dee"]["table"]
    assert half["weights"] != models["tiny/dee"]["weights"]
    assert half["origin"].startswith(f"tiny/dee (weights {models['tiny/dee']['weights'][:12]}) | optin(macs=0.5")
    assert "origin" not in models["tiny/dee"]
    # Read back, it is the same config, and the run can be continued.
    assert load_config(tmp_path / "run" / "config.yaml") == config
    code, out, _ = cli("doctor")
    assert code == 0
    assert "tiny/dee (weights" in out
    assert ": sound" in out
    code, out, err = cli("show", tmp_path / "run")
    assert code == 0, err
    # What is damaged is told of, and ends nothing.
    (folder,) = [path for path in (home / "models").glob("transformed-*") if path.is_dir()]
    for file, sentence in (
        ("transform.json", "transform.json has changed"),
        ("manifest.json", "manifest.json cannot be read"),
    ):
        (folder / file).write_text("{")
        code, out, err = cli("doctor")
        assert code == 0, err
        assert f"of an unknown base: damaged: {sentence}" in " ".join(out.split())


def test_a_config_without_transforms_is_written_as_before():
    config = validate({**DEBATE, "agents": {"one": {}}}, source="here")
    assert "transforms" not in to_yaml(config)
    assert config.engines == (("tiny/dee", "float32", "transformers"),)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"transforms": ["optim"]}, "agents.half.transforms: unknown transform 'optim'"),
        ({"transforms": ["optin(mac=1)"]}, "agents.half.transforms: transform 'optin' has no parameter 'mac'"),
        ({"transforms": ["optin"], "backend": "mock"}, "the backend mock loads no weights that could be transformed"),
        ({"transforms": ["optin"], "role": "random"}, "agents.half.transforms: it has no language model of its own"),
    ],
)
def test_transforms_that_mean_nothing_are_refused(change, sentence, tmp_path):
    config = validate({**DEBATE, "agents": {"whole": {}, "half": change}}, source="here")
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        asyncio.run(evaluate(config, out=tmp_path / "run", methods=["text"], limit=1))


def test_a_calibration_file_beside_the_config_is_found(tmp_path, monkeypatch):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "texts.txt").write_text("one\ntwo\n")
    (folder / "debate.yaml").write_text(
        to_yaml(
            validate(
                {**DEBATE, "agents": {"one": {"transforms": ["optin(calibration='texts.txt', rows=2)"]}}}, source="x"
            )
        )
    )
    monkeypatch.chdir(tmp_path)
    (transform,) = load_config(folder / "debate.yaml").agents["one"].transforms
    assert str(folder / "texts.txt") in transform


def test_the_command_writes_a_folder_that_debates(tmp_path, cli):
    folder = tmp_path / "dee50"
    code, out, err = cli("transform", "tiny/dee", "--with", HALF, "--out", folder)
    assert code == 0, err
    assert "macs_kept: 0.4" in out or "macs_kept: 0.5" in out
    assert {file.name for file in folder.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
    }
    code, out, err = cli(
        "run", "--config", "debaters/headline", "--model", folder, "What is the result of 3+4*5+6-2*7?"
    )
    assert code == 0, err
    for arguments, sentence in (
        (("tiny/dee", "--with", HALF, "--out", folder), "exists; a transformed model is written into a new folder"),
        (("tiny/dee", "--with", HALF), "name the folder"),
        (("tiny/dee", "--with", "optim", "--out", tmp_path / "x"), "unknown transform 'optim'"),
        (("tiny/dee", "--out", tmp_path / "x"), "name what is to be done"),
    ):
        code, _, err = cli("transform", *arguments)
        assert code == 2
        assert sentence in err
    assert not (tmp_path / "x").exists()
    code, out, _ = cli("transform", "tiny/dee")
    assert code == 0
    assert "optin(macs=0.6, uniform=False" in out


def test_the_sums_are_of_the_training_split(tmp_path):
    """The shipped texts are what the debaters were trained on, so that no test question is among them."""
    from agents.transforms.calibration import SHIPPED
    from evals.training.calibration import sums

    assert SHIPPED.read_text() == sums()
    assert Path(SHIPPED).stat().st_size < 100_000
