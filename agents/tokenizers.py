"""The tokenizer of a backend: its own, or that beside the model's weights; and one of bytes for models of random weights."""

from functools import cache
from typing import Any

from agents.backend import Backend
from agents.errors import DebateError
from agents.model_folder import read_tokenizer


def tokenizer_of(backend: Backend) -> Any | None:
    """Return a backend's tokenizer, or None where there is none to be had (an engine behind an interface)."""
    if backend.tokenizer is not None:
        return backend.tokenizer
    # A model behind an API may have the name of one on the hub, and need not be it.
    return _beside_weights(backend.fingerprint.model) if backend.fingerprint.tokenizer else None


@cache
def _beside_weights(model: str) -> Any | None:
    from agents.pretrained import base_of, locate

    try:
        # Transforms keep the tokenizer.
        return read_tokenizer(locate(base_of(model)), name=model)
    except DebateError:
        return None


def byte_tokenizer(vocabulary: int) -> Any:
    """Return a tokenizer of bytes for random models: 256 of them, a start and an end token, and fillers up to a vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = {token: index for index, token in enumerate(alphabet)} | {"<|start|>": 256, "<|end|>": 257}
    tokens |= {f"<unused{index}>": index for index in range(258, vocabulary)}
    core = Tokenizer(models.BPE(vocab=tokens, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|start|>", "<|end|>"])
    special = {"bos_token": "<|start|>", "eos_token": "<|end|>", "pad_token": "<|end|>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, **special)
