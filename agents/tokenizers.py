"""Tokenizers that no model's folder has, of bytes, and the one of a backend: its own, or that beside the model's weights."""

from functools import cache
from typing import Any

from agents.backend import Backend
from agents.errors import DebateError
from agents.model_folder import read_tokenizer

END = 256


class ByteTokenizer:
    """UTF-8 bytes as tokens, in the calls that prompts need."""

    chat_template = None

    def get_vocab(self) -> dict[str, int]:
        """Return one token a byte, and the end token."""
        return {**{f"<{byte:02x}>": byte for byte in range(256)}, "<end>": END}

    def __call__(self, text: str, add_special_tokens: bool = True) -> "ByteTokenizer.Ids":
        """Return the bytes of a text."""
        return self.Ids(list(text.encode()))

    def decode(self, ids: list[int]) -> str:
        """Return the text of tokens; the end token is silent."""
        return bytes(i for i in ids if i < END).decode(errors="replace")

    def bytes_of(self, token: str) -> bytes | None:
        """Return the byte of a token; the end token has none."""
        return None if len(token) != len("<00>") else bytes([int(token[1:3], 16)])

    class Ids:
        """What a tokenizer's call returns."""

        def __init__(self, input_ids: list[int]) -> None:
            self.input_ids = input_ids


def tokenizer_of(backend: Backend) -> Any | None:
    """Return a backend's tokenizer, or None where there is none to be had (an engine behind an interface)."""
    if backend.tokenizer is not None:
        return backend.tokenizer
    # A model behind an API may have the name of one on the hub, and need not be it.
    return _beside_weights(backend.fingerprint.model) if backend.fingerprint.tokenizer else None


@cache
def _beside_weights(model: str) -> Any | None:
    from agents.pretrained import locate

    try:
        return read_tokenizer(locate(model), name=model)
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
