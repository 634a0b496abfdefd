"""What lies in a model's folder, read without the network and without running any of it.

A folder may name code of its own (`auto_map`), at the top of its config or in a config nested in it. transformers runs such
code where `trust_remote_code` is on and asks on the terminal where nothing is said; so nothing is read but through here.
"""

import contextlib
import hashlib
import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.errors import ModelError
from agents.json_text import is_deeper_than, parse_json
from agents.ordinary_file import read_ordinary, read_ordinary_text
from agents.printable import printable
from agents.registry import load, names

if TYPE_CHECKING:
    from torch import Tensor

# Entry points: the `model_type` of a config → the class of a causal language model that transformers does not have, whose
# module makes it known to transformers when it is imported. It is installed code, and nothing that comes with a checkpoint.
ARCHITECTURES = "debate.architectures"
# What these say of a checkpoint in a sentence: the end of its architecture's name → what it is.
KINDS = {
    "ForMaskedLM": "an encoder",
    "ForSequenceClassification": "a classifier",
    "ForTokenClassification": "a classifier of tokens",
    "ForMultipleChoice": "a classifier",
    "ForQuestionAnswering": "a finder of answers in a text",
    "ForNextSentencePrediction": "a classifier",
    "ForImageClassification": "a classifier of images",
    "ForAudioClassification": "a classifier of sounds",
    "ForRewardModel": "a reward model",
    "RewardModel": "a reward model",
}
MOST_LEVELS = 64
# Bytes of a JSON file beside a model's weights; the index of the largest has a few million.
LARGEST_JSON = 100_000_000
# Of multiply-accumulates.
LARGEST_COUNT = 1 << 80
# What a large file begins with that was not fetched with its repository.
POINTER = b"version https://git-lfs.github.com/"
# Of a model that transforms made: what it was made of, and how.
TRANSFORM = "transform.json"
MOST_LAYERS = 10_000
MOST_TOKENS = 10_000_000
# A number of so many, as the value of a key.
_FAR = re.compile(rb":\s*\d{8,}\s*[,}]")
# Numbers that a scheme of quantisation may have put into one of a file's.
PACKED = 16
# Of a config: what changes no result.
NAMES = ("_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures", "auto_map")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from logging what is said here in a sentence, or is nothing, and from drawing bars of its own."""
    from transformers.utils import logging as bars

    log = logging.getLogger("transformers")
    before, drew = log.level, bars.is_progress_bar_enabled()
    log.setLevel(logging.CRITICAL)
    bars.disable_progress_bar()
    try:
        yield
    finally:
        log.setLevel(before)
        if drew:
            bars.enable_progress_bar()


def read_config(folder: Path, *, name: str = "", trust_remote_code: bool = False) -> Any:
    """Return transformers' config of a model.

    Args:
        folder: where it is.
        name: what the user called it, for errors.
        trust_remote_code: run code that comes with it.

    Raises:
        ModelError: no config, one of a model that transformers does not have, or one that names code of its own.
    """
    from transformers import AutoConfig

    name = name or str(folder)
    if not trust_remote_code:
        _refuse_nested_code(folder, name)
    _import_architecture(folder)
    _refuse_endless(folder, name)
    try:
        with quiet():
            return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    except Exception as error:  # whatever a config makes transformers raise
        raise unreadable("the config", name, folder, error) from error


def _refuse_endless(folder: Path, name: str) -> None:
    """Raise ModelError for a config that speaks of more layers than any model has: transformers has a list of them."""
    path = folder / "config.json"
    left: list[Any] = [read_json(path)] if _is_file(path) else []
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += value.values()
            for key, count in value.items():
                # Gemma 3n's `vocab_size_per_layer_input` counts no layers.
                if "layer" in key and "per_layer" not in key and isinstance(count, int | float) and count > MOST_LAYERS:
                    raise ModelError(
                        f"{name}: {path.name} has {key}: {count:g}; no model has more than {MOST_LAYERS:,}"
                    )


def _import_architecture(folder: Path) -> None:
    """Import the architecture that a model's config names, where it is one that an installed package registers."""
    with contextlib.suppress(OSError, ValueError):
        config = parse_json(read_ordinary_text(folder / "config.json", most=LARGEST_JSON))
        kind = config.get("model_type") if isinstance(config, dict) else None
        if isinstance(kind, str) and kind in names(ARCHITECTURES):
            load(kind, "architecture", ARCHITECTURES)


def read_tokenizer(folder: Path, *, name: str = "", trust_remote_code: bool = False) -> Any:
    """Return the tokenizer in a model's folder.

    Raises:
        ModelError: there is none, or one that needs code of its own.
    """
    from transformers import AutoTokenizer

    name = name or str(folder)
    if not trust_remote_code:
        _refuse_nested_code(folder, name)
    _refuse_far_tokens(folder, name)
    try:
        with quiet():
            tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=trust_remote_code, local_files_only=True
            )
            # Some folders make one that fails at its first word, or at what stands around a text.
            tokenizer("a", add_special_tokens=False)
            tokenizer("a")
    except Exception as error:  # whatever a folder makes transformers raise
        raise unreadable("the tokenizer", name, folder, error) from error
    except BaseException as error:
        # What the library's Rust raises where it has not looked is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise unreadable("the tokenizer", name, folder, error) from error
    return tokenizer


