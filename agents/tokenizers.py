"""The tokenizer of a backend: its own, or the one that lies beside the model's weights."""

from functools import cache
from typing import Any

from agents.backend import Backend
from agents.errors import DebateError


def tokenizer_of(backend: Backend) -> Any | None:
    """Return a backend's tokenizer, or None where there is none to be had (an engine behind an interface)."""
    if backend.tokenizer is not None:
        return backend.tokenizer
    # A model behind an API may have the name of one on the hub, and need not be it.
    return _beside_weights(backend.fingerprint.model) if backend.fingerprint.tokenizer else None


@cache
def _beside_weights(model: str) -> Any | None:
    from transformers import AutoTokenizer

    from agents.pretrained import locate

    try:
        return AutoTokenizer.from_pretrained(locate(model))
    except (DebateError, OSError, ValueError):
        return None
