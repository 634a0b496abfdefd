"""The model that a recipe begins with: which of its files go along unchanged, what its weights are stored in, and its hash."""

import hashlib
import json
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from agents.errors import ModelError
from agents.model_folder import TRANSFORM, unreadable, weight_files, weights_hash

# What goes along: how text becomes tokens, how a prompt is written, when a message ends, and the licence.
COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model*",
    "*spiece.model",
    "sentencepiece*.model",
    "tekken.json",
    "*.tiktoken",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "LICENSE*",
    "NOTICE*",
)
# Bytes of one of them; the largest tokenizers have some twenty million.
LARGEST = 1_000_000_000
FLOATS = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
KEPT = (torch.bfloat16, torch.float16)


def copied_files(base: Path) -> list[Path]:
    """Return the files of a model that its copy takes over as they are.

    Raises:
        ModelError: one that is a link out of the folder, or larger than any of its kind.
    """
    found = [
        file for file in sorted(base.iterdir()) if file.is_file() and any(fnmatch(file.name, each) for each in COPIED)
    ]
    home = _home(base)
    for file in found:
        real = Path(os.path.realpath(file))
        if home not in real.parents:
            raise ModelError(
                f"{file} is a link to {real}, outside the model's folder, and would go along into the copy: put the file itself "
                "there"
            )
        if (size := real.stat().st_size) > LARGEST:
            raise ModelError(f"{file} has {size:,} bytes, and {LARGEST:,} are copied")
    return found


def _home(base: Path) -> Path:
    """Return the folder that a model's files lie in: of a snapshot in the hub's cache the repository's, with its blobs."""
    real = Path(os.path.realpath(base))
    return real.parents[1] if real.parent.name == "snapshots" and (real.parents[1] / "blobs").is_dir() else real


def stored_dtype(base: Path, name: str) -> torch.dtype:
    """Return the type of 16 bits that every weight is stored in, tables among them; float32 for any other and for several.

    Configs say it too, and may be wrong.

    Raises:
        ModelError: the weights cannot be read.
    """
    found: set[Any] = set()
    for path in weight_files(base, name):
        try:
            with safe_open(path, "pt") as file:
                found |= {FLOATS.get(file.get_slice(key).get_dtype()) for key in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError) as error:
            raise unreadable(path.name, name, base, error) from error
    return found.pop() if len(found) == 1 and found <= set(KEPT) else torch.float32


def base_hash(base: Path, name: str) -> str:
    """Return the SHA-256 of all that a copy has of its base: weights and config, their type, and the files that go along.

    Raises:
        ModelError: the weights cannot be read.
    """
    files = [*copied_files(base), *([base / TRANSFORM] if (base / TRANSFORM).is_file() else [])]
    hashed = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    made_of = [weights_hash(base, name), str(stored_dtype(base, name)), hashed]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
