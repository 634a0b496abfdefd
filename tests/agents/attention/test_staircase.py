"""The staircase against its definition in float64: what is stored, when a chunk moves, what is counted, and what one step
comes to.
"""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.cache_utils import DynamicCache

from agents.attention.codes import code_bytes, quantise, rounded
from agents.attention.options import cache_of
from agents.attention.staircase import KEYS, VALUES, Staircase, StaircaseCache, settle
from agents.errors import ConfigError, UnknownName

STAIR = Staircase((8, 4, 2), 4)


def by_hand(numbers, bits, dim):
    """The quantiser of a group, in float64 but for what is stored in 16 bits."""
    x = numbers.double()
    low, high = x.min(dim, keepdim=True).values, x.max(dim, keepdim=True).values
    scale = ((high.float() - low.float()) / (2**bits - 1)).half().double()
    low = low.half().double()
    codes = ((x - low) / scale).round().clamp(0, 2**bits - 1)
    return low + scale * codes


def states(length, seed=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, length, 6, generator=draw).to(dtype)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("dim", [KEYS, VALUES])
def test_codes_are_those_of_the_definition_and_their_bytes_are_counted(bits, dim):
    x = states(7)
    codes = quantise(x, bits, dim)
    torch.testing.assert_close(codes.restore().double(), by_hand(x, bits, dim), atol=1e-6, rtol=1e-6)
    assert torch.equal(codes.restore(), rounded(x, bits, dim))
    assert codes.packed.dtype == torch.uint8
    assert codes.num_bytes == codes.packed.numel() + 4 * codes.scale.numel() == code_bytes(tuple(x.shape), bits, dim)
    assert codes.packed.numel() == -(-x.numel() * bits // 8)
    # No number is off by more than half a step, and what 16 bits lose of its ends.
    steps = codes.scale.double() * (0.5 + (2**bits - 1) * 2**-11) + codes.low.double().abs() * 2**-11
    assert ((codes.restore().double() - x.double()).abs() <= steps + 1e-7).all()


def test_equal_numbers_are_themselves_and_what_does_not_fit_is_refused():
    flat = torch.full((1, 1, 4, 2), 0.5)
    assert torch.equal(quantise(flat, 2, KEYS).restore(), flat)
    with pytest.raises(OverflowError, match="too large"):
        quantise(flat * 1e6, 2, KEYS)
    with pytest.raises(OverflowError):
        quantise(flat * torch.nan, 2, KEYS)
    with pytest.raises(ValueError, match="1 to 8 bits"):
        quantise(flat, 9, KEYS)


def test_chunks_go_down_the_stair_as_the_algorithm_says():
    assert STAIR.levels(3) == []
    assert STAIR.levels(4) == [8]
    assert STAIR.levels(15) == [2, 4, 8]
    assert STAIR.levels(21) == [2, 2, 2, 4, 8]
    assert list(STAIR.moves(12, 8)) == [(2, 8), (1, 4), (0, 2)]
    assert list(STAIR.moves(16, 12)) == [(3, 8), (2, 4), (1, 2)]
    assert list(STAIR.moves(11, 8)) == []


def test_a_cache_holds_requantised_codes_and_the_newest_tokens_as_they_are():
    """Each chunk is quantised of what the step before left, not of a copy that was kept."""
    keys, values = states(15), states(15, 1)
    cache = StaircaseCache(STAIR, 1)
    for place in range(15):
        seen = cache.update(keys[:, :, place : place + 1], values[:, :, place : place + 1], 0)
    assert cache.get_seq_length() == 15
    expected = keys.clone()
    for chunk, steps in ((0, (8, 4, 2)), (1, (8, 4)), (2, (8,))):
        span = slice(4 * chunk, 4 * chunk + 4)
        for bits in steps:
            expected[:, :, span] = by_hand(expected[:, :, span], bits, KEYS).float()
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-5)
    once = by_hand(keys[:, :, :4], 2, KEYS).float()
    assert (seen[0][:, :, :4] - once).abs().max() > 1e-3
    assert torch.equal(seen[1][:, :, 12:], values[:, :, 12:])
    # Bytes that are there are those that the formula counts; float32 here, where a number that is not quantised has four.
    cache = StaircaseCache(STAIR, 1)
    cache.update(keys[:1, :1], values[:1, :1], 0)
    cache.layers[0]._settle()
    assert cache.num_bytes == STAIR.num_bytes(15, 6, plain=4)


