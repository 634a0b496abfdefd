"""What is trained whole: a Llama with tied tables, or one that foretells several tokens, from random weights or a debater's.

`adapter.py` is the other form.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agents.errors import ModelError
from agents.pretrained import locate
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
    of, _ = _architecture(recipe)
    return of.from_pretrained(folder, dtype=torch.float32), make_tokenizer()


def _architecture(recipe: Recipe) -> tuple[Any, Any]:
    """Return the classes of a recipe's model and of its config."""
    from transformers import LlamaConfig, LlamaForCausalLM

    if recipe.future is None:
        return LlamaForCausalLM, LlamaConfig
    from agents.models.ftp.model import FTPConfig, FTPForCausalLM

    return FTPForCausalLM, FTPConfig


def build_model(recipe: Recipe, tokenizer: Any) -> Any:
    """Return a model with its tables tied: random weights, or those of the model that the recipe begins with.

    Raises:
        ModelError: that model, or the one whose table is taken, is of another shape, or there is none.
        UnknownName: it is no debater of this package.
    """
    of, of_config = _architecture(recipe)
    shape = recipe.shape.model_dump()
    if recipe.future is not None:
        shape |= recipe.future.model_dump(exclude={"layers"}) | {"decoder_layers": recipe.future.layers}
    config = of_config(
        vocab_size=len(tokenizer),
        num_key_value_heads=recipe.shape.num_attention_heads,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=False,
        attn_implementation="sdpa",
        **shape,
    )
    model = of(config)
    if recipe.begin is not None:
        weights, into = _weights(recipe.begin), dict(model.named_parameters())
        if recipe.future is not None and not any(map(is_of_future, weights)):
            into = {name: tensor for name, tensor in into.items() if not is_of_future(name)}
        _copy(weights, into, f"{recipe.name} begins with {recipe.begin}")
    if recipe.table is not None:
        table = {name: tensor for name, tensor in _weights(recipe.table).items() if name == TABLE}
        _copy(table, {TABLE: model.get_input_embeddings().weight}, f"{recipe.name} takes the table of {recipe.table}")
    return model


def is_of_future(name: str) -> bool:
    """Whether a weight is of what foretells."""
    return name.startswith("future.")


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
