"""What the files of a published sentence model say of it: sentence-transformers' layout, old and new (version 6).

`modules.json` names the modules, the pooling's `config.json` its kind, `sentence_bert_config.json` the length,
`config_sentence_transformers.json` the prompts.
"""

from collections.abc import Mapping
from pathlib import Path

from agents.errors import ModelError
from agents.json_text import parse_json
from agents.models.sentences.folder import read_settings
from agents.models.stored import LARGEST_CONFIG, read_stored
from agents.ordinary_file import read_ordinary

TAKEN = ("Transformer", "Pooling", "Normalize")
_OLD = {
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}
"""Kinds of pooling in files of before version 6, `pooling_mode_…: true`, → their names now."""


def modules(folder: Path) -> list[dict[str, str]]:
    """Return type and path of each of a model's modules; none of a model without such a file.

    Raises:
        OSError, ValueError: a file that cannot be read, or is no list of modules.
    """
    if not (folder / "modules.json").is_file():
        return []
    found = parse_json(read_ordinary(folder / "modules.json", most=LARGEST_CONFIG))
    if not isinstance(found, list) or not all(
        isinstance(each, dict) and {"type", "path"} <= each.keys() for each in found
    ):
        raise ValueError("modules.json is no list of modules with type and path")
    return [{"type": str(each["type"]), "path": str(each["path"])} for each in found]


def pooling_folder(folder: Path, backend: str) -> Path | None:
    """Return the folder of a model's pooling; None of a model without such files.

    Raises:
        ModelError: it has modules that a backend does not know, by name.
        OSError, ValueError, KeyError: a file that cannot be read.
    """
    kinds = {module["type"].rpartition(".")[2]: module["path"] for module in modules(folder)}
    if not kinds:
        return None
    if odd := [kind for kind in kinds if kind not in TAKEN]:
        raise ModelError(
            f"{folder} has a module {odd[0]}; {backend} reads {', '.join(TAKEN)}. Use sentence_transformers."
        )
    return folder / kinds["Pooling"] if "Pooling" in kinds else None


def pooling(folder: Path, backend: str, taken: Mapping[str, str]) -> str | None:
    """Return how a model pools, by the names that a backend gives it; None where it does not say.

    Args:
        folder: of the model.
        backend: for errors.
        taken: sentence-transformers' name → the backend's.

    Raises:
        ModelError: another kind, several at once, or one that leaves the prompt out.
        OSError, ValueError, KeyError: a file that cannot be read.
    """
    place = pooling_folder(folder, backend)
    if place is None:
        return None
    config = read_stored(place / "config.json")
    if not config.get("include_prompt", True):
        raise ModelError(
            f"{folder} leaves its prompt out of the pooling, which {backend} does not. Use sentence_transformers."
        )
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [name for key, name in _OLD.items() if config.get(f"pooling_mode_{key}")]
    named = [modes] if isinstance(modes, str) else list(modes)
    if len(named) != 1 or named[0] not in taken:
        raise ModelError(f"{folder} pools by {', '.join(named) or 'nothing'}; {backend} reads {', '.join(taken)}")
    return taken[named[0]]


def longest(folder: Path) -> int | None:
    """Return after how many tokens a model's texts are cut, where it says so."""
    found = read_settings(folder / "sentence_bert_config.json").get("max_seq_length")
    return int(found) if found else None


def query_prompt(folder: Path) -> str:
    """Return what stands before a model's questions; nothing where it has no prompt of that name."""
    prompts = read_settings(folder / "config_sentence_transformers.json").get("prompts") or {}
    return str(prompts.get("query", ""))