def test_one_step_is_uniform_quantisation():
    keys, values = states(14), states(14, 1)
    cache = StaircaseCache(cache_of("uniform(bits=4, chunk=4)"), 1)
    cache.update(keys, values, 0)
    seen_keys, seen_values = cache.update(keys[:, :, :0], values[:, :, :0], 0)
    for chunk in range(3):
        span = slice(4 * chunk, 4 * chunk + 4)
        assert torch.equal(seen_keys[:, :, span], rounded(keys[:, :, span], 4, KEYS))
        assert torch.equal(seen_values[:, :, span], rounded(values[:, :, span], 4, VALUES))
    assert torch.equal(seen_keys[:, :, 12:], keys[:, :, 12:])


@pytest.mark.parametrize("pieces", [(17,), (1,) * 17, (5, 7, 5), (4, 13)])
def test_what_is_held_depends_on_the_number_of_tokens_alone(pieces):
    """In one cache of codes, in pieces of any length, and in a row of numbers that is settled in place."""
    keys, values = states(17), states(17, 1)
    cache, offset = StaircaseCache(STAIR, 1), 0
    row_keys, row_values, before = keys[0].clone(), values[0].clone(), 0
    for piece in pieces:
        settle(STAIR, row_keys, row_values, held=offset, before=before, rounding=rounded)
        before = offset
        cache.update(keys[:, :, offset : offset + piece], values[:, :, offset : offset + piece], 0)
        offset += piece
    settle(STAIR, row_keys, row_values, held=offset, before=before, rounding=rounded)
    seen = cache.update(keys[:, :, :0], values[:, :, :0], 0)
    assert torch.equal(seen[0][0], row_keys)
    assert torch.equal(seen[1][0], row_values)
    whole = StaircaseCache(STAIR, 1)
    whole.update(keys, values, 0)
    assert torch.equal(whole.update(keys[:, :, :0], values[:, :, :0], 0)[0], seen[0])


def test_transformers_takes_the_cache_and_more_bits_come_nearer_to_the_model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, head_dim=8
    )
    model = LlamaForCausalLM(config).eval()
    ids = torch.randint(40, (1, 30), generator=torch.Generator().manual_seed(1))

    def after(cache):
        with torch.inference_mode():
            model(ids[:, :29], past_key_values=cache)
            return model(ids[:, 29:], past_key_values=cache).logits[0, -1].double()

    plain = after(DynamicCache(config=config))
    errors = [float((after(StaircaseCache(Staircase(bits, 4), 2)) - plain).norm()) for bits in ((8,), (4,), (2,))]
    assert 0 < errors[0] < errors[1] < errors[2]
    # Longer than the text, a chunk is never full.
    assert torch.equal(after(StaircaseCache(Staircase((2,), 30), 2)), plain)
    with torch.inference_mode():
        made = model.generate(ids, past_key_values=StaircaseCache(STAIR, 2), max_new_tokens=3, do_sample=False)
    assert made.shape[1] <= 33


def test_scales_and_the_newest_tokens_are_counted():
    # 32 tokens of 32 numbers in 4 bits: 1,024 codes are 512 bytes, and 32 groups have 4 bytes each; keys and values.
    assert Staircase((4,), 32).num_bytes(32, 32) == 2 * (512 + 128)
    assert Staircase((4,), 32).num_bytes(40, 32) == 2 * (512 + 128) + 2 * 2 * 8 * 32
    assert Staircase((4,), 32).bits_a_number(32, 32) == 5.0


@pytest.mark.parametrize(
    "text",
    [
        "staircase(bits=(4, 8))", "staircase(bits=())", "staircase(bits=(8, 8))", "staircase(bits=(16, 4))",
        "uniform(bits=0)", "uniform(chunk=0)", "staircase(bits=4)", "staircase(length=3)",
    ],
)  # fmt: skip
def test_a_stair_that_is_none_is_refused(text):
    with pytest.raises(ConfigError):
        cache_of(text)


def test_an_unknown_cache_is_refused():
    with pytest.raises(UnknownName, match="staircase"):
        cache_of("stairs")
