"""Masked forward passes of a decoder, begun where the mask first changes something.

The whole pass is kept: what goes into each block, between its two halves, and into the maps that sum heads and units up. A pass
without a unit then differs by one product from its block on, and only the blocks above it are computed again. B rows, T
positions, D width.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from agents.transforms.calibration import Rows
from agents.transforms.optin.importance import Trajectory, chosen_tokens
from agents.transforms.subject import Subject, layers_of

BLOCK, FEED_FORWARD = "block", "ffn"
FEATURES = (BLOCK, FEED_FORWARD)


class Passes:
    """The passes of one model over one batch.

    Args:
        subject: the model.
        rows: the batch; positions that only fill a row up are compared nowhere.
        features: `block`, what leaves each block; or `ffn`, what its feed-forward layer adds, as the published code takes them.
        tokens: K, how many tokens' features are compared.
        seed: which.
    """

    @torch.no_grad()
    def __init__(self, subject: Subject, rows: Rows, *, features: str, tokens: int, seed: int) -> None:
        self._model, self._layers = subject.model, layers_of(subject, "optin")
        self._of_blocks = features == BLOCK
        self._is_text = rows.is_text
        self._chosen = chosen_tokens(int(rows.is_text.sum()), seed, tokens)
        self._calls: list[dict[str, Any]] = []
        self._between: list[Tensor] = []
        self._summed_heads: list[Tensor] = []
        self._summed_units: list[Tensor] = []
        self._left: list[Tensor] = []
        self.whole = self._record(rows.ids)

    @torch.no_grad()
    def without_head(self, layer: int, head: int, each: int) -> Trajectory:
        """Return the pass without one head: `each` columns of the map that sums the heads of a layer up."""
        columns = slice(head * each, (head + 1) * each)
        weight = self._layers[layer].self_attn.o_proj.weight
        between = self._between[layer] - self._summed_heads[layer][..., columns] @ weight[:, columns].T
        block = self._layers[layer]
        added = block.mlp(block.post_attention_layernorm(between))
        return self._from(layer, between + added, added)

    @torch.no_grad()
    def without_units(self, layer: int, units: slice) -> Trajectory:
        """Return the pass without some units of a layer."""
        weight = self._layers[layer].mlp.down_proj.weight
        taken = self._summed_units[layer][..., units] @ weight[:, units].T
        after = self._left[layer] - taken
        return self._from(layer, after, after - self._between[layer])

    def _from(self, layer: int, hidden: Tensor, added: Tensor) -> Trajectory:
        """Return the pass that leaves a block with these states [B, T, D], of which its feed-forward layer added a part."""
        features = [self._features(hidden, added)]
        for number in range(layer + 1, len(self._layers)):
            between: list[Tensor] = []
            block = self._layers[number]
            handle = block.post_attention_layernorm.register_forward_pre_hook(_keep(between))
            hidden = _first(block(hidden, **self._calls[number]))
            handle.remove()
            features.append(self._features(hidden, hidden - between[0]))
        return Trajectory(features, self._logits(hidden), start=layer)

    def _record(self, ids: Tensor) -> Trajectory:
        """Run the whole model once and keep what passes need."""
        handles = []
        for block in self._layers:
            handles += [
                block.register_forward_pre_hook(_keep_call(self._calls), with_kwargs=True),
                block.post_attention_layernorm.register_forward_pre_hook(_keep(self._between)),
                block.self_attn.o_proj.register_forward_pre_hook(_keep(self._summed_heads)),
                block.mlp.down_proj.register_forward_pre_hook(_keep(self._summed_units)),
                block.register_forward_hook(lambda _, inputs, output: self._left.append(_first(output))),
            ]
        try:
            self._model.model(ids, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        features = [self._features(left, left - half) for left, half in zip(self._left, self._between, strict=True)]
        return Trajectory(features, self._logits(self._left[-1]))

    def _features(self, hidden: Tensor, added: Tensor) -> Tensor:
        return (hidden if self._of_blocks else added)[self._is_text][self._chosen]

    def _logits(self, hidden: Tensor) -> Tensor:
        found: Tensor = self._model.lm_head(self._model.model.norm(hidden[self._is_text]))
        return found


def _keep(into: list[Tensor]) -> Callable[..., None]:
    def hook(_: Any, inputs: tuple[Tensor, ...]) -> None:
        into.append(inputs[0])

    return hook


def _keep_call(calls: list[dict[str, Any]]) -> Callable[..., None]:
    def hook(_: Any, inputs: tuple[Tensor, ...], keywords: dict[str, Any]) -> None:
        calls.append({key: value for key, value in keywords.items() if key != "hidden_states"})

    return hook


def _first(output: Any) -> Tensor:
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found
