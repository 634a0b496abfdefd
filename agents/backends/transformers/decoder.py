"""The forward passes of one model behind a slot cache: a prompt into a slot, and one step of all rows.

Batch invariance: a matrix product's last bits depend on its shape, not on the other rows' values. So where results must not
depend on the batch, every decode step has the same number of rows (padded), every row attends over its own keys, and
prompts are read in blocks that start at multiples of the block, whatever part of them was cached.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from agents.attention.packing import Packing, Run, packed
from agents.attention.row_attention import RowAttention
from agents.attention.staircase import Staircase
from agents.backends.transformers import attention
from agents.backends.transformers.adapters import Adapters
from agents.backends.transformers.cache import SlotCache, Window
from agents.backends.transformers.exchanged import slot_cache

SLIDING = "sliding_attention"
FULL = "full_attention"

Way = Literal["by_row", "masked", "single"]


@dataclass(frozen=True)
class Mode:
    """How a model is decoded.

    Attributes:
        way: `by_row`: all rows in one forward pass, each attending over its own keys; `masked`: in one, by the model's own
            eager attention under a mask of ours; `single`: one row at a time, everything the model's own.
        rows: a decode step is padded to this many, and prompts are read in blocks: batch invariant. None: not.
        switch: positions from which on the model reads its whole text anew, in another way; None where there is no such place.
    """

    way: Way
    rows: int | None = None
    switch: int | None = None

    @property
    def attention(self) -> str:
        """The attention implementation that the model has to have, by transformers' name."""
        return attention.register() if self.way == "by_row" else "eager"


