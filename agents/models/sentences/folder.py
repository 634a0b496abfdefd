"""Models of transformers in a folder: weights and tokenizer in its layout, and our own file of settings, written last."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from agents.errors import ModelError, first_line
from agents.hollow import no_larger_than
from agents.model_folder import held, read_config, read_tokenizer
from agents.models.stored import read_stored


def read_settings(path: Path) -> dict[str, Any]:
    """Return our settings; none where a model of somebody else's has none.

    Raises:
        OSError, ValueError: the file cannot be read.
    """
    return read_stored(path) if path.is_file() else {}


def write_settings(path: Path, settings: Mapping[str, object]) -> None:
    """Write our settings, after all else: a folder with them is whole."""
    path.write_text(json.dumps(dict(settings), indent=1) + "\n")


def load_encoder(
    folder: Path, made_of: Any, *, kind: str, backend: str, what: str, zero: Sequence[str] = (), **options: Any
) -> tuple[Any, Any]:
    """Return the body of an encoder, in float32, and its tokenizer.

    Args:
        folder: where they are.
        made_of: the class of transformers.
        kind: the `model_type` that it reads.
        backend, what: for errors: who reads it, and what is not there.
        zero: weights that are 0 where the folder has none.
        options: of `from_pretrained`.

    Raises:
        ModelError: another kind of model, or none, or one that lacks weights.
    """
    try:
        found = read_stored(folder / "config.json").get("model_type")
        if found != kind:
            raise ModelError(f"{backend} reads models of type {kind}; {folder} holds {found!r}")
        read_config(folder)
        with no_larger_than(*held(folder, str(folder))):
            body, report = made_of.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
                use_safetensors=True,
                local_files_only=True,
                **options,
            )
        tokenizer = read_tokenizer(folder)
    except (OSError, ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise ModelError(f"no {what} in {folder}: {first_line(error)}") from error
    refuse_more_tokens(tokenizer, body.get_input_embeddings().num_embeddings, folder)
    missing = set(report["missing_keys"])
    for name in missing.intersection(zero):
        body.get_parameter(name).data.zero_()
    if missing.difference(zero):
        raise ModelError(f"{folder} lacks weights, first {min(missing.difference(zero))}")
    return body, tokenizer


def refuse_more_tokens(tokenizer: Any, rows: int, folder: Path) -> None:
    """Raise ModelError where a text may have a token that a model has no row of; those that were added no text has."""
    known = tokenizer.get_vocab().values()
    if (most := max(known, default=0)) < rows:
        return
    added = getattr(tokenizer, "added_tokens_decoder", {})
    if most := max((token for token in known if token not in added and token >= rows), default=0):
        raise ModelError(f"{folder}: its tokenizer has a token {most}, and its model {rows} rows of tokens")


def save_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write a model and its tokenizer in transformers' layout."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