def _refuse_far_tokens(folder: Path, name: str) -> None:
    """Raise ModelError for a tokenizer with a token of a number that no model has: the library counts up to it."""
    for path in (folder / "tokenizer.json", folder / "vocab.json"):
        if not _is_file(path):
            continue
        try:
            is_far = _FAR.search(read_ordinary(path, most=LARGEST_JSON)) is not None
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error}") from error
        if not is_far:
            continue
        found = read_json(path)
        model, added = found.get("model"), found.get("added_tokens")
        vocabulary = model.get("vocab") if isinstance(model, dict) else found
        numbers = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
        numbers += [token.get("id") for token in added if isinstance(token, dict)] if isinstance(added, list) else []
        if far := next((number for number in numbers if type(number) is int and number >= MOST_TOKENS), None):
            raise ModelError(f"{name}: {path.name} has a token {far}; no model has more than {MOST_TOKENS:,}")


def refuse_other_kinds(config: Any, name: str) -> None:
    """Raise ModelError for a checkpoint that does not continue a text from left to right."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    named = getattr(config, "architectures", None)
    architecture = str(named[0]) if named and isinstance(named, list) else type(config).__name__.removesuffix("Config")
    kind = next((kind for ending, kind in KINDS.items() if architecture.endswith(ending)), None)
    of_code = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if getattr(config, "is_encoder_decoder", False):
        kind = "an encoder–decoder"
    elif kind is None and config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        kind = None if getattr(config, "is_decoder", False) else "an encoder"
    elif (
        kind is None
        and not of_code
        and config.model_type not in {*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *names(ARCHITECTURES)}
    ):
        kind = "of a type that transformers has no causal language model for"
    if kind is not None:
        raise ModelError(f"{name} is {kind} ({architecture}); a debater needs a causal language model")


def weight_files(folder: Path, name: str) -> list[Path]:
    """Return the safetensors files that a model is loaded from, in order.

    Raises:
        ModelError: there are none, or one is missing.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if index.is_file():
        named = read_json(index).get("weight_map")
        if not isinstance(named, Mapping) or not all(isinstance(file, str) for file in named.values()):
            raise ModelError(f"{name}: {index} has no weight_map, which names the files of the weights")
        files = [folder / file for file in sorted(set(named.values()))]
        if missing := [file.name[:80] for file in files if file.parent != folder or not _is_file(file)]:
            raise ModelError(f"{name}: {index.name} names files that are not in {folder}: {some(missing)}")
        return files
    pickles = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
    has = f"; {some(pickles)} can run code when read, and is not" if pickles else ""
    raise ModelError(f"{name} has no weights in model.safetensors{has}. Save it with safetensors first.")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def weights_hash(folder: Path, name: str) -> str:
    """Return the SHA-256 of what a model computes by: the weight files, and the config but for names and versions."""
    config = {key: value for key, value in read_json(folder / "config.json").items() if key not in NAMES}
    sha = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for path in weight_files(folder, name):
        with path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()


def origin_of(folder: Path) -> str:
    """Return which base a transformed model was made of, and by which recipe, in a line; empty for any other model."""
    record = transform_record(folder)
    if record is None:
        return ""
    line = f"{record['base']} (weights {record['base_weights'][:12]}) | {' | '.join(record['recipe'])}"
    return printable(" ".join(line.split()))


def transform_record(folder: Path) -> dict[str, Any] | None:
    """Return what a transformed model's folder says of how it was made; None without it, or where it is something else."""
    if not _is_file(folder / TRANSFORM):
        return None
    try:
        record = read_json(folder / TRANSFORM)
    except ModelError:
        return None
    return record if _is_record(record) else None


def _is_record(found: Any) -> bool:
    """Whether a record, and those of what its base was made of, has texts and numbers where others read them."""
    if not isinstance(found, dict) or ("base_made_by" in found and not _is_record(found["base_made_by"])):
        return False
    recipe, steps, whole = found.get("recipe"), found.get("steps", []), found.get("whole")
    if not (isinstance(recipe, list) and isinstance(steps, list) and all(isinstance(step, dict) for step in steps)):
        return False
    texts = [*(found.get(key) for key in ("base", "base_weights", "digest")), *recipe]
    if not all(isinstance(text, str) for text in texts) or not (whole is None or isinstance(whole, dict)):
        return False
    kept = [step["macs_kept"] for step in steps if "macs_kept" in step]
    counts = [] if whole is None else [whole.get(key) for key in ("map_macs", "map_macs_used", "map_macs_before")]
    return all(type(share) in (int, float) and 0 <= share < math.inf for share in kept) and all(
        type(count) is int and 0 <= count < LARGEST_COUNT for count in counts
    )


