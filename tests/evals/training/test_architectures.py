"""Debaters of other architectures: which weights they take, that texts of one row stay apart, that they learn and speak."""

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from support.plain_loops import say

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers import TransformersBackend
from agents.errors import ModelError
from debate.config.shipped import configs_folder
from evals.training import speaking, whole
from evals.training import train as training
from evals.training.card import write_card
from evals.training.recipe import Recipe, load_recipe
from evals.training.turns import QUESTION, TaughtTurn
from evals.training.vocabulary import make_tokenizer

pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

WEIGHTS = "model.safetensors"
LAYER = "model.layers.0.self_attn.v_proj.weight"
FTP = {"type": "ftp", "horizon": 3, "memory": 2, "chosen": 16}
ATLAS = {"type": "atlas", "chunk": 8, "rate": 0.125}
MEMORY = {"type": "memoryformer", "bits": 4, "expanding_bits": 1}
QUIET = {"type": "quantizable", "alpha": 1.0, "trained_length": 32, "gate": "linear"}


def recipe_of(architecture, **changes):
    """Return a recipe of three steps that keeps the table of a small Llama."""
    smoke = load_recipe(configs_folder() / "training" / "smoke.yaml").model_dump(mode="json")
    stage = {"steps": 3, "mixture": {"steps": 1, "solve": 1}, "learning_rate": 0.005, "table": "frozen"}
    own = {"name": "other", "architecture": architecture, "stages": [stage], "precision": "fp32", "questions": 4}
    return Recipe.model_validate({**smoke, **own, **changes})


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """Return the folder of a small Llama of the debaters' vocabulary."""
    folder, tokenizer = tmp_path_factory.mktemp("llama"), make_tokenizer()
    torch.manual_seed(5)
    recipe = recipe_of({"type": "llama"})
    whole.save(whole.build_model(recipe, tokenizer), tokenizer, recipe, folder)
    return folder


@pytest.mark.parametrize("architecture", [FTP, ATLAS], ids=["ftp", "atlas"])
def test_it_learns_on_the_layers_and_the_table_of_a_llama_and_is_gone_on_with(architecture, llama, tmp_path):
    recipe, one = recipe_of(architecture, begin=str(llama)), load_file(llama / WEIGHTS)
    two = load_file(training.train(recipe, tmp_path) / WEIGHTS)
    assert torch.equal(two[whole.TABLE], one[whole.TABLE])
    assert 0 < (two[LAYER] - one[LAYER]).float().std() < 0.5 * one[LAYER].float().std()
    assert one.keys() < two.keys()
    model, _ = whole.load(recipe, tmp_path / "model")
    assert model.config.model_type == architecture["type"]
    again = whole.build_model(recipe_of(architecture, begin=str(tmp_path / "model")), make_tokenizer()).state_dict()
    assert all(torch.equal(again[name], tensor.float()) for name, tensor in two.items())


def test_one_that_looks_up_takes_the_table_alone(llama, tmp_path):
    recipe = recipe_of(MEMORY, table=str(llama))
    folder = training.train(recipe, tmp_path)
    assert torch.equal(load_file(folder / WEIGHTS)[whole.TABLE], load_file(llama / WEIGHTS)[whole.TABLE])
    write_card(folder, recipe, training.read_history(tmp_path), right=1, questions=8, parameters=9)
    assert "a model whose blocks look up in place of multiplying (MemoryFormer, 4 bits), a Llama of 9 parameters" in (
        folder / "README.md"
    ).read_text().replace("\n", " ")
    with pytest.raises(ModelError, match=r"begins with .*, whose model\..* is \[.*\], and the recipe needs none"):
        whole.build_model(recipe_of(MEMORY, begin=str(llama)), make_tokenizer())
    backend = TransformersBackend(str(folder), dtype="float32")
    request = Request(
        Prompt.of("What is the result of 1+2*3+4-5*6?"), Sampling(temperature=0.5, max_tokens=6), "expectation"
    )
    assert say(backend, [request])[0].message.is_cipher


@pytest.mark.parametrize(
    "architecture",
    [ATLAS, {**ATLAS, "rule": "atlas"}, MEMORY, QUIET],
    ids=["omega", "atlas", "memoryformer", "quantizable"],
)
def test_texts_of_one_row_do_not_see_each_other(architecture):
    torch.manual_seed(0)
    model = whole.build_model(recipe_of(architecture), make_tokenizer()).eval()
    lengths = (70, 5, 90), (1, 100, 64)
    ids = torch.randint(4, 80, (2, 165))
    positions = torch.stack([torch.cat([torch.arange(length) for length in row]) for row in lengths])
    with torch.no_grad():
        packed = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        for row, cuts in enumerate(lengths):
            for start, text in zip((0, cuts[0], cuts[0] + cuts[1]), ids[row].split(list(cuts)), strict=True):
                alone = model(input_ids=text[None], use_cache=False).logits[0]
                # Orthogonalised steps magnify rounding.
                tolerance = 2e-2 if architecture.get("rule") == "atlas" else 1e-4
                torch.testing.assert_close(packed[row, start : start + len(text)], alone, rtol=0, atol=tolerance)


def test_prompts_of_several_lengths_are_answered_as_each_alone():
    tokenizer = make_tokenizer()
    torch.manual_seed(1)
    model = whole.build_model(recipe_of(ATLAS), tokenizer)
    turns = [TaughtTurn(Prompt.of(QUESTION.format(sum_)), "") for sum_ in ("1+2", "10+2", "3*4", "100-2+33", "9+9")]
    together = speaking.complete(model, tokenizer, turns, longest=6)
    assert together == [speaking.complete(model, tokenizer, [turn], longest=6)[0] for turn in turns]


def test_an_architecture_that_is_none_and_keys_of_another_are_refused(llama):
    with pytest.raises(ValidationError, match="one of llama, ftp, atlas, memoryformer and quantizable"):
        recipe_of({"type": "mamba"})
    with pytest.raises(ValidationError, match=r"architecture\.atlas\.horizon"):
        recipe_of({**ATLAS, "horizon": 3})
    with pytest.raises(ValidationError, match="architecture: is of a model that is trained whole"):
        recipe_of(FTP, begin=str(llama), lora={})
