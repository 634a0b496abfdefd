"""A classifier of how a debater's texts will end: trained by its recipe, kept, and used by the engine; recipes that cannot be."""

import pytest
import torch
from pydantic import ValidationError
from support.plain_loops import generate

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.decoding.attributes import read_classifier
from agents.errors import ModelError
from agents.models.acbs.samples import Sampled, prefixes_of
from agents.models.ftp.model import FTPConfig, FTPForCausalLM
from agents.pretrained import locate
from debate.config.shipped import configs_folder
from evals.training import attributes
from evals.training import train as training
from evals.training.recipe import Recipe, load_recipe

SMALL = Recipe(name="small", begin="tiny/ben", classifier={"samples": 20, "steps": 3}, longest=30)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    told = []
    return training.train(SMALL, tmp_path_factory.mktemp("attributes"), say=told.append), told


def test_it_learns_of_the_models_own_texts_and_is_kept(trained):
    path, told = trained
    assert path.name == "attributes.safetensors"
    assert told[0].startswith("20 texts of tiny/ben, ")
    classifier, of = read_classifier(str(path))
    assert (classifier.horizon, classifier.loop, classifier.width) == (30, 2, 192)
    assert of["model"] == "tiny/ben"
    again = []
    assert training.train(SMALL, path.parent, say=again.append) == path
    assert "is trained already" in again[0]


def test_the_same_recipe_gives_the_same_classifier(tmp_path):
    # Not the one that is shared: it may have been made on more threads, which add in another order.
    first, second = (read_classifier(str(training.train(SMALL, tmp_path / name)))[0] for name in ("one", "two"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_engine_searches_with_it(trained):
    model = LoadedModel(locate("tiny/ben"), name="tiny/ben", dtype="float32", device="cpu", rows=4)
    asked = Request(
        Prompt.of("What is the result of 1+2*3+4-5*6?"),
        Sampling(max_tokens=6, likelihood=True),
        decoding=f'acbs(width=2, classifier="{trained[0]}")',
    )
    (found,) = generate(Engine(model, max_num_seqs=4), [asked])
    assert found.usage.generated_tokens > 6
    assert found.log_likelihood < 0


def test_samples_are_of_several_prompts_and_texts_end_where_the_model_ends_them():
    model, tokenizer = attributes.base(SMALL)
    texts = attributes._samples(SMALL, SMALL.classifier, model.eval(), tokenizer)
    assert len({text.prompt for text in texts}) > 6
    assert all(tokenizer.eos_token_id not in text.tokens for text in texts)
    assert all(text.complete or len(text.tokens) == 30 for text in texts)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({}, "a recipe has at least one"),
        ({"classifier": {}}, "name that by `begin`"),
        (
            {"classifier": {}, "begin": "tiny/ben", "stages": [{"steps": 1, "mixture": {"solve": 1}}]},
            "leave out stages",
        ),
        (
            {"classifier": {"samples": 1}, "begin": "tiny/ben"},
            "a classifier learns from at least 20 texts, of which a tenth is kept apart; this is 1: give more",
        ),
        (
            {"classifier": {"mixture": {"weigh": 1}}, "begin": "tiny/ben"},
            "weigh is nothing that is taught in arithmetic",
        ),
    ],
)
def test_what_cannot_be_a_recipe(wrong, match):
    with pytest.raises(ValidationError, match=match):
        Recipe.model_validate({"name": "x", **wrong})


def test_the_shipped_recipe_is_of_dee():
    recipe = load_recipe(configs_folder() / "training" / "dee_acbs.yaml")
    assert (recipe.begin, recipe.stages) == ("tiny/dee", ())


def test_a_model_whose_head_reads_no_last_state_is_refused():
    """A search looks at what the head reads: of a model that foretells that is its decoder's, and no state of its blocks."""
    config = FTPConfig(
        vocab_size=20, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, horizon=2,
        tie_word_embeddings=True, pad_token_id=0,
    )  # fmt: skip
    with pytest.raises(ModelError, match="a model's head reads, and FTPForCausalLM makes something else"):
        prefixes_of(FTPForCausalLM(config).eval(), [Sampled((3, 4), (5, 6), True)], 4, 2)


def test_texts_without_a_token_teach_nothing():
    model, tokenizer = attributes.base(SMALL)
    prompt = tuple(tokenizer("1+2=")["input_ids"])
    with pytest.raises(ModelError, match="ends each of 2 texts before its first token: sample more texts"):
        prefixes_of(model.eval(), [Sampled(prompt, (), True)] * 2, 4, 2)