def stored_weights(folder: Path, name: str) -> Iterator[tuple[str, "Tensor"]]:
    """Yield the weights in a model's files by name, one at a time."""
    from safetensors import SafetensorError, safe_open

    for path in weight_files(folder, name):
        try:
            with safe_open(path, "pt") as file:
                for key in file.keys():  # noqa: SIM118 (no mapping)
                    yield key, file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise unreadable(path.name, name, folder, error) from error


def held(folder: Path, name: str, *, packed: bool = False) -> tuple[int, int]:
    """Return how many tensors a model's files hold, and how many numbers.

    Args:
        folder, name: of the model.
        packed: whether a scheme of quantisation may have put several numbers into one.

    Raises:
        ModelError: they cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    tensors = numbers = 0
    for path in weight_files(folder, name):
        try:
            with safe_open(path, "pt") as file:
                for key in file.keys():  # noqa: SIM118 (no mapping)
                    tensors, numbers = tensors + 1, numbers + math.prod(file.get_slice(key).get_shape())
        except (SafetensorError, OSError) as error:
            raise unreadable(path.name, name, folder, error) from error
    return tensors, numbers * (PACKED if packed else 1)


def refuse_incomplete(name: str, report: Mapping[str, Any]) -> None:
    """Raise ModelError where transformers' report of a load tells of weights that are not the model's own."""
    sentences: dict[str, Callable[[str], str]] = {
        "mismatched_keys": lambda keys: f"has weights of other shapes than its config says ({keys})",
        "missing_keys": lambda keys: f"lacks weights ({keys}), which would be random",
        "unexpected_keys": lambda keys: f"has weights that its architecture does not use ({keys})",
    }
    for kind, sentence in sentences.items():
        keys = sorted(key if isinstance(key, str) else str(key[0]) for key in report[kind])
        if keys:
            raise ModelError(
                f"the checkpoint of {name} {sentence(some(keys))}: its answers would not be the model's own. Get it whole, or "
                "load it with the architecture that it was saved from"
            )


def refuse_not_finite(weights: Iterable[tuple[str, "Tensor"]], name: str) -> None:
    """Raise ModelError for the first weight that holds a NaN or an infinity."""
    import torch

    # Of quantised weights the scales are checked.
    checked = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    for key, weight in weights:
        if weight.dtype not in checked or not weight.numel():
            continue
        # A NaN is in both, and the least and the greatest are found in one pass at the speed of memory.
        if not all(bool(torch.isfinite(end)) for end in torch.aminmax(weight.detach())):
            hint = (
                " If its numbers are too large for float16, use dtype: bfloat16."
                if weight.dtype == torch.float16
                else ""
            )
            raise ModelError(
                f"the checkpoint of {name} has weights that are not finite (NaN or infinite), in {key}.{hint}"
            )


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file.

    Raises:
        ModelError: it cannot be read, or is none.
    """
    try:
        found = parse_json(read_ordinary_text(path, most=LARGEST_JSON))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: a mapping was expected; got a {type(found).__name__}")
    if is_deeper_than(found, MOST_LEVELS):
        raise ModelError(f"{path}: its JSON is nested more than {MOST_LEVELS} levels deep, which no model's is")
    return found


def some(names: list[str], most: int = 3) -> str:
    """Return names for a sentence: the first few, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def unreadable(what: str, name: str, folder: Path, error: BaseException) -> ModelError:
    """Return the error of something in a model's folder that transformers does not take: its first sentence."""
    if pointers := [path.name for path in sorted(folder.glob("*")) if _is_pointer(path)]:
        return ModelError(
            f"{name}: of {some(pointers)} there is only what Git LFS keeps in its place. `git lfs pull` in {folder} fetches it"
        )
    said = " ".join(str(error).split())
    if "trust_remote_code" in said or "custom code" in said:
        return ModelError(
            f"{name} needs code that comes with it, which is not run. If you trust it, give the option trust_remote_code: true"
        )
    if "does not recognize this architecture" in said:
        said = said.partition(" but Transformers")[0].removeprefix("The checkpoint you are trying to load has ")
        return ModelError(f"{name} has {said}, which this version of transformers does not have")
    if isinstance(error, KeyError):
        said = f"it names {said}, which transformers does not have there"
    said = said if len(said) <= 300 else f"{said[:300]}…"
    where = "" if name == str(folder) else f" from {folder}"
    return ModelError(f"cannot load {what} of {name}{where}: {said or type(error).__name__}")


def _is_pointer(path: Path) -> bool:
    """Whether a file stands for a large one that was not fetched with its repository."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def _refuse_nested_code(folder: Path, name: str) -> None:
    """Raise ModelError for a config within a config that names code of its own: transformers asks about it, or runs it."""
    for path in sorted(folder.glob("*config.json")):
        for key, value in read_json(path).items():
            if key != "auto_map" and _names_code(value):
                raise ModelError(
                    f"{name}: {path.name} names code of its own (auto_map within {key}), which is not run. If you trust it, give "
                    "the option trust_remote_code: true"
                )


def _names_code(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "auto_map" in value or any(map(_names_code, value.values()))
    return isinstance(value, list) and any(map(_names_code, value))
