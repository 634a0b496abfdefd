"""The recipe at its smallest, for real: it learns, goes on where it was stopped, and what it leaves is a model."""

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from support.stopped_training import train_until_the_second_look
from typer.testing import CliRunner

from agents.errors import ConfigError, ModelError, UnknownName
from agents.pretrained import WHEEL_MODELS, debaters
from debate.cli.app import app
from debate.config.shipped import configs_folder
from evals.training import train as training
from evals.training import whole
from evals.training.card import write_card
from evals.training.recipe import Recipe, load_recipe
from evals.training.rows import PackedRows, collate
from evals.training.turns import Curriculum
from evals.training.vocabulary import make_tokenizer

pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

RECIPES = configs_folder() / "training"
WEIGHTS = "model.safetensors"
TABLE, LAYER = whole.TABLE, "model.layers.0.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def smoke():
    return load_recipe(RECIPES / "smoke.yaml")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train through the command line and return the run's folder and what was printed."""
    out = tmp_path_factory.mktemp("train") / "smoke"
    threads = torch.get_num_threads()
    result = CliRunner().invoke(app, ["train", "smoke", "--out", str(out), "--questions", "8"])
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    return out, result.output


def test_the_held_out_loss_falls_and_every_look_is_kept(trained, smoke):
    out, said = trained
    looks = training.read_history(out)
    assert [look["step"] for look in looks] == [20, 30, 50]
    assert looks[-1]["loss"] < looks[0]["loss"] < 4.5
    assert "50" in said
    assert "held-out loss" in said
    assert (out / "training.svg").read_text().startswith("<svg")


def test_the_model_is_small_bfloat16_and_has_a_card(trained):
    folder = trained[0] / "model"
    assert {tensor.dtype for tensor in load_file(folder / WEIGHTS).values()} == {torch.bfloat16}
    card = (folder / "README.md").read_text()
    assert "Apache-2.0" in card
    assert "of 8 right" in card
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"


def test_the_engine_speaks_with_it_in_text_and_in_vectors(trained):
    from support.plain_loops import say

    from agents.backend import Prompt, Request, Sampling
    from agents.backends.transformers import TransformersBackend

    backend = TransformersBackend(str(trained[0] / "model"), dtype="float32")
    prompt = Prompt.of("What is the result of 1+2*3+4-5*6?")
    text, cipher = say(
        backend,
        [
            Request(prompt, Sampling(temperature=0.0, max_tokens=8)),
            Request(prompt, Sampling(temperature=0.5, max_tokens=8), "expectation"),
        ],
    )
    assert text.message.num_tokens
    assert cipher.message.is_cipher


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(trained, smoke, tmp_path, monkeypatch):
    # The first look is after 20 of 30 steps; the one of the third stage's end never comes.
    train_until_the_second_look(smoke, tmp_path / "run", monkeypatch)
    assert not (tmp_path / "run" / "model").exists()
    folder = training.train(smoke, tmp_path / "run")
    ours, theirs = (load_file(path / WEIGHTS) for path in (folder, trained[0] / "model"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_that_is_done_is_not_trained_again(trained, smoke):
    before = (trained[0] / "model" / WEIGHTS).stat().st_mtime_ns
    training.train(smoke, trained[0])
    assert (trained[0] / "model" / WEIGHTS).stat().st_mtime_ns == before


def made_from(smoke, **changes):
    """Return the smoke recipe cut to three steps with frozen tables, which goes out from another model."""
    short = [{**stage.model_dump(exclude={"pool"}), "steps": 3, "table": "frozen"} for stage in smoke.stages[:1]]
    return Recipe.model_validate({**smoke.model_dump(mode="json"), "name": "two", "stages": short, **changes})


def test_a_table_of_another_model_stays_as_it_is(smoke, trained, tmp_path):
    one = load_file(trained[0] / "model" / WEIGHTS)
    two = load_file(training.train(made_from(smoke, table=str(trained[0] / "model"), seed=1), tmp_path) / WEIGHTS)
    assert torch.equal(two[TABLE], one[TABLE])
    # The rest is another's: three steps do not move weights from one seed's to another's.
    assert (two[LAYER] - one[LAYER]).float().std() > 0.5 * one[LAYER].float().std()


def test_a_recipe_begins_with_the_weights_of_another_model(smoke, trained, tmp_path):
    recipe = made_from(smoke, begin=str(trained[0] / "model"))
    one = load_file(trained[0] / "model" / WEIGHTS)
    begun = whole.build_model(recipe, make_tokenizer()).state_dict()
    assert all(torch.equal(begun[name], tensor.float()) for name, tensor in one.items())
    folder = training.train(recipe, tmp_path)
    two = load_file(folder / WEIGHTS)
    assert torch.equal(two[TABLE], one[TABLE])
    assert 0 < (two[LAYER] - one[LAYER]).float().std() < 0.5 * one[LAYER].float().std()
    write_card(folder, recipe, training.read_history(tmp_path), right=1, questions=8, parameters=9)
    card = (folder / "README.md").read_text()
    assert f"trained from the weights of `{recipe.begin}`" in card
    assert "| training | from there 3 steps" in card


def test_a_model_of_another_shape_or_name_is_refused(smoke):
    for key in ("begin", "table"):
        with pytest.raises(ModelError, match=r"tiny/dee, whose model\..* is \[.*\], and the recipe needs \["):
            whole.build_model(made_from(smoke, **{key: "tiny/dee"}), make_tokenizer())
        with pytest.raises(UnknownName, match="dee"):
            whole.build_model(made_from(smoke, **{key: "tiny/dea"}), make_tokenizer())
    with pytest.raises(ValidationError, match="leave table: tiny/ada out"):
        made_from(smoke, begin="tiny/dee", table="tiny/ada")


def test_packed_examples_do_not_see_each_other(smoke):
    """The logits of an example in the middle of a row are those that it has alone."""
    from agents.prompts import Prompts
    from debate.config.shipped import prompts_folder

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    model = whole.build_model(smoke, tokenizer).eval()
    prompts = Prompts(prompts_folder("tiny"), "plain")
    rows = PackedRows(Curriculum(prompts, prompts), tokenizer, mixture={"steps": 1}, rows=2, tokens=160, seed="x")
    batch = collate([rows[0], rows[1]])
    starts = (batch["position_ids"][1] == 0).nonzero().flatten().tolist()
    assert len(starts) > 2
    with torch.inference_mode():
        packed = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits[1]
        alone = model(input_ids=batch["input_ids"][1:2, starts[1] : starts[2]]).logits[0]
    torch.testing.assert_close(packed[starts[1] : starts[2]], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_one(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert {recipe.begin, recipe.table} - {None} <= {*debaters(), *WHEEL_MODELS}


def test_a_mistake_in_a_recipe_is_named_with_its_place(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: r\nstages: [{steps: 3, mixture: {solve: 1}, rate: 3}]\n")
    with pytest.raises(ConfigError, match=r"r\.yaml: stages\.0\.rate"):
        load_recipe(path)
    path.write_text("name: r\nstages: [{steps: 3, mixture: {solve: 0}}]\n")
    with pytest.raises(ConfigError, match="weights"):
        load_recipe(path)
    with pytest.raises(ConfigError, match="smoke"):
        load_recipe(RECIPES / "adda.yaml")
    assert CliRunner().invoke(app, ["train", str(Path("nowhere.yaml"))]).exit_code != 0
