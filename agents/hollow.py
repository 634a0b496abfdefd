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


class _Count:
    """What a model that is being built has so far.

    Args:
        tensors, numbers: that its files hold.
    """

    def __init__(self, tensors: int, numbers: int) -> None:
        self.most_tensors, self.most_numbers = TIMES * tensors + MORE_TENSORS, TIMES * numbers + MORE_NUMBERS
        self.refusal = ValueError(
            f"its config describes a model of far more weights than its files hold ({tensors:,} tensors, {numbers:,} numbers)"
        )
        self._tensors = self._numbers = self._modules = 0

    def tensor(self, numbers: int) -> None:
        self._tensors, self._numbers = self._tensors + 1, self._numbers + numbers
        if self._tensors > self.most_tensors or self._numbers > self.most_numbers:
            raise self.refusal

    def module(self) -> None:
        self._modules += 1
        if self._modules > MODULES_A_TENSOR * self.most_tensors:
            raise self.refusal


class _Now(threading.local):
    counts: tuple[_Count, ...] = ()


_now = _Now()


def _on_parameter(module: Any, name: str, parameter: Any) -> None:
    if parameter is not None:
        for count in _now.counts:
            count.tensor(parameter.numel())


def _on_module(module: Any, name: str, part: Any) -> None:
    for count in _now.counts:
        count.module()


# Once and for good: torch goes through these hooks while other threads build, and they may not change meanwhile.
register_module_parameter_registration_hook(_on_parameter)
register_module_module_registration_hook(_on_module)


@contextmanager
def no_larger_than(tensors: int, numbers: int) -> Iterator[None]:
    """Refuse a model of far more weights than some, as soon as it has them; another thread's models are its own affair.

    Args:
        tensors, numbers: that its files hold.

    Raises:
        ValueError: from where a part too many is built.
    """
    count, before = _Count(tensors, numbers), _now.counts
    _now.counts = (*before, count)
    try:
        with _Bounded(count.most_numbers, count.refusal, count.tensor):
            yield
    finally:
        _now.counts = before
