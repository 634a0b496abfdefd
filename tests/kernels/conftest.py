"""Every buffer that an operator allocates starts as junk: an element that nobody writes shows."""

import pytest
import torch


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    empty = torch.empty

    def poisoned(*args, **kwargs):
        tensor = empty(*args, **kwargs)
        if tensor.device.type == "meta" or isinstance(tensor, torch._subclasses.FakeTensor):
            return tensor
        return tensor.fill_(float("nan") if tensor.is_floating_point() else 77)

    monkeypatch.setattr(torch, "empty", poisoned)
