"""What is trained whole: a Llama with tied tables, or another architecture made of one, from random weights or a debater's.

`adapter.py` is the other form.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agents.errors import ModelError
from agents.pretrained import locate
from evals.training.architecture import Design, Llama
from evals.training.recipe import Recipe, Stage
from evals.training.vocabulary import make_tokenizer

MODEL = "model"
TABLE = "model.embed_tokens.weight"


def build(recipe: Recipe) -> tuple[Any, Any]:
    """Return a model with its tables tied, random weights or those of the model that the recipe begins with, and its tokenizer.

    Raises:
        ModelError: that model, or the one whose table is taken, is of another shape, or there is none.
        UnknownName: it is no debater of this package.
    """
    tokenizer = make_tokenizer()
    return build_model(recipe, tokenizer), tokenizer


def begin_stage(model: Any, recipe: Recipe, stage: Stage) -> None:
    """Say what of the model a stage trains."""
    model.get_input_embeddings().weight.requires_grad_(stage.table == "learned" and recipe.table is None)


def keep(model: Any, path: Path) -> None:
    """Write what a stage made of the model."""
    from safetensors.torch import save_model

    save_model(model, str(path))


def load_kept(model: Any, path: Path) -> None:
    """Read what `keep` wrote."""
    from safetensors.torch import load_model

    load_model(model, path)


def load(recipe: Recipe, folder: Path) -> tuple[Any, Any]:
    """Return the trained model of a folder in float32, and its tokenizer."""
    of, _ = recipe.architecture.classes()
    return of.from_pretrained(folder, dtype=torch.float32), make_tokenizer()


def build_model(recipe: Recipe, tokenizer: Any) -> Any:
    """Return a model with its tables tied: random weights, or those of the model that the recipe begins with.

    Raises:
        ModelError: that model, or the one whose table is taken, is of another shape, or there is none.
        UnknownName: it is no debater of this package.
    """
    model = _random(recipe, recipe.architecture, tokenizer)
    if recipe.begin is not None:
        weights, into = _weights(recipe.begin), dict(model.named_parameters())
        with torch.device("meta"):
            shared = dict(_random(recipe, Llama(), tokenizer).named_parameters())
        if not weights.keys() & (into.keys() - shared.keys()):
            into = {name: tensor for name, tensor in into.items() if name in shared}
        _copy(weights, into, f"{recipe.name} begins with {recipe.begin}")
    if recipe.table is not None:
        table = {name: tensor for name, tensor in _weights(recipe.table).items() if name == TABLE}
        _copy(table, {TABLE: model.get_input_embeddings().weight}, f"{recipe.name} takes the table of {recipe.table}")
    return model


def _random(recipe: Recipe, architecture: Design, tokenizer: Any) -> Any:
    """Return a model of the recipe's shape with random weights."""
    of, of_config = architecture.classes()
    config = of_config(
        vocab_size=len(tokenizer),
        num_key_value_heads=recipe.shape.num_attention_heads,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=False,
        attn_implementation="sdpa",
        **recipe.shape.model_dump(),
        **architecture.sizes(),
    )
    return of(config)


def _weights(model: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    path = locate(model) / "model.safetensors"
    if not path.is_file():
        raise ModelError(f"{model}: there is no {path}; the weights of a debater are in one such file")
    weights: dict[str, torch.Tensor] = load_file(path)
    return weights


def _copy(weights: Mapping[str, torch.Tensor], into: Mapping[str, torch.Tensor], what: str) -> None:
    theirs, ours = ({name: list(tensor.shape) for name, tensor in some.items()} for some in (weights, into))
    if theirs != ours:
        name = min(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        raise ModelError(
            f"{what}, whose {name} is {theirs.get(name, 'not there')}, and the recipe needs {ours.get(name, 'none')}: "
            "the same `shape` is needed"
        )
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(weights[name])


def save(model: Any, tokenizer: Any, recipe: Recipe, folder: Path) -> None:
    """Write a model as debates load it: bfloat16 weights, tokenizer, when to stop."""
    from transformers import GenerationConfig

    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    saved = type(model)(model.config)
    saved.load_state_dict(model.state_dict())
    saved.to(torch.bfloat16)
    saved.config.use_cache = True
    saved.generation_config = GenerationConfig(**ids)
    saved.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
