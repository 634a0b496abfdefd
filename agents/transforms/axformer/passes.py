"""What each text costs a decoder of which some parts are switched off. B rows, T positions, V vocabulary."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.transforms.axformer.search import Switches
from agents.transforms.subject import Subject, layers_of
from agents.transforms.units import masked

AT_ONCE = 8
"""Rows of one forward pass."""


class Passes:
    """The losses of a model over some texts.

    Args:
        subject: the model.
        ids: [B, T] int64.
        counted: [B, T] bool, the tokens that are to be foretold, at least one a row and none in the first place.
        slices: the units of each group.
        keys: K of hard attention.
    """

    def __init__(self, subject: Subject, ids: Tensor, counted: Tensor, slices: list[slice], keys: int) -> None:
        self._subject, self._slices, self._keys = subject, slices, keys
        # Rows of about one length together: what follows the last token that counts is not read.
        ends = (counted * torch.arange(1, counted.shape[1] + 1)).amax(1)
        order = ends.argsort(stable=True)
        self._places = order.argsort()
        self._rows = [
            (ids[rows, :end], counted[rows, :end])
            for rows in torch.split(order, AT_ONCE)
            for end in [int(ends[rows].max())]
        ]

    @torch.no_grad()
    def losses(self, switches: Switches) -> Tensor:
        """Return the mean nats of the counted tokens of each text [B] in float64, by the model with some switches."""
        found = []
        with switched(self._subject, switches, self._slices, self._keys):
            for ids, counted in self._rows:
                logits = self._subject.model(ids[:, :-1], use_cache=False).logits
                nats = functional.cross_entropy(logits.float().mT, ids[:, 1:], reduction="none")
                there = counted[:, 1:]
                found.append((nats.double() * there).sum(1) / there.sum(1))
        return torch.cat(found)[self._places]


def units_of(groups: Tensor, slices: list[slice]) -> Tensor:
    """Return which units stay [L, F], of which groups do [L, M]."""
    sizes = torch.tensor([each.stop - each.start for each in slices])
    return groups.repeat_interleave(sizes, 1)


@contextmanager
def switched(subject: Subject, switches: Switches, slices: list[slice], keys: int) -> Iterator[None]:
    """Within it a model computes with some switches."""
    from agents.transforms.axformer.model import harden

    layers = layers_of(subject, "axformer")
    with ExitStack() as stack:
        stack.enter_context(masked(subject, switches.kept_heads, units_of(switches.kept_units, slices)))
        # With a block its bias goes too, which a mask in front of the last map leaves.
        for layer, stays, feeds in zip(layers, switches.attention, switches.feed_forward, strict=True):
            for last, there in ((layer.self_attn.o_proj, stays), (layer.mlp.down_proj, feeds)):
                if last.bias is not None and not there:
                    stack.callback(last.register_forward_hook(_nothing).remove)
        try:
            for place in switches.hard_layers:
                harden(layers[place].self_attn, keys)
            yield
        finally:
            for place in switches.hard_layers:
                harden(layers[place].self_attn, 0)


def _nothing(module: Any, inputs: Any, output: Tensor) -> Tensor:
    return torch.zeros_like(output)
