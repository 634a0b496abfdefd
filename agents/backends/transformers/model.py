"""A causal language model of transformers, driven by input embeddings.

The table is what the model itself does to a looked-up token: models whose embedding layer scales or normalises (Gemma)
are read through that layer, so a one-hot belief gives exactly the embedding of its token.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from agents.attention.row_attention import RowAttention
from agents.attention.staircase import Staircase
from agents.backends.transformers.attention import reads_rows
from agents.backends.transformers.checkpoint import load_model, refuse_unusable
from agents.backends.transformers.decoder import Decoder
from agents.backends.transformers.exchanged import exchange
from agents.backends.transformers.proof import Verdict, prove
from agents.backends.transformers.truth import looked_up
from agents.backends.transformers.verdicts import verdict_of
from agents.decoding.ending import stop_ids
from agents.errors import ConfigError, UnknownName
from agents.fingerprint import fingerprint
from agents.model_folder import origin_of, read_config, read_tokenizer, refuse_other_kinds, weights_hash
from agents.pretrained import Progress
from kernels import EmbeddingTable

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Positions of a prompt that go through the model at once where results must not depend on what was cached before.
BLOCK = 64
TILE = 4


class LoadedModel(Decoder):
    """Weights, tokenizer and table, and the forward passes in the mode that the model was found to have.

    Args:
        folder: a folder in transformers' layout.
        name: what the user called it; goes into the fingerprint.
        dtype: `float32`, `bfloat16` or `float16`.
        device: a torch device.
        trust_remote_code: run code that comes with the model; off unless the user says so.
        rows: the decode batch is padded to this many rows, rounded up to whole tiles, so that a row has the same bits
            whatever shares its batch; None leaves it as it is, and reads prompts in one piece.
        insist: refuse a model that cannot be batch invariant; if not, do without and say so in `caveat`.
        progress: called with a sentence if the model has to be checked first.
        exchanged: an attention in place of its own.
        stair: how its cache is quantised.

    Raises:
        ModelError: it cannot be loaded, or not be decoded as its own code says.
        ConfigError: invariance is insisted on, and the model has none; or its attention or cache cannot be exchanged.
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
        insist: bool = True,
        progress: Progress = lambda _: None,
        exchanged: RowAttention | None = None,
        stair: Staircase | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise UnknownName("dtype", dtype, DTYPES)
        self.name, self.device = name, torch.device(device)
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
                dtype=DTYPES[dtype],
                device=self.device,
                attention="eager",
                trust_remote_code=trust_remote_code,
            )
        context = getattr(config.get_text_config(), "max_position_embeddings", None) or 0
        self.context = int(context) if context > 0 else 1_000_000
        self.stop_ids = stop_ids(self.model.generation_config, self.model.config, self.tokenizer)
        with torch.inference_mode():
            self.table = EmbeddingTable(looked_up(self.model))
        self.fingerprint = fingerprint(
            name, self.table.weight, self.tokenizer, weights=weights.result(), origin=origin_of(folder)
        )
        # Matrix libraries treat the rows of an incomplete tile by other instructions than the rest.
        tiled = rows if rows is None or rows == 1 else -(-rows // TILE) * TILE

        def verdict() -> Verdict:
            # Of the same weights, read in the same dtype, all this was found before where a verdict is kept.
            with torch.inference_mode():
                refuse_unusable(self.model, self.table.weight, name)
            progress(f"checking once that {name} is decoded as its own code does")
            return prove(self.model, name, self.table.weight, self.context, tiled)

        self.verdict = verdict_of(self.fingerprint, self.model, tiled, verdict)
        if tiled is not None and not self.verdict.invariant and insist:
            raise ConfigError(f"{name} cannot be batch invariant: {self.verdict.variant}; set batch_invariant: false")
        mode = self.verdict.mode(tiled)
        self.model.set_attn_implementation(mode.attention)
        if exchanged is not None or stair is not None:
            self._refuse_other_than_plain()
        if exchanged is not None:
            exchange(self.model, exchanged, name)
        super().__init__(self.model, mode, self.device, BLOCK, exchanged=exchanged, stair=stair)
        self.context = min(self.context, self.verdict.context or self.context)
        self.caveat = self.verdict.caveat(name) if tiled is not None or mode.way == "single" else ""

    def _refuse_other_than_plain(self) -> None:
        """Raise ConfigError for a model that does not attend to all positions before, row by row."""
        own = self.verdict.way != "by_row" or reads_rows(self.model)
        if own or self.verdict.windows or self.verdict.switch is not None:
            raise ConfigError(
                f"{self.name} attends in a way of its own, so neither `attention` nor `cache` can be exchanged; leave them out, "
                "or take a model that sees all positions before"
            )

    @cached_property
    def coordinate(self) -> float:
        """Root mean square of a coordinate of the table: how large a number it reads of a token."""
        return float(torch.linalg.vector_norm(self.table.weight.float()) / self.table.weight.numel() ** 0.5)

    @property
    def rows(self) -> int | None:
        """What a decode step is padded to, so that it is batch invariant; None: it is not."""
        return self.mode.rows


def default_device() -> str:
    """Return `cuda` where there is one, else `cpu`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return "cuda" if torch.cuda.is_available() else "cpu"
