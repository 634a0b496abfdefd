"""What vLLM makes of a model: a cell of a table for people. Engines run one after another in this process."""

import asyncio
import re
from typing import Any

import torch

from agents.backends.vllm import versions
from agents.backends.vllm.backend import VLLMBackend
from agents.backends.vllm.in_process import within
from agents.errors import DebateError

COLUMN = "vLLM"
OPTIONS: dict[str, Any] = {"enforce_eager": True, "max_num_seqs": 16, "kv_cache_memory_bytes": 2**27}


def cell(model: str, *, dtype: str = "float32") -> str:
    """Return whether vLLM answers as the model's own code does, up to how many positions, or why it is refused."""
    said: list[str] = []
    threads = torch.get_num_threads()
    with within():
        try:
            backend = VLLMBackend(model, dtype=dtype, progress=said.append, **OPTIONS)
        except DebateError as error:
            return in_short(str(error), model)
        finally:
            # vLLM takes all that there are.
            torch.set_num_threads(threads)
        held = any("is held to its first" in sentence for sentence in said)
        unchecked = any("is not checked against" in sentence for sentence in said)
        context = backend.capabilities.context
        asyncio.run(backend.close())
    found = f"up to {context} positions" if held else "yes"
    return f"{found}, unchecked" if unchecked else found


def in_short(reason: str, model: str) -> str:
    """Return a refusal without what its line of a table says anyway."""
    if off := re.search(r"its beliefs are off by \S+ of the logits' spread", reason):
        return f"refused: {off[0]}"
    of_vllm = f"does not run on vLLM {versions.installed()}: "
    said = re.sub(rf"^{re.escape(model)}(?: \(\w+\))?:? ", "", reason.removesuffix(f" {versions.INSTEAD}"))
    return f"refused: {said.removeprefix(of_vllm)}".rstrip(".").replace("|", "\\|")


def refuse_without_vllm() -> None:
    """Raise MissingDependency where vLLM is not installed."""
    versions.require(versions.installed())
