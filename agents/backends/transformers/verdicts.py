"""How each model was found to decode, kept in the cache folder so that the proof is made once.

A verdict stands for one model (its fingerprint, config and own code, if it has any), dtype, device and number of rows, and for
the versions of what computes: torch, transformers, and the sources of this engine.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from agents.atomic_file import write_json
from agents.backends.transformers.proof import Verdict
from agents.errors import RunError
from agents.fingerprint import ModelFingerprint
from agents.installed import DECISIVE, versions
from agents.pretrained import cache_home

FOLDER = "verdicts"


def verdict_of(fingerprint: ModelFingerprint, model: Any, rows: int | None, prove: Callable[[], Verdict]) -> Verdict:
    """Return the verdict on a model, from the cache folder or by the proof.

    Args:
        fingerprint: of the model, whatever its name.
        model: loaded, of transformers.
        rows: that a decode step is padded to, where it is.
        prove: makes the proof.
    """
    facts = {
        "fingerprint": {key: value for key, value in vars(fingerprint).items() if key != "model"},
        "config": {key: value for key, value in model.config.to_dict().items() if key != "_name_or_path"},
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "code": _code(type(model)),
        "dtype": str(model.dtype),
        "device": torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else str(model.device.type),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "rows": rows,
        "versions": versions(DECISIVE),
        "sources": _sources(),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    file = cache_home() / FOLDER / f"{key[:32]}.json"
    # A file that cannot be read or written costs a proof, no more.
    with contextlib.suppress(OSError, ValueError, TypeError):
        kept = json.loads(file.read_text())
        return Verdict(**{**kept, "windows": tuple(kept["windows"])})
    verdict = prove()
    with contextlib.suppress(RunError):
        write_json(file, asdict(verdict))
    return verdict


def _code(kind: type) -> str:
    """Return a hash of the file of a class that came with a model; "" of transformers' own, which its version tells."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if kind.__module__.startswith("transformers.") or file is None:
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


@cache
def _sources() -> str:
    """Return a hash of this engine's sources."""
    sha = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        sha.update(file.read_bytes())
    return sha.hexdigest()
