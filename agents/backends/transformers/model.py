"""A causal language model of transformers, driven by input embeddings.

Batch invariance: a matrix product's last bits depend on its shape, not on the other rows' values. So where results must not
depend on the batch, every decode step has the same number of rows (padded), every row attends over its own keys, and
prompts are read in blocks that start at multiples of BLOCK, whatever part of them was cached.

The table is what the model itself does to a looked-up token: models whose embedding layer scales or normalises (Gemma)
are read through that layer, so a one-hot belief gives exactly the embedding of its token.
"""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from agents.backends.transformers import attention
from agents.backends.transformers.adapters import Adapters
from agents.backends.transformers.cache import SlotCache, Window
from agents.backends.transformers.checkpoint import load_model
from agents.decoding.ending import stop_ids
from agents.errors import ConfigError, ModelError, UnknownName
from agents.fingerprint import fingerprint
from agents.model_folder import read_config, read_tokenizer, refuse_other_kinds, weights_hash
from kernels import EmbeddingTable

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Positions of a prompt that go through the model at once where results must not depend on what was cached before.
BLOCK = 64
TILE = 4
SLIDING = "sliding_attention"
FULL = "full_attention"


class LoadedModel:
    """Weights, tokenizer, table and the masked forward pass.

    Args:
        folder: a folder in transformers' layout.
        name: what the user called it; goes into the fingerprint.
        dtype: `float32`, `bfloat16` or `float16`.
        device: a torch device.
        trust_remote_code: run code that comes with the model; off unless the user says so.
        rows: the decode batch is padded to this many rows, rounded up to whole tiles; None leaves it as it is, and reads
            prompts in one piece.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        dtype: str,
        device: str,
        trust_remote_code: bool = False,
        rows: int | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise UnknownName("dtype", dtype, DTYPES)
        self.name, self.device, self.dtype = name, torch.device(device), DTYPES[dtype]
        config = read_config(folder, name=name, trust_remote_code=trust_remote_code)
        refuse_other_kinds(config, name)
        self.tokenizer: Any = read_tokenizer(folder, name=name, trust_remote_code=trust_remote_code)
        with ThreadPoolExecutor(max_workers=1) as aside:
            # Read twice at once is read once: the second finds the file in memory.
            weights = aside.submit(weights_hash, folder, name)
            self.model: Any = load_model(
                folder,
                config,
                name=name,
                dtype=self.dtype,
                device=self.device,
                attention=_attention_for(config),
                trust_remote_code=trust_remote_code,
            )
        text_config = config.get_text_config()
        self.by_row = self.model.config._attn_implementation == attention.NAME
        if rows is not None and not self.by_row:
            raise ConfigError(
                f"{name} has attention of its own kind and cannot be batch invariant; set batch_invariant: false"
            )
        # Matrix libraries treat the rows of an incomplete tile by other instructions than the rest.
        self.rows = rows if rows is None or rows == 1 else -(-rows // TILE) * TILE
        self.layer_types = set(getattr(text_config, "layer_types", None) or [FULL])
        self.sliding_window: int | None = getattr(text_config, "sliding_window", None)
        self.num_layers: int = text_config.num_hidden_layers
        self.context = int(getattr(text_config, "max_position_embeddings", 0) or 1_000_000)
        self.stop_ids = stop_ids(self.model.generation_config, self.model.config, self.tokenizer)
        unknown = self.layer_types - {FULL, SLIDING}
        if unknown:
            raise ModelError(
                f"{name}: layers of type {', '.join(sorted(unknown))} keep no key-value cache; not supported"
            )
        with torch.inference_mode():
            self.table = EmbeddingTable(self._looked_up())
            self._check_embeddings_suffice()
        self.adapters = Adapters(self.model)
        self.fingerprint = fingerprint(name, self.table.weight, self.tokenizer, weights=weights.result())

    def _looked_up(self) -> torch.Tensor:
        module = self.model.get_input_embeddings()
        if type(module) is torch.nn.Embedding and module.max_norm is None:
            return module.weight.detach()
        rows = module.num_embeddings
        blocks = [module(torch.arange(i, min(i + 4096, rows), device=self.device)) for i in range(0, rows, 4096)]
        return torch.cat(blocks).detach()

    def _check_embeddings_suffice(self) -> None:
        """Refuse a model that reads more of a token than its embedding (per-layer embeddings, for instance)."""
        ids = torch.arange(3, min(11, self.table.num_tokens), device=self.device)[None]
        by_id = self.model(input_ids=ids, use_cache=False).logits
        by_vector = self.model(inputs_embeds=self.table.weight[ids], use_cache=False).logits
        if not torch.allclose(by_id.float(), by_vector.float(), rtol=1e-2, atol=1e-2):
            raise ModelError(f"{self.name} reads more of a token than its embedding, so it cannot hear vectors")

    @property
    def block(self) -> int | None:
        """Prompts are read, and their prefixes shared, in pieces of this many positions; None: in one piece."""
        return None if self.rows is None else BLOCK

    def prefill(
        self, cache: SlotCache, slot: int, start: int, embeddings: torch.Tensor, adapter: str | None = None
    ) -> torch.Tensor:
        """Read one row's prompt from position `start` on and return the last position's logits [V].

        Args:
            cache: holds positions 0 … start−1 of the row already.
            slot: the row's slot.
            start: positions that are cached; a multiple of the block, where there is one.
            embeddings: [P, D], the rest of the prompt.
            adapter: of the row; loaded before.
        """
        self.adapters.use([adapter])
        size = self.block or len(embeddings)
        for offset in range(0, len(embeddings), size):
            logits = self._row(cache, slot, start + offset, embeddings[offset : offset + size])
        return logits[0]

    def _row(self, cache: SlotCache, slot: int, start: int, embeddings: torch.Tensor, *, keep: int = 1) -> torch.Tensor:
        """Read positions of one row from `start` on and return the logits [keep, V] of the last."""
        cache.window = Window(slot, slot + 1, None, start, start + len(embeddings))
        positions = torch.arange(start, start + len(embeddings), device=self.device)
        # One row that continues what is cached: the masks that transformers makes by itself are right.
        return self._forward(embeddings[None], positions[None], None, cache, keep=keep)[0]

    def read(
        self, cache: SlotCache, slot: int, start: int, embeddings: torch.Tensor, adapter: str | None = None
    ) -> torch.Tensor:
        """Read a few positions behind a row's prompt and return the logits [n, V] of each.

        Args:
            cache: holds positions 0 … start−1 of the row.
            slot: the row's slot.
            start: where they go; what stood there is written over.
            embeddings: [n, D].
            adapter: of the row; loaded before.
        """
        self.adapters.use([adapter])
        return self._row(cache, slot, start, embeddings, keep=len(embeddings))

    def decode(
        self,
        cache: SlotCache,
        inputs: torch.Tensor,
        positions: torch.Tensor,
        adapters: Sequence[str | None] = (),
    ) -> torch.Tensor:
        """Advance the rows in slots 0 … n−1 by one position and return their logits [n, V].

        Args:
            cache: the rows' keys and values so far.
            inputs: [n, D], each row's next input embedding.
            positions: [n] int64, where it goes.
            adapters: of the rows; loaded before.
        """
        self.adapters.use(adapters)
        lengths = [position + 1 for position in positions.tolist()]
        rows = len(inputs)
        cache.window = Window(0, rows, positions, max(lengths) - 1, max(lengths))
        if not self.by_row or self.device.type != "cpu":
            # One masked call for all rows; on a GPU many small calls would cost more than the padding.
            mask = self._masks(positions[:, None], max(lengths))
            return self._forward(inputs[:, None], positions[:, None], mask, cache)[:, 0]
        padding = max(0, (self.rows or 0) - rows)
        inputs = torch.nn.functional.pad(inputs, (0, 0, 0, padding))
        positions = torch.nn.functional.pad(positions, (0, padding))
        unused = inputs.new_zeros(1, 1, 1, 1)
        mask = {FULL: unused, SLIDING: unused} if SLIDING in self.layer_types else unused
        return self._forward(inputs[:, None], positions[:, None], mask, cache, row_lengths=lengths)[:rows, 0]

    def _forward(
        self,
        inputs: torch.Tensor,
        positions: torch.Tensor,
        mask: Any,
        cache: SlotCache,
        *,
        keep: int = 1,
        **options: Any,
    ) -> torch.Tensor:
        """Return the logits [n, keep, V] of the last positions of inputs [n, Q, D]."""
        out = self.model(
            inputs_embeds=inputs,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
            **options,
        )
        logits: torch.Tensor = out.logits
        return logits

    def _masks(self, positions: torch.Tensor, length: int) -> Any:
        """Return additive masks [n, 1, Q, L] for queries at `positions` [n, Q]; by layer type where the model has two."""
        keys = torch.arange(length, device=self.device)
        visible = keys[None, None] <= positions[:, :, None]
        windowed = visible
        if self.sliding_window:
            windowed = visible & (keys[None, None] > positions[:, :, None] - self.sliding_window)
        if SLIDING not in self.layer_types:
            has_window = self.sliding_window and getattr(self.model.config, "use_sliding_window", True)
            return self._additive(windowed if has_window else visible)
        return {FULL: self._additive(visible), SLIDING: self._additive(windowed)}

    def _additive(self, visible: torch.Tensor) -> torch.Tensor:
        lowest = torch.finfo(self.dtype).min
        return torch.zeros_like(visible, dtype=self.dtype).masked_fill_(~visible, lowest)[:, None]


def allows_invariance(folder: Path, *, trust_remote_code: bool = False) -> bool:
    """Whether the model in a folder attends in a way that can be made batch invariant."""
    return _attention_for(read_config(folder, trust_remote_code=trust_remote_code)) == attention.NAME


def _attention_for(config: Any) -> str:
    """Return the implementation: by row where plain scores are enough, else the model's own eager one."""
    text = config.get_text_config()
    special = ("attn_logit_softcapping", "attn_logit_softcap", "num_sink_tokens", "alibi")
    if any(getattr(text, name, None) for name in special) or config.model_type == "gpt_oss":
        return "eager"
    return attention.register()


def default_device() -> str:
    """Return `cuda` where there is one, else `cpu`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return "cuda" if torch.cuda.is_available() else "cpu"
