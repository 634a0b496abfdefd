"""Whether the files of a model's weights are whole and agree with their index and config, before anything is computed by them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.errors import ModelError
from agents.model_folder import read_json, some, unreadable, weight_files


def refuse_damaged(folder: Path, config: Any, name: str) -> None:
    """Raise ModelError for weight files that are not whole, or not those that the index and the config speak of.

    Args:
        folder: of the model.
        config: transformers' own of it.
        name: what the user called it.
    """
    kinds: dict[str, str] = {}
    holders: dict[str, str] = {}
    files = weight_files(folder, name)
    for path in files:
        for key, kind in _head(path, name).items():
            if key in holders:
                raise ModelError(
                    f"{name}: {holders[key]} and {path.name} both hold {key}, and nothing says which of them is right"
                )
            kinds[key], holders[key] = kind, path.name
    if files != [folder / "model.safetensors"]:
        _refuse_other_index(folder / "model.safetensors.index.json", holders, name)
    # Numbers that some scheme has packed: read as they stand they would be other weights.
    packed = sorted(key for key, kind in kinds.items() if key.endswith("weight") and kind[0] in "IU")
    if packed and getattr(config, "quantization_config", None) is None:
        raise ModelError(
            f"the checkpoint of {name} holds weights as whole numbers ({some(packed)}), and its config does not say how they "
            "were quantised"
        )


def _head(path: Path, name: str) -> Mapping[str, str]:
    """Return which weights a file holds, and of which kind their numbers are."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {key: str(file.get_slice(key).get_dtype()) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise unreadable(
            f"{path.name}, which is damaged or was not fetched whole,", name, path.parent, error
        ) from error


def _refuse_other_index(index: Path, holders: Mapping[str, str], name: str) -> None:
    """Raise ModelError for an index that says other than the files that it names."""
    found = read_json(index)
    if not isinstance(found.get("metadata"), Mapping):
        raise ModelError(f"{name}: {index.name} has no metadata, without which transformers does not read it")
    named = found["weight_map"]
    wrong = sorted(key for key in {*named, *holders} if named.get(key) != holders.get(key))
    if wrong:
        raise ModelError(
            f"{name}: {index.name} and the files that it names do not agree on where these weights are: {some(wrong)}. Get the "
            "checkpoint whole"
        )
