"""A model in a folder: its sizes and options in config.json, its weights in model.safetensors."""

import json
import os
import re
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from agents.errors import BeliefError, ConfigError, ModelError, first_line
from agents.hollow import no_larger_than
from agents.models.stored import read_stored, typed
from agents.ordinary_file import check_ordinary

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MOST_BLOCKS = 32
"""Of one kind in a published model; those that are read have 12 at most."""
M = TypeVar("M", bound=nn.Module)


def load_model(
    folder: str | Path, what: str, make: Callable[[Any], M], *, options_of: Callable[..., object] | None = None
) -> tuple[M, dict[str, Any]]:
    """Return the model of a folder, made of its sizes, and the options that lie beside them.

    Args:
        folder: where it is.
        what: the model is called, for errors.
        make: returns an untrained model of the sizes.
        options_of: the class whose options they are, by which they are checked.

    Raises:
        ModelError: no such model there, or one whose weights or options are not those that its config describes.
    """
    folder = located(folder)
    with explained(f"no {what} in {folder}"):
        stored = read_stored(folder / CONFIG)
        model = built(make, stored.pop("model"), folder / WEIGHTS)
        return model, stored if options_of is None else typed(options_of, stored)


def built(make: Callable[[Any], M], sizes: Any, weights: Path) -> M:
    """Return a model of some sizes with the weights of a file; one of far more weights is not built.

    Raises:
        ValueError, RuntimeError and others of `explained`: they do not fit, or are no numbers.
    """
    from safetensors.torch import load_file

    found = load_file(check_ordinary(weights))
    check_finite(found)
    with no_larger_than(len(found), sum(tensor.numel() for tensor in found.values())):
        model = make(sizes)
    check_kinds(found, model.state_dict())
    model.load_state_dict(found)
    return model


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Say in a sentence what is wrong with a checkpoint that is read within.

    Raises:
        ModelError: `what`, and why.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        ArithmeticError,
        RuntimeError,
        AssertionError,
        MemoryError,
        SafetensorError,
        # Sizes that do not fit together, by the model's own config.
        ConfigError,
        ModelError,
        BeliefError,
    ) as error:
        raise ModelError(f"{what}: {first_line(error)[:300]}") from error


def save_model(folder: Path, model: nn.Module, sizes: Mapping[str, object], **options: object) -> None:
    """Write what `load_model` reads."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / WEIGHTS)
    # Last: a folder with a config is whole.
    (folder / CONFIG).write_text(json.dumps({"model": dict(sizes), **options}, indent=1) + "\n")


def json_fields(config: "DataclassInstance") -> dict[str, object]:
    """Return the fields of a config as JSON values, tuples as lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def is_ours(folder: Path) -> bool:
    """Return whether a folder has a config.json that `save_model` wrote; published ones hold no sizes under `model`."""
    try:
        return isinstance(read_stored(folder / CONFIG).get("model"), dict)
    except (OSError, ValueError):
        return False


@contextmanager
def official(path: Path, what: str) -> Iterator[Any]:
    """Give what a published file of torch or safetensors holds, tensors alone; what goes wrong with it is said in a sentence.

    Raises:
        ModelError: the file is not there, holds more than tensors, or what is read from it within does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            yield load_file(check_ordinary(path))
        else:
            yield _tensors(path)
    except (
        OSError,
        EOFError,
        RuntimeError,
        KeyError,
        AttributeError,
        TypeError,
        ValueError,
        IndexError,
        SafetensorError,
    ) as error:
        reason = first_line(error, silent="it is empty")
        raise ModelError(f"{path} is no official {what}: {type(error).__name__}: {reason}") from error
    except Exception as error:
        # torch's unpickler has errors of its own, which it does not export.
        if type(error).__name__ == "UnpicklingError":
            raise ModelError(f"{path} is no official {what}: it holds more than tensors") from error
        raise


def located(place: str | Path) -> Path:
    """Return a path, `~` and `~user` resolved; a file whose name begins with `~` is written `./~name`.

    Raises:
        ModelError: there is no such user.
    """
    expanded = os.path.expanduser(place)
    if expanded.startswith("~"):
        raise ModelError(f"cannot tell where {place} is: no user has this name; a file of this name is ./{place}")
    return Path(expanded)


def _tensors(path: Path) -> Any:
    """Return what torch stored.

    Raises:
        ValueError: it is damaged, among other errors of torch's reader.
    """
    try:
        with warnings.catch_warnings():
            # Of an unusual pickle protocol: whether it can be read is seen.
            warnings.simplefilter("ignore")
            return torch.load(check_ordinary(path), map_location="cpu", weights_only=True)
    except (struct.error, AssertionError) as error:
        raise ValueError(f"it is damaged: {error}") from error


def count_blocks(names: Iterable[str], prefix: str) -> int:
    """Return how many blocks a published file has: one more than the highest number that follows a prefix in tensors' names.

    Raises:
        ValueError: there are none, one between is missing, or they are more than any such model has.
    """
    found = {int(said[1]) for name in names if (said := re.match(re.escape(prefix) + r"(\d+)\.", name, re.ASCII))}
    if not found:
        raise ValueError(f"it has no tensor {prefix}0.…")
    if (highest := max(found)) >= MOST_BLOCKS:
        raise ValueError(f"it has a tensor {prefix}{highest}.…, and at most {MOST_BLOCKS} blocks are built")
    if missing := set(range(highest)) - found:
        raise ValueError(f"it has a tensor {prefix}{highest}.… and none {prefix}{min(missing)}.…")
    return highest + 1


def filled(make: Callable[[], M], weights: Mapping[str, Tensor]) -> M:
    """Return a model with the weights of a published file, in eval mode; it takes no memory before they are known to fit.

    Raises:
        ValueError: a tensor is missing, is one too many, has another shape, or is not of numbers.
    """
    with torch.device("meta"):
        wanted = make().state_dict()
    if missing := wanted.keys() - weights.keys():
        raise ValueError(f"it has no tensor {min(missing)}")
    if unknown := weights.keys() - wanted.keys():
        raise ValueError(f"it has a tensor {min(unknown)}, which is none of the model's")
    for name, tensor in wanted.items():
        if weights[name].shape != tensor.shape:
            raise ValueError(f"{name} is {tuple(weights[name].shape)}, and {tuple(tensor.shape)} by its other tensors")
    check_finite(weights)
    check_kinds(weights, wanted)
    model = make()
    model.load_state_dict(weights)
    return model.eval()


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """Refuse tensors with NaN or an infinite number.

    Raises:
        ValueError: one has it.
    """
    if wrong := next((name for name, tensor in weights.items() if not bool(tensor.isfinite().all())), None):
        raise ValueError(f"its tensor {wrong} holds what is no number")


def check_kinds(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse tensors of integers, truth values or complex numbers where a model's are real: a quantised file's, without scales.

    Raises:
        ValueError: one is.
    """
    for name, tensor in weights.items():
        if name in wanted and wanted[name].is_floating_point() and not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ValueError(f"its tensor {name} is of {kind}, and the model's is of real numbers; give it unquantised")