class Decoder:
    """A model's forward passes in one mode.

    Args:
        model: of transformers, with the mode's attention.
        mode: how.
        device: where the model is.
        block: positions of a prompt that go through the model at once where results must not depend on what was cached.
        exchanged: an attention that the model has in place of its own; None: its own.
        stair: how the cache is quantised; None: not.
    """

    def __init__(
        self,
        model: Any,
        mode: Mode,
        device: torch.device,
        block: int,
        *,
        exchanged: RowAttention | None = None,
        stair: Staircase | None = None,
    ) -> None:
        self.model, self.mode, self.device = model, mode, device
        self.exchanged, self.stair = exchanged, stair
        self.dtype: torch.dtype = model.dtype
        # Prompts are read, and their prefixes shared, in pieces of this many positions; None: in one piece.
        self.block = None if mode.rows is None else block
        self.adapters = Adapters(model)
        config = model.config.get_text_config()
        self.num_layers: int = config.num_hidden_layers
        self._takes = set(inspect.signature(model.forward).parameters)
        self._layer_types = set(getattr(config, "layer_types", None) or [FULL])
        window = getattr(config, "sliding_window", None)
        self._window: int | None = window if getattr(config, "use_sliding_window", True) else None
        # z [n, keep, D] of the last forward pass, of a model that foretells several tokens of a state.
        self._states: torch.Tensor | None = None

    def new_cache(self) -> SlotCache:
        """Return the cache that this model is decoded with, empty."""
        return slot_cache(self.num_layers, self.exchanged, self.stair)

    @property
    def horizon(self) -> int:
        """Tokens that the model foretells of one state; 0 of a model that has no head for more than the next."""
        return int(getattr(self.model, "horizon", 0)) if hasattr(self.model, "foretell") else 0

    def last_state(self) -> torch.Tensor:
        """Return the state [D] behind the last logits, where a horizon is: of one row, or the first of several."""
        assert self._states is not None
        return self._states[0, -1]

    def foretell(self, state: torch.Tensor, given: torch.Tensor, adapter: str | None = None) -> torch.Tensor:
        """Return the logits [V] of the token after those that are given [m, D], of a state [D] before them; m < horizon."""
        self.adapters.use([adapter])
        logits: torch.Tensor = self.model.foretell(state[None], given[None], keep=1)
        return logits[0, 0]

    def crosses(self, position: int, *, since: int) -> bool:
        """Whether a row of `since` positions in the cache must be read anew before one at `position` follows."""
        return self.mode.switch is not None and since <= self.mode.switch <= position

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
        if self.crosses(start + len(embeddings) - 1, since=0):
            # The model tells from the last position how the first is read.
            size = len(embeddings)
        for offset in range(0, len(embeddings), size):
            logits = self._row(cache, slot, start + offset, embeddings[offset : offset + size])
        return logits[0]

    @property
    def packs(self) -> bool:
        """Whether prompts of different lengths can be read as one packed row: each position has to see all before it."""
        if attention.reads_rows(self.model):
            return False
        plain = self.exchanged is None and self.stair is None and self.mode.switch is None
        return plain and self.mode.way == "by_row" and self._layer_types == {FULL} and not self._window

    def prefill_packed(
        self, cache: SlotCache, parts: Sequence[tuple[int, int, torch.Tensor]], adapter: str | None = None
    ) -> torch.Tensor:
        """Read prompts of several rows as one packed row and return the logits [n, V] of the last position of each.

        Args:
            cache: holds the beginnings already.
            parts: (slot, positions that are cached, embeddings [P, D] of the rest) of each row.
            adapter: of all rows; loaded before.
        """
        self.adapters.use([adapter])
        runs = tuple(Run(len(embeddings), slot, start) for slot, start, embeddings in parts)
        packing = Packing(runs, causal=True)
        length = max(run.start + run.length for run in runs)
        cache.window = Window(0, cache.slots, None, 0, length, packing=packing)
        inputs = torch.cat([embeddings for *_, embeddings in parts])[None]
        ends = torch.tensor([span.stop - 1 for span in packing.spans], device=self.device)
        with packed(packing):
            positions = packing.positions[None].to(self.device)
            return self._forward(inputs, positions, None, cache, keep=ends)[0]

    def read(
        self,
        cache: SlotCache,
        slot: int,
        start: int,
        embeddings: torch.Tensor,
        adapter: str | None = None,
        keep: int = 0,
    ) -> torch.Tensor:
        """Read positions of one row at once and return the logits [keep, V] of the last.

        Args:
            cache: holds positions 0 … start−1 of the row.
            slot: the row's slot.
            start: where they go; what stood there is written over.
            embeddings: [n, D].
            adapter: of the row; loaded before.
            keep: how many; all by default.
        """
        self.adapters.use([adapter])
        return self._row(cache, slot, start, embeddings, keep=keep or len(embeddings))

    def _row(self, cache: SlotCache, slot: int, start: int, embeddings: torch.Tensor, *, keep: int = 1) -> torch.Tensor:
        cache.window = Window(slot, slot + 1, None, start, start + len(embeddings))
        positions = torch.arange(start, start + len(embeddings), device=self.device)
        # One row that continues what is cached: the masks that transformers makes by itself are right. Some models scale
        # their inputs in place.
        return self._forward(embeddings.clone()[None], positions[None], None, cache, keep=keep)[0]

    def decode(
        self,
        cache: SlotCache,
        inputs: torch.Tensor,
        positions: torch.Tensor,
        adapters: Sequence[str | None] = (),
        slots: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Advance rows by one position and return their logits [n, V].

        Args:
            cache: the rows' keys and values so far.
            inputs: [n, D], each row's next input embedding.
            positions: [n] int64, where it goes.
            adapters: of the rows; loaded before.
            slots: of the rows; None for 0 … n−1.
        """
        where = positions.tolist()
        near = [row for row, position in enumerate(where) if not self.crosses(position, since=0)]
        if self.mode.way == "single":
            parts = [[row] for row in range(len(where))]
        elif len(near) in (0, len(where)):
            self.adapters.use(adapters)
            return self._together(cache, slots, inputs, positions)
        else:
            parts = [near, [row for row in range(len(where)) if row not in near]]
        found: list[torch.Tensor | None] = [None] * len(where)
        for part in parts:
            self.adapters.use([adapters[row] for row in part] if adapters else [])
            own = [row if slots is None else slots[row] for row in part]
            if self.mode.way == "single":
                logits = self._row(cache, own[0], where[part[0]], inputs[part])
            else:
                logits = self._together(cache, own, inputs[part], positions[part])
            for row, line in zip(part, logits, strict=True):
                found[row] = line
        return torch.stack([line for line in found if line is not None])

    def decode_with_states(self, *asked: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `decode` returns, and the states [n, D] of the rows, which the model's head reads."""
        seen: list[torch.Tensor] = []
        hook = self.model.get_output_embeddings().register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].flatten(1, -2)[:, -1])
        )
        try:
            logits = self.decode(*asked)
        finally:
            hook.remove()
        # Rows that pad a step out are the last.
        return logits, torch.cat(seen)[: len(logits)]

    def _together(
        self, cache: SlotCache, slots: Sequence[int] | None, inputs: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Advance some rows by one position in one forward pass; `slots` are theirs, None for 0 … n−1."""
        lengths = [position + 1 for position in positions.tolist()]
        count = len(inputs)
        last = count if slots is None else max(slots) + 1
        by_row = self._by_row
        cache.window = Window(0, last, positions, max(lengths) - 1, max(lengths), slots, gathered=not by_row)
        if self.mode.way == "masked":
            mask = self._masks(positions[:, None], max(lengths))
            return self._forward(inputs[:, None], positions[:, None], mask, cache)[:, 0]
        padding = max(0, (self.mode.rows or 0) - count) if by_row else 0
        inputs = torch.nn.functional.pad(inputs, (0, 0, 0, padding))
        positions = torch.nn.functional.pad(positions, (0, padding))
        with attention.decoding(attention.Decoding(positions, lengths, slots if by_row else None, by_row)):
            return self._forward(inputs[:, None], positions[:, None], None, cache)[:count, 0]

    @property
    def _by_row(self) -> bool:
        """Whether each row attends in a call of its own: on a GPU many small calls would cost more than the padding."""
        return self.mode.way == "by_row" and (self.device.type == "cpu" or self.exchanged is not None)

    def _forward(
        self,
        inputs: torch.Tensor,
        positions: torch.Tensor,
        mask: Any,
        cache: SlotCache,
        *,
        keep: int | torch.Tensor = 1,
    ) -> torch.Tensor:
        """Return the logits [n, keep, V] of inputs [n, Q, D]: of so many last positions, or of those that are listed."""
        # Some models count positions themselves, and some keep no part of the logits back.
        optional = {"position_ids": positions, "logits_to_keep": keep}
        with attention.reading(cache):
            out = self.model(
                inputs_embeds=inputs,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                **{name: value for name, value in optional.items() if name in self._takes},
            )
        logits: torch.Tensor = out.logits
        self._states = getattr(out, "states", None)
        if isinstance(keep, torch.Tensor):
            return logits if logits.shape[1] == len(keep) else logits[:, keep]
        return logits[:, -keep:]

    def _masks(self, positions: torch.Tensor, length: int) -> Any:
        """Return additive masks [n, 1, Q, L] for queries at `positions` [n, Q]; by layer type where the model has two."""
        keys = torch.arange(length, device=self.device)
        visible = keys[None, None] <= positions[:, :, None]
        windowed = visible
        if self._window:
            windowed = visible & (keys[None, None] > positions[:, :, None] - self._window)
        if SLIDING not in self._layer_types:
            return self._additive(windowed)
        return {FULL: self._additive(visible), SLIDING: self._additive(windowed)}

    def _additive(self, visible: torch.Tensor) -> torch.Tensor:
        lowest = torch.finfo(self.dtype).min
        return torch.zeros_like(visible, dtype=self.dtype).masked_fill_(~visible, lowest)[:, None]
