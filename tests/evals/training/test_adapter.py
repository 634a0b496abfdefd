"""An adapter trained over a debater, for real: the base stays as it is, the engine speaks with it, a stopped run goes on."""

import sys
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from support.plain_loops import say
from support.stopped_training import train_until_the_second_look

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers import TransformersBackend
from agents.errors import MissingDependency, ModelError
from agents.pretrained import locate
from evals.training import adapter, run
from evals.training import train as training
from evals.training.recipe import Recipe
from evals.training.speaking import complete
from evals.training.turns import TaughtTurn

pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

RECIPE = Recipe(
    name="ben_small",
    begin="tiny/ben",
    lora={"rank": 4, "alpha": 8},
    rows=2,
    row_tokens=128,
    evaluate_every=4,
    questions=4,
    stages=[
        {"steps": 4, "mixture": {"solve": 1}, "learning_rate": 0.02, "warmup": 1},
        {
            "steps": 3,
            "mixture": {"debate": 1},
            "learning_rate": 0.02,
            "warmup": 1,
            "pool": {"expressions": 2, "samples": 1},
        },
    ],
)
WEIGHTS = "adapter_model.safetensors"
PROMPT = Prompt.of("What is the result of 1+2*3+4-5*6?")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("adapter")
    return training.train(RECIPE, out), list(run.finish(RECIPE, out, questions=4))


def test_what_is_left_is_an_adapter_in_pefts_layout_with_a_card(trained):
    folder, told = trained
    assert folder.name == "adapter"
    names = load_file(folder / WEIGHTS)
    assert len(names) == 2 * 7 * 4  # A and B of seven layers in each of four blocks
    assert not any("embed" in name or "lm_head" in name for name in names)
    assert (folder / "adapter_config.json").read_text().count("tiny/ben") == 1
    assert str(locate("tiny/ben").parent) not in (folder / "adapter_config.json").read_text()
    card = (folder / "README.md").read_text()
    assert "An adapter over `tiny/ben`: LoRA of rank 4" in card
    assert "| without the adapter |" in card
    assert "| embedding table | of `tiny/ben`, frozen |" in card
    assert any(line.startswith("without the adapter: ") for line in told)


def test_the_engine_says_with_it_what_peft_says(trained):
    """In text, greedily, both rows of one batch: the base's own and the adapter's."""
    folder, _ = trained
    model, tokenizer = adapter.load(RECIPE, folder)
    turn = TaughtTurn(replace(PROMPT, format="plain"), "")
    (want,) = complete(model, tokenizer, [turn], longest=12)
    with model.disable_adapter():
        (base,) = complete(model, tokenizer, [turn], longest=12)
    assert want != base
    backend = TransformersBackend("tiny/ben", dtype="float32")
    sampling = Sampling(temperature=0.0, max_tokens=12)
    prompt = turn.prompt
    with_it, without = say(backend, [Request(prompt, sampling, adapter=str(folder)), Request(prompt, sampling)])
    assert with_it.message.text.strip() == want.strip()
    assert without.message.text.strip() == base.strip()


def test_its_vectors_are_on_the_bases_table(trained):
    folder, _ = trained
    backend = TransformersBackend("tiny/ben", dtype="float32")
    sampling = Sampling(temperature=0.5, max_tokens=6)
    with_it, without = say(
        backend,
        [Request(PROMPT, sampling, "expectation", adapter=str(folder)), Request(PROMPT, sampling, "expectation")],
    )
    assert with_it.message.model.same_table(without.message.model)
    assert with_it.message.num_tokens == without.message.num_tokens == 6
    assert not torch.equal(with_it.message.cipher.vectors, without.message.cipher.vectors)


def test_a_run_that_was_stopped_goes_on_to_the_same_adapter(trained, tmp_path, monkeypatch):
    train_until_the_second_look(RECIPE, tmp_path, monkeypatch)
    assert (tmp_path / "stage-1" / "finished.safetensors").is_file()
    assert not (tmp_path / "adapter").exists()
    ours, theirs = (load_file(path / WEIGHTS) for path in (training.train(RECIPE, tmp_path), trained[0]))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_mistakes_are_sentences(monkeypatch):
    with pytest.raises(ValidationError, match="an adapter is over a model; name it by `begin`"):
        Recipe(name="x", lora={}, stages=[{"steps": 1, "mixture": {"solve": 1}}])
    with pytest.raises(ValidationError, match="brings a table of its own"):
        Recipe(name="x", lora={}, begin="tiny/ben", table="tiny/ada", stages=[{"steps": 1, "mixture": {"solve": 1}}])
    with pytest.raises(ModelError, match="tiny/ben has no layers c_attn"):
        adapter.build(RECIPE.model_copy(update={"lora": RECIPE.lora.model_copy(update={"layers": ("c_attn",)})}))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingDependency, match="peft"):
        adapter.build(RECIPE)
