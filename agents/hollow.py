"""A config that describes far more weights than its files hold is refused while its model is being built."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

# A model may build parts that it replaces, and tie others: so many times what its files hold, and some more.
TIMES, MORE_TENSORS, MORE_NUMBERS = 4, 256, 1 << 22
MODULES_A_TENSOR = 64
# What makes a tensor of sizes that it is given, and what of numbers in a row.
OF_SIZES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye)
IN_A_ROW = (torch.arange, torch.linspace)


class _Bounded(TorchFunctionMode):
    """Looks at the sizes of every tensor that is made, before it is."""

    def __init__(self, most: int, refusal: ValueError, copied: Callable[[int], None]) -> None:
        super().__init__()
        self._most, self._refusal, self._copied = most, refusal, copied

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in OF_SIZES or func in IN_A_ROW:
            size = kwargs.get("size", args[:1] if func is torch.full else args)
            numbers = [each for part in size for each in (part if isinstance(part, list | tuple) else [part])]
            join: Callable[[list[Any]], Any] = math.prod if func in OF_SIZES else max
            if numbers and all(isinstance(each, int | float) for each in numbers) and join(numbers) > self._most:
                raise self._refusal
        if func is torch.Tensor.clone:
            # A layer that is copied registers nothing.
            self._copied(args[0].numel())
        return func(*args, **kwargs)


@contextmanager
def no_larger_than(tensors: int, numbers: int) -> Iterator[None]:
    """Refuse a model of far more weights than some, as soon as it has them; another thread's models are its own affair.

    Args:
        tensors, numbers: that its files hold.

    Raises:
        ValueError: from where a part too many is built.
    """
    here, most = threading.get_ident(), TIMES * tensors + MORE_TENSORS
    built = registered = size = 0

    def count(more: int) -> None:
        nonlocal registered, size
        registered, size = registered + 1, size + more
        if registered > most or size > TIMES * numbers + MORE_NUMBERS:
            raise refusal

    def on_parameter(module: Any, name: str, parameter: Any) -> None:
        if parameter is not None and threading.get_ident() == here:
            count(parameter.numel())

    def on_module(module: Any, name: str, part: Any) -> None:
        nonlocal built
        if threading.get_ident() == here:
            built += 1
            if built > MODULES_A_TENSOR * most:
                raise refusal

    refusal = ValueError(
        f"its config describes a model of far more weights than its files hold ({tensors:,} tensors, {numbers:,} numbers)"
    )
    handles = [
        register_module_parameter_registration_hook(on_parameter),
        register_module_module_registration_hook(on_module),
    ]
    try:
        with _Bounded(TIMES * numbers + MORE_NUMBERS, refusal, count):
            yield
    finally:
        for handle in handles:
            handle.remove()
