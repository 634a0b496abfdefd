"""What the engine may ask a worker, through vLLM's `collective_rpc`: plain values and safetensors bytes, no pickle."""

from typing import Any

import torch
from safetensors.torch import load_file, save, save_file

from agents.backends.vllm.embedding import BLOCK
from agents.backends.vllm.orphan import end_with_parent
from agents.backends.vllm.speaker import Speaker
from agents.errors import BackendFailed


def window_of(layer: Any) -> int | None:
    """Return after how many positions a layer of vLLM's forgets; None: never."""
    own = getattr(layer, "sliding_window", None) or getattr(layer, "attention_chunk_size", None)
    return own if isinstance(own, int) and own > 0 else None


class CipherCalls:
    """Mixed in before a vLLM worker. Only rank 0 answers with data: all ranks hold the same messages."""

    model_runner: Any
    rank: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Before the weights are loaded, which takes longest.
        end_with_parent()

    @property
    def _speaker(self) -> Speaker:
        speaker: Speaker = self.model_runner.speaker
        return speaker

    def cipher_describe(self) -> dict[str, Any]:
        """Return the table's hash and shape."""
        runner = self.model_runner
        return {
            "table": runner.table_hash,
            "vocabulary": runner.model_config.get_vocab_size(),
            "width": runner.model_config.get_inputs_embeds_size(),
            "table_width": runner.vocabulary.width,
            "windows": [
                window_of(layer) for layer in runner.vllm_config.compilation_config.static_forward_context.values()
            ],
        }

    def cipher_take(self, asked: list[list[Any]]) -> list[list[Any]]:
        """Return, for each [key, steps, index], either [safetensors bytes, ""] or [b"", why not]; all are forgotten."""
        answers: list[list[Any]] = []
        for key, length, index in asked:
            try:
                tensors = self._speaker.take(key, length, index)
                answers.append([save(tensors) if self.rank == 0 else b"", ""])
            except BackendFailed as error:
                answers.append([b"", str(error)])
        return answers

    def cipher_drop(self, keys: list[str]) -> None:
        """Forget what the requests of some keys said."""
        for key in keys:
            self._speaker.drop(key)

    def cipher_write_table(self, path: str) -> None:
        """Write what this model reads of each token into a safetensors file, as `table` [V, D]."""
        vocabulary, count = self.model_runner.vocabulary, self.model_runner.model_config.get_vocab_size()
        device = self.model_runner.device
        # Every rank looks up, since each holds rows of its own.
        blocks = [
            vocabulary.rows(torch.arange(first, min(first + BLOCK, count), device=device)).cpu()
            for first in range(0, count, BLOCK)
        ]
        if self.rank == 0:
            save_file({"table": torch.cat(blocks)}, path)

    def cipher_hold_table(self, name: str, path: str) -> None:
        """Hold another model's table, of this hash, from a file of `cipher_write_table`'s form: to render on for its hearers."""
        self._speaker.hearers.hold(name, load_file(path)["table"] if self.rank == 0 else None)

    def cipher_state(self) -> dict[str, int]:
        """Return the store's bytes and lent blocks, and how often requests were resumed and rows held back."""
        store, runner = self._speaker.store, self.model_runner
        return {
            "bytes": store.bytes_held + self._speaker.hearers.bytes_held,
            "blocks": store.blocks_lent,
            "resumed": runner.resumed,
            "held_back": runner.held_back,
        }

    def cipher_render(self, ids: list[list[int]], weights: list[list[float]]) -> bytes:
        """Return beliefs rendered on this model's table as safetensors bytes: one vector for each list of weighted tokens."""
        vectors = self.model_runner.render(ids, weights)
        return save({"vectors": vectors.cpu()}) if self.rank == 0 else b""
