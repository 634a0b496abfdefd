"""A message that goes to another process arrives as it was."""

import pytest
import torch

pytest.importorskip("ray")

from agents.message import Cipher
from debate.runtime.ray.wire import _from_arrays, _to_arrays


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_tensor_arrives_with_its_type_those_for_other_tables_too(dtype):
    drawn = torch.Generator().manual_seed(0)
    vectors, others = (torch.randn(3, width, generator=drawn).to(dtype) for width in (4, 6))
    ids, facts = torch.zeros(3, dtype=torch.int64), torch.ones(3)
    sent = Cipher(vectors, ids, facts, facts, ids[:, None], facts[:, None], {"another": others})
    came = Cipher.of(_from_arrays(_to_arrays(sent.tensors())))
    assert list(came.rendered) == ["another"]
    for name, tensor in sent.tensors().items():
        assert came.tensors()[name].dtype == tensor.dtype
        assert torch.equal(came.tensors()[name], tensor)
