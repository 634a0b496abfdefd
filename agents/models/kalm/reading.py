"""How a published checkpoint is read: its pooling, its attention and its length, from its own files or not at all.

Whether attention is causal stands in transformers' `config.json` (`is_causal`), or is what transformers' Qwen2 does; where a
checkpoint has attention in code of its own, which is not run, it has to be said.
"""

from pathlib import Path
from typing import Any

from agents.errors import ModelError
from agents.models.kalm.model import Reading
from agents.models.sentences import published
from agents.models.stored import read_stored

POOLINGS = {"mean": "mean", "lasttoken": "last"}
"""sentence-transformers' name → ours."""


def published_reading(folder: Path, given: dict[str, Any]) -> tuple[Reading, str]:
    """Return how a checkpoint without a file of ours is read, and its instruction for questions.

    Args:
        folder: of the checkpoint.
        given: fields of `Reading` that the user says; what it has of itself is not looked for then.

    Raises:
        ModelError: what is not said by anybody, or what is not done here.
        OSError, ValueError, KeyError: a file that cannot be read.
    """
    found: dict[str, Any] = {}
    if "pooling" not in given:
        found["pooling"] = published.pooling(folder, "kalm", POOLINGS)
        if found["pooling"] is None:
            raise ModelError(f"{folder} does not say how it pools: give options: {{pooling: mean}} or last")
    if "bidirectional" not in given:
        found["bidirectional"] = _bidirectional(folder)
    if (longest := published.longest(folder)) is not None:
        found["longest"] = longest
    return Reading(**{**found, **given}), published.query_prompt(folder)


def _bidirectional(folder: Path) -> bool:
    config = read_stored(folder / "config.json")
    if "is_causal" in config:
        return not config["is_causal"]
    if config.get("auto_map"):
        raise ModelError(
            f"{folder} has attention in code of its own, which is not run: give options: {{bidirectional: true}} "
            "(KaLM-Embedding-V2 and 2.5) or false (a causal model)"
        )
    return False
