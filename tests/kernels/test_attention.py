"""Attention over the vocabulary against float64, its shards, and the memory it takes."""

import subprocess
import sys
import textwrap

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from kernels import ImplementationUnavailable, merge_partials, native, vocabulary_attention, vocabulary_partial
from kernels.attention import finish
from kernels.errors import InvalidBelief

IMPLEMENTATIONS = ["native", "blocked", "reference"]
# float32: sums of D products and V weights. bf16: logits from bf16 keys are exact products, but eight queries and more are
# averaged with weights rounded to bf16, 2^-9 each, and the result is rounded once.
TOLERANCE = {torch.float32: {"rtol": 1e-4, "atol": 1e-4}, torch.bfloat16: {"rtol": 2**-7, "atol": 2e-3}}


def skip_without(impl):
    if impl == "native" and native.refusal():
        pytest.skip(native.refusal())


def inputs(rows, vocabulary, width, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, width, generator=generator) * 2 / width**0.5
    return hidden.to(dtype), torch.randn(vocabulary, width, generator=generator).to(dtype)


def exact(hidden, head, table, temperature, scale=1.0, softcap=None, bias=None):
    z = hidden.double() @ head.double().T * scale
    if softcap:
        z = softcap * torch.tanh(z / softcap)
    if bias is not None:
        z = z + bias.double()
    log_p = (z / temperature).log_softmax(-1)
    p = log_p.exp()
    entropy = -(p * log_p.nan_to_num(neginf=0.0)).sum(-1)
    return z, p @ table.double(), (z / temperature).logsumexp(-1), p.amax(-1), entropy


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("vocabulary", "width", "rows"),
    [
        (1, 1, 1), (2, 63, 17), (127, 1, 3), (128, 576, 17), (129, 63, 4), (129, 4097, 3), (5000, 576, 0),
        (5003, 640, 17), (49152, 64, 1), (50257, 63, 5),
    ],
    ids=lambda n: str(n),
)  # fmt: skip
def test_agrees_with_float64(vocabulary, width, rows, impl, dtype):
    skip_without(impl)
    hidden, head = inputs(rows, vocabulary, width, dtype)
    for temperature in (0.05, 0.7, 1e4):
        found = vocabulary_attention(hidden, head, None, temperature, top_k=3, impl=impl)
        z, expectation, logsumexp, max_probability, entropy = exact(hidden, head, head, temperature)
        tolerance = TOLERANCE[dtype]
        assert found.expectation.dtype == dtype
        torch.testing.assert_close(found.expectation.double(), expectation, **tolerance)
        torch.testing.assert_close(found.logsumexp.double(), logsumexp, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.max_probability.double(), max_probability, rtol=2e-3, atol=1e-4)
        torch.testing.assert_close(found.entropy.double(), entropy, rtol=2e-3, atol=2e-3)
        k = min(3, vocabulary)
        torch.testing.assert_close(found.top_values[:, :k].double(), z.topk(k).values, rtol=1e-4, atol=1e-4)
        assert (found.top_ids[:, k:] == -1).all()
        if rows:
            torch.testing.assert_close(z.gather(1, found.argmax[:, None])[:, 0], z.amax(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_untied_tables_and_what_models_do_to_logits(impl):
    skip_without(impl)
    hidden, head = inputs(6, 300, 40)
    table = torch.randn(300, 70)
    bias = torch.randn(300)
    bias[5:9] = float("-inf")
    found = vocabulary_attention(hidden, head, table, 0.6, scale=1.7, softcap=2.5, bias=bias, top_k=4, impl=impl)
    z, expectation, logsumexp, _, entropy = exact(hidden, head, table, 0.6, 1.7, 2.5, bias)
    torch.testing.assert_close(found.expectation.double(), expectation, **TOLERANCE[torch.float32])
    torch.testing.assert_close(found.logsumexp.double(), logsumexp, **TOLERANCE[torch.float32])
    torch.testing.assert_close(found.entropy.double(), entropy, **TOLERANCE[torch.float32])
    assert torch.equal(found.top_ids, z.topk(4).indices)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_temperature_zero_is_the_argmax_row(impl):
    skip_without(impl)
    hidden, head = inputs(9, 500, 24)
    head[400] = head[17]
    hidden[3] = head[17]
    temperature = torch.tensor([0.0, 1.0] * 4 + [0.0])
    found = vocabulary_attention(hidden, head, None, temperature, impl=impl)
    argmax = (hidden @ head.T).argmax(-1)
    frozen = temperature == 0
    assert torch.equal(found.expectation[frozen], head[found.argmax[frozen]])
    assert torch.equal(found.argmax[frozen], argmax[frozen])
    assert found.entropy[frozen].abs().max() == 0
    assert found.max_probability[frozen].min() == 1
    assert torch.isposinf(found.logsumexp[frozen]).all()
    tied = vocabulary_attention(hidden[3:4], head, None, 0.0, top_k=2, impl=impl)
    assert tied.argmax.item() == 17
    assert tied.top_ids.tolist() == [[17, 400]]


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("shards", [2, 3, 8])
def test_merged_shards_are_the_whole(shards, impl):
    skip_without(impl)
    hidden, head = inputs(5, 1003, 32)
    bias = torch.zeros(1003)
    bias[:130] = float("-inf")
    temperature = torch.tensor([0.0, 0.1, 0.7, 1.0, 9.0])
    options = {"bias": bias, "top_k": 6, "impl": impl}
    whole = vocabulary_attention(hidden, head, None, temperature, **options)
    parts, start = [], 0
    for rows in torch.arange(1003).tensor_split(shards):
        here = slice(start, start + len(rows))
        parts.append(
            vocabulary_partial(hidden, head[here], None, temperature, offset=start, **{**options, "bias": bias[here]})
        )
        start += len(rows)
    merged = finish(merge_partials(parts, temperature), temperature, head.dtype)
    paired = merge_partials([parts[0], merge_partials(parts[1:], temperature)], temperature)
    for other in (merged, finish(paired, temperature, head.dtype)):
        for name in ("expectation", "logsumexp", "max_probability", "entropy", "top_values"):
            torch.testing.assert_close(getattr(other, name), getattr(whole, name), rtol=1e-4, atol=1e-5)
        assert torch.equal(other.argmax, whole.argmax)
        assert torch.equal(other.top_ids, whole.top_ids)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_whole_at_once_is_the_finished_part(dtype, threads):
    skip_without("native")
    hidden, head = inputs(6, 700, 64)
    hidden, head = hidden.to(dtype), head.to(dtype)
    bias = torch.zeros(700)
    bias[100:300] = float("-inf")
    temperature = torch.tensor([0.0, 1e-4, 0.7, 1.0, 9.0, 1e4])
    options = {"bias": bias, "top_k": 5, "impl": "native"}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = vocabulary_attention(hidden, head, None, temperature, **options)
        part = vocabulary_partial(hidden, head, None, temperature, **options)
    finally:
        torch.set_num_threads(before)
    expected = finish(part, temperature, dtype)
    for name in ("expectation", "argmax", "max_probability", "top_values", "top_ids"):
        assert torch.equal(getattr(whole, name), getattr(expected, name)), name
    # The logarithm is another library's.
    for name in ("logsumexp", "entropy"):
        torch.testing.assert_close(getattr(whole, name), getattr(expected, name), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("width", [32, 352, 577])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_query_does_not_depend_on_its_batch(width, dtype):
    skip_without("native")
    hidden, head = inputs(14, 1003, width)
    hidden, head = hidden.to(dtype), head.to(dtype)
    temperature = torch.linspace(0.1, 3.0, 14)
    whole = vocabulary_attention(hidden, head, None, temperature, top_k=3, impl="native")
    for first, last in ((0, 1), (3, 5), (2, 6), (1, 8), (4, 14)):
        here = slice(first, last)
        found = vocabulary_attention(hidden[here], head, None, temperature[here], top_k=3, impl="native")
        for name in ("expectation", "logsumexp", "entropy", "argmax", "top_values", "top_ids"):
            assert torch.equal(getattr(found, name), getattr(whole, name)[here]), name


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 90), st.integers(1, 24), st.floats(0.05, 50), st.sampled_from(IMPLEMENTATIONS)
)
def test_results_lie_in_the_hull(seed, vocabulary, width, temperature, impl):
    skip_without(impl)
    hidden, head = inputs(5, vocabulary, width, seed=seed)
    found = vocabulary_attention(hidden, head, None, temperature, impl=impl)
    slack = 1e-5 * head.abs().amax()
    assert (found.expectation >= head.amin(0) - slack).all()
    assert (found.expectation <= head.amax(0) + slack).all()
    assert (found.entropy <= torch.log(torch.tensor(float(vocabulary))) + 1e-4).all()


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_rows_that_are_no_belief_are_named(impl):
    skip_without(impl)
    hidden, head = inputs(6, 200, 16)
    hidden[4, 3] = float("nan")
    with pytest.raises(InvalidBelief, match="row 4: NaN"):
        vocabulary_attention(hidden, head, impl=impl)
    with pytest.raises(InvalidBelief, match="nothing but -inf"):
        vocabulary_attention(hidden[:4], head, bias=torch.full((200,), float("-inf")), impl=impl)


def test_strided_and_mixed_inputs():
    hidden, head = inputs(4, 300, 48)
    expected = vocabulary_attention(hidden, head, None, 0.7, impl="reference").expectation
    strided = torch.randn(300, 96)[:, ::2].copy_(head)
    torch.testing.assert_close(
        vocabulary_attention(hidden, strided, None, 0.7).expectation, expected, rtol=1e-4, atol=1e-4
    )
    mixed = vocabulary_attention(hidden, head.bfloat16(), head, 0.7)
    torch.testing.assert_close(mixed.expectation, expected, rtol=0.05, atol=0.05)
    half = vocabulary_attention(hidden.half(), head.half(), None, 0.7)
    torch.testing.assert_close(half.expectation.float(), expected, rtol=0.01, atol=0.01)
    with pytest.raises(ImplementationUnavailable, match="one dtype"):
        vocabulary_attention(hidden, head.bfloat16(), head, impl="native")
    with pytest.raises(ImplementationUnavailable, match="computes in float32, got float64"):
        vocabulary_attention(hidden.double(), head, impl="native")


def test_wrong_arguments_say_what_would_do():
    hidden, head = inputs(2, 10, 4)
    for arguments, message in (
        ((hidden[:, :3], head), "hidden must be"),
        ((hidden, head, head[:9]), "V = 10 as in head"),
    ):
        with pytest.raises(ValueError, match=message):
            vocabulary_attention(*arguments)
    with pytest.raises(ValueError, match="bias must be"):
        vocabulary_attention(hidden, head, bias=torch.zeros(9))
    with pytest.raises(ValueError, match="softcap"):
        vocabulary_attention(hidden, head, softcap=0.0)
    with pytest.raises(ValueError, match="top_k"):
        vocabulary_attention(hidden, head, top_k=-1)
    with pytest.raises(ValueError, match="at least one part"):
        merge_partials([], torch.ones(1))


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_the_operator_keeps_torchs_rules(impl):
    skip_without(impl)
    hidden, head = inputs(3, 40, 16)
    arguments = (hidden, head, None, torch.ones(3), 1.0, 0.0, None, 2, impl)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.cipher_debate.vocabulary_attention.default, arguments, test_utils=checks)


@pytest.mark.parametrize("impl", ["native", "blocked"])
def test_memory_stays_at_a_block(impl):
    """64 × 200,000 float32 logits are 51 MB; the operator's peak over its inputs has to stay well under one such tensor."""
    skip_without(impl)
    script = f"""
        import resource, torch
        from kernels import vocabulary_attention
        hidden, head = torch.randn(64, 64), torch.randn(200_000, 64)
        vocabulary_attention(hidden, head[:5000], impl={impl!r})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        vocabulary_attention(hidden, head, top_k=8, impl={impl!r})
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True)
    assert int(done.stdout) * 1024 < 12e6
