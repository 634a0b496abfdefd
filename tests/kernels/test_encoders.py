"""Encoders: identities, names, and each rule against a few lines of float64."""

import pytest
import torch

from kernels import EmbeddingTable, encoders


def encode(encoder, logits, table, temperature=1.0, top=0):
    rows = logits.shape[0]
    return encoder.encode(
        logits, table, temperature=temperature, seeds=torch.arange(rows), steps=torch.arange(rows) * 7, top=top
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", encoders.names())
def test_one_hot_belief_is_the_token_bit_for_bit(name, dtype):
    table = EmbeddingTable(torch.randn(129, 63, generator=torch.Generator().manual_seed(0)).to(dtype))
    masked = torch.full((129, 129), float("-inf")).fill_diagonal_(0.0)
    peaked = torch.zeros(129, 129).fill_diagonal_(1e4)
    for logits in (masked, peaked):
        vectors = encode(encoders.get(name), logits, table, temperature=0.7).vectors
        assert torch.equal(vectors, table.weight)


@pytest.mark.parametrize("name", encoders.names())
def test_temperature_zero_is_the_argmax_token(name):
    table = EmbeddingTable(torch.randn(64, 8))
    logits = torch.randn(5, 64)
    logits[1, 20] = logits[1, 9] = 10.0
    result = encode(encoders.get(name), logits, table, temperature=0.0, top=2)
    expected = logits.argmax(-1)
    expected[1] = 9
    assert torch.equal(result.argmax, expected)
    assert torch.equal(result.vectors, table.weight[expected])
    assert torch.equal(result.top_ids[:, 0], expected)
    assert result.entropy.abs().max() == 0 and result.max_probability.min() == 1


def test_names_round_trip():
    for name in encoders.names():
        encoder = encoders.get(name)
        assert encoders.parse(str(encoder)) == encoder and hash(encoders.parse(str(encoder))) == hash(encoder)
    assert str(encoders.parse("topk(k=5)")) == "topk(k=5)"
    assert str(encoders.get("expectation")) == "expectation"


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 3.0])
@pytest.mark.parametrize("name", encoders.names())
def test_native_agrees_with_the_written_out_distribution(name, temperature):
    generator = torch.Generator().manual_seed(1)
    table = EmbeddingTable(torch.randn(777, 63, generator=generator), tolerance=1e-7)
    logits = torch.randn(9, 777, generator=generator) * 3
    logits[2, ::3] = float("-inf")
    results = []
    for impl in ("native", "reference"):
        results.append(
            encoders.get(name).encode(
                logits, table, temperature=temperature, seeds=torch.arange(9), steps=torch.arange(9), top=5, impl=impl
            )
        )
    native, reference = results
    torch.testing.assert_close(native.vectors, reference.vectors, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(native.entropy, reference.entropy, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(native.max_probability, reference.max_probability, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(native.top_probabilities, reference.top_probabilities, rtol=1e-4, atol=1e-5)
    assert torch.equal(native.argmax, reference.argmax)
    likely = reference.top_probabilities > 0
    assert torch.equal(native.top_ids[likely], reference.top_ids[likely])
