"""What is trained as an adapter: LoRA over any causal model, in peft's layout, which the engines load by `adapter: FOLDER`.

Many adapters share one base, and messages of all of them are on its table, for the table is not trained.
"""

from pathlib import Path
from typing import Any

import torch

from agents.errors import MissingDependency, ModelError
from agents.model_folder import read_config, read_tokenizer
from agents.pretrained import locate
from evals.training.recipe import Recipe, Stage

MODEL = "adapter"


def build(recipe: Recipe) -> tuple[Any, Any]:
    """Return the base model with an adapter that adds nothing yet, and its tokenizer.

    Raises:
        MissingDependency: peft is not installed.
        ModelError: the base has none of the layers that the recipe names, or no token that ends or pads a message.
    """
    peft = _peft()
    assert recipe.lora is not None
    model, tokenizer = base(recipe)
    config = peft.LoraConfig(
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        target_modules=list(recipe.lora.layers),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        return peft.get_peft_model(model, config), tokenizer
    except ValueError as error:
        raise ModelError(f"{recipe.begin} has no layers {', '.join(recipe.lora.layers)}: {error}") from error


def begin_stage(model: Any, recipe: Recipe, stage: Stage) -> None:
    """Do nothing: every stage trains the adapter, and it alone."""


def keep(model: Any, path: Path) -> None:
    """Write what a stage made of the adapter."""
    from safetensors.torch import save_file

    tensors = _peft().get_peft_model_state_dict(model)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def load_kept(model: Any, path: Path) -> None:
    """Read what `keep` wrote."""
    from safetensors.torch import load_file

    _peft().set_peft_model_state_dict(model, load_file(path))


def save(model: Any, tokenizer: Any, recipe: Recipe, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors; the base is named as the recipe names it."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = recipe.begin
    model.save_pretrained(folder)


def load(recipe: Recipe, folder: Path) -> tuple[Any, Any]:
    """Return the base model in float32 with the trained adapter of a folder, and its tokenizer."""
    model, tokenizer = base(recipe)
    return _peft().PeftModel.from_pretrained(model, folder), tokenizer


def base(recipe: Recipe) -> tuple[Any, Any]:
    """Return the model that a recipe begins with, in float32, and its tokenizer.

    Raises:
        ModelError: its tokenizer has no token that ends or pads a message.
    """
    from transformers import AutoModelForCausalLM

    assert recipe.begin is not None
    path = locate(recipe.begin)
    config = read_config(path, name=recipe.begin)
    model = AutoModelForCausalLM.from_pretrained(
        path, config=config, dtype=torch.float32, trust_remote_code=False, use_safetensors=True, local_files_only=True
    )
    tokenizer = read_tokenizer(path, name=recipe.begin)
    if tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of {recipe.begin} has no token that ends or pads a message")
    return model, tokenizer


def _peft() -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise MissingDependency("debate train with `lora`", "peft", "train") from error
    return peft
