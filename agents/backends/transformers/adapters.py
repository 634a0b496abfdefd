"""LoRA adapters beside one loaded model, a different one for each row of a batch if need be.

A layer's output y [n, Q, D_out] of row i gets scale * B A x[i] of that row's adapter. Row by row, so that a row's bits do not
depend on which adapters its neighbours have.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from agents.adapter import LoraPair, read_adapter
from agents.errors import RequestError


class Adapters:
    """The adapters of one model, loaded when they are first asked for.

    Args:
        model: whose linear layers they add to.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self._layers = model, dict(model.named_modules())
        # A model may say that it takes none.
        self.are_taken = bool(getattr(model, "takes_adapters", True))
        self._loaded: dict[str, dict[str, LoraPair]] = {}
        self._hooked: set[str] = set()
        self._active: Sequence[str | None] = ()
        # Rows and positions of the forward pass.
        self._shape = (0, 0)

    def load(self, folder: str) -> None:
        """Make an adapter ready.

        Raises:
            RequestError: it cannot be read, or is of another model.
        """
        if folder in self._loaded:
            return
        if not self.are_taken:
            raise RequestError(f"this model takes no adapters, and the request has {folder!r}: leave `adapter` out")
        ready: dict[str, LoraPair] = {}
        for name, low in read_adapter(folder).items():
            layer = self._layers.get(name)
            if not isinstance(layer, torch.nn.Linear) or (low.b.shape[0], low.a.shape[1]) != tuple(layer.weight.shape):
                has = list(layer.weight.shape) if isinstance(layer, torch.nn.Linear) else "no such linear layer"
                raise RequestError(
                    f"the adapter {folder!r} is of another model: it adds [{low.b.shape[0]}, {low.a.shape[1]}] to {name}; the "
                    f"model has {has}"
                )
            weight = layer.weight
            ready[name] = LoraPair(low.a.to(weight), low.b.to(weight), low.scale)
        self._loaded[folder] = ready
        if not self._hooked:
            self._model.register_forward_pre_hook(self._note, with_kwargs=True)
        for name in ready.keys() - self._hooked:
            self._layers[name].register_forward_hook(partial(self._add, name))
            self._hooked.add(name)

    def use(self, rows: Sequence[str | None]) -> None:
        """Say which adapter each row of the next batch has."""
        self._active = rows

    def _note(self, model: torch.nn.Module, inputs: tuple[Any, ...], given: dict[str, Any]) -> None:
        vectors = given.get("inputs_embeds")
        self._shape = (0, 0) if vectors is None else (len(vectors), vectors.shape[1])

    def _add(self, name: str, layer: torch.nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        read, by_row = inputs[0], output
        if read.dim() == 2 and len(read) == self._shape[0] * self._shape[1]:
            # Some layers read the positions of all rows one behind the other (OPT, the shared expert of Qwen2-MoE).
            read, by_row = torch.unflatten(read, 0, self._shape), torch.unflatten(output, 0, self._shape)
        for row, folder in enumerate(self._active):
            low = self._loaded[folder].get(name) if folder is not None else None
            if low is not None:
                by_row[row] += low.scale * ((read[row] @ low.a.T) @ low.b.T)
        return output
