"""How a published checkpoint is read: its pooling, its attention and its length, from its own files or not at all.

The files are sentence-transformers': `modules.json` names the modules, the pooling's `config.json` its kind, and
`sentence_bert_config.json` the length. Whether attention is causal stands in transformers' `config.json` (`is_causal`), or is
what transformers' Qwen2 does; where a checkpoint has attention in code of its own, which is not run, it has to be said.
"""

import json
from pathlib import Path
from typing import Any

from agents.errors import ModelError
from agents.models.kalm.model import Reading
from agents.models.sentences.folder import read_settings

POOLINGS = {"mean": "mean", "lasttoken": "last"}
"""sentence-transformers' name → ours."""
_OLD = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "weightedmean_tokens": "weightedmean", "lasttoken": "lasttoken"}  # fmt: skip
"""Kinds in files of before version 6: `pooling_mode_…`: true → its name now."""
TAKEN = ("Transformer", "Pooling", "Normalize")


def published_reading(folder: Path, given: dict[str, Any]) -> tuple[Reading, str]:
    """Return how a checkpoint without a file of ours is read, and its instruction for questions.

    Args:
        folder: of the checkpoint.
        given: fields of `Reading` that the user says; what it has of itself is not looked for then.

    Raises:
        ModelError: what is not said by anybody, or what is not done here.
        OSError, ValueError: a file that cannot be read.
    """
    modules = json.loads((folder / "modules.json").read_text()) if (folder / "modules.json").is_file() else []
    kinds = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in modules}
    if odd := [kind for kind in kinds if kind not in TAKEN]:
        raise ModelError(f"{folder} has a module {odd[0]}; kalm reads {', '.join(TAKEN)}. Use sentence_transformers.")
    found: dict[str, Any] = {}
    if "pooling" not in given:
        found["pooling"] = _pooling(folder, kinds)
    if "bidirectional" not in given:
        found["bidirectional"] = _bidirectional(folder)
    longest = read_settings(folder / "sentence_bert_config.json").get("max_seq_length")
    if longest:
        found["longest"] = int(longest)
    prompts = read_settings(folder / "config_sentence_transformers.json").get("prompts") or {}
    return Reading(**{**found, **given}), str(prompts.get("query", ""))


def _pooling(folder: Path, kinds: dict[str, str]) -> str:
    if "Pooling" not in kinds:
        raise ModelError(
            f"{folder} does not say how it pools (no modules.json): give options: {{pooling: mean}} or last"
        )
    config = json.loads((folder / kinds["Pooling"] / "config.json").read_text())
    if not config.get("include_prompt", True):
        raise ModelError(
            f"{folder} leaves its prompt out of the pooling, which kalm does not. Use sentence_transformers."
        )
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [name for key, name in _OLD.items() if config.get(f"pooling_mode_{key}")]
    named = [modes] if isinstance(modes, str) else list(modes)
    if len(named) != 1 or named[0] not in POOLINGS:
        raise ModelError(f"{folder} pools by {', '.join(named) or 'nothing'}; kalm reads {', '.join(POOLINGS)}")
    return POOLINGS[named[0]]


def _bidirectional(folder: Path) -> bool:
    config = json.loads((folder / "config.json").read_text())
    if "is_causal" in config:
        return not config["is_causal"]
    if config.get("auto_map"):
        raise ModelError(
            f"{folder} has attention in code of its own, which is not run: give options: {{bidirectional: true}} "
            "(KaLM-Embedding-V2 and 2.5) or false (a causal model)"
        )
    return False
