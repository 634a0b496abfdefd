"""Rows of a model's table from its file: those of the tensor, found by the hash that fingerprints have."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents.byte_tokens import ByteTokenizer
from agents.fingerprint import fingerprint
from evals.viewer.table_file import table_with_hash

IDS = np.array([0, 5, 4999, 5])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_are_those_of_the_table_with_the_hash(tmp_path, dtype):
    table = torch.randn(5000, 6, generator=torch.Generator().manual_seed(0))
    # Ties of the rounding to bfloat16 among them, the smallest numbers and both zeros.
    table[0] = torch.tensor([1.00390625, 1.01171875, -1.00390625, 1e-40, 0.0, -0.0])
    table = table.to(dtype)
    save_file({"model.norm.weight": torch.ones(6), "lm_head.weight": table + 1}, tmp_path / "a.safetensors")
    save_file({"model.embed_tokens.weight": table}, tmp_path / "b.safetensors")
    found = table_with_hash(tmp_path, fingerprint("m", table, ByteTokenizer()).table)
    assert found is not None
    assert torch.equal(torch.tensor(found.rows(IDS)), table.float()[IDS])
    assert table_with_hash(tmp_path, "0" * 64) is None


def test_a_folder_without_it_and_damaged_files_have_none(tmp_path):
    assert table_with_hash(tmp_path / "none", "0" * 64) is None
    for number, blob in enumerate((b"", b"\xff" * 8, (5).to_bytes(8, "little") + b"[[[[[", b"x" * 100)):
        (tmp_path / f"{number}.safetensors").write_bytes(blob)
        assert table_with_hash(tmp_path, "0" * 64) is None


@pytest.mark.parametrize(
    ("shape", "offsets"),
    [([9, 9], [0, 324]), ([2, 2], []), ([2, 2], [1 << 70, 16]), ([2, 2], [-5, 16]), ([1 << 62] * 2, [0, 16]), ([10**300], [0, 0]),
     ([-1, 4], [0, 16]), ([4], [0, 16]), ("ab", [0, 16]), ([2.5, 1], [0, 16])],
)  # fmt: skip
def test_a_table_that_the_file_does_not_hold_is_none(tmp_path, shape, offsets):
    place = json.dumps({"wte.weight": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    (tmp_path / "9.safetensors").write_bytes(len(place).to_bytes(8, "little") + place + bytes(16))
    assert table_with_hash(tmp_path, "0" * 64) is None
