"""What the Triton kernels have to do; test_triton.py runs these in a process of their own."""

import math
import os

import pytest
import torch

from kernels import (
    EmbeddingTable,
    encoders,
    expected_embedding,
    nearest_token,
    sparse_expected_embedding,
    vocabulary_attention,
    weighted_rows,
)
from kernels.errors import InvalidBelief
from kernels.expectation import triton as expectation
from kernels.nearest import triton as nearest

# The interpreter computes with numpy, which warns of infinities that the kernels select away.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
TOLERANCE = {torch.float32: {"rtol": 1e-4, "atol": 1e-4}, torch.bfloat16: {"rtol": 2**-7, "atol": 2e-3}}


@pytest.fixture
def device():
    return "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"


def inputs(rows, vocabulary, width, dtype, device):
    generator = torch.Generator().manual_seed(rows + vocabulary)
    table = torch.randn(vocabulary, width, generator=generator).to(dtype)
    hidden = (torch.randn(rows, width, generator=generator) * 2 / width**0.5).to(dtype)
    logits = torch.randn(rows, vocabulary, generator=generator) * 3
    return logits.to(device), hidden.to(device), table.to(device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    ("vocabulary", "width", "rows"), [(1, 1, 1), (127, 63, 3), (130, 70, 17), (128, 16, 0)], ids=lambda n: str(n)
)
def test_agrees_with_the_references(vocabulary, width, rows, dtype, device):
    logits, hidden, table = inputs(rows, vocabulary, width, dtype, device)
    temperature = torch.tensor([0.0, 0.7, 1e4, 0.05]).repeat(5)[:rows].to(device)
    found, expected = (expected_embedding(logits, table, temperature, impl=i) for i in ("triton", "reference"))
    torch.testing.assert_close(found, expected, **TOLERANCE[dtype])
    bias = torch.linspace(-1, 1, vocabulary, device=device)
    for options in ({}, {"scale": 0.5, "softcap": 3.0, "bias": bias}):
        found, expected = (
            vocabulary_attention(hidden, table, None, temperature, top_k=3, impl=i, **options)
            for i in ("triton", "reference")
        )
        for name in ("expectation", "logsumexp", "max_probability", "entropy", "top_values"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), **TOLERANCE[dtype])
        assert torch.equal(found.argmax, expected.argmax)
        assert torch.equal(found.top_ids, expected.top_ids)


def test_untied_values_and_ties(device):
    _, hidden, head = inputs(4, 150, 20, torch.float32, device)
    head[140] = head[90] = head[10]
    hidden[0] = head[10]
    values = torch.randn(150, 33, device=device)
    found, expected = (
        vocabulary_attention(hidden, head, values, 0.6, top_k=2, impl=i) for i in ("triton", "reference")
    )
    torch.testing.assert_close(found.expectation, expected.expectation, **TOLERANCE[torch.float32])
    assert found.argmax[0] == 10
    assert found.top_ids[0].tolist() == [10, 90]


@pytest.mark.parametrize("vocabulary", [1, 64, 200])
def test_nearest(vocabulary, device):
    _, _, table = inputs(1, vocabulary, 40, torch.bfloat16, device)
    if vocabulary > 1:
        table[vocabulary - 1] = table[1]
    vectors = torch.cat([table[:2], table[-1:], torch.randn(6, 40, device=device).bfloat16()])
    found, expected = (nearest_token(vectors, table, impl=i) for i in ("triton", "reference"))
    assert torch.equal(found.ids, expected.ids)
    torch.testing.assert_close(found.margin, expected.margin, rtol=1e-5, atol=1e-6)


def test_rows_that_are_no_belief_are_named(device):
    logits, hidden, table = inputs(3, 70, 16, torch.float32, device)
    logits[1, 5] = hidden[1, 5] = float("nan")
    with pytest.raises(InvalidBelief, match="row 1"):
        expected_embedding(logits, table, impl="triton")
    with pytest.raises(InvalidBelief, match="row 1"):
        vocabulary_attention(hidden, table, impl="triton")


@pytest.mark.parametrize("name", ["expectation", "topk"])
def test_encoders_name_rows_that_are_no_belief_or_say_so_later(name, device):
    logits, _, table = inputs(3, 70, 16, torch.float32, device)
    rows = torch.arange(3, device=device)
    given = {"temperature": torch.full((3,), 0.7, device=device), "seeds": rows, "steps": rows, "impl": "triton"}
    assert encoders.get(name).encode(logits, table, **given).status is None
    logits[1, 5] = float("nan")
    with pytest.raises(InvalidBelief, match="row 1"):
        encoders.get(name).encode(logits, table, **given)
    assert encoders.get(name).encode(logits, table, **given, deferred=True).status.tolist() == [0, 1, 0]


def test_nearest_tokens_that_are_proven_by_their_neighbours_are_those_that_are_searched_for(device):
    _, _, weight = inputs(1, 200, 40, torch.bfloat16, device)
    weight[150] = weight[3]
    weight[7] = 0
    table = EmbeddingTable(weight)
    table.neighbour_cosines.copy_(nearest.neighbour_cosines(table.weight, table.inverse_norms))
    object.__setattr__(table, "knows_neighbours", True)
    assert float(table.neighbour_cosines[3]) == float(table.neighbour_cosines[7]) == 1
    # Near a token, between two, next to a pair of equal rows, and anywhere.
    vectors = torch.stack([weight[5] * 3, weight[20] + weight[90], weight[150], weight[3] * 1.5, weight[7] + weight[1]])
    vectors = torch.cat([vectors, torch.randn(4, 40, device=device).bfloat16()])
    candidates = torch.tensor(
        [[5, 1], [20, 90], [150, 2], [3, 4], [1, 7], [0, 1], [2, 3], [4, 5], [6, 7]], device=device
    )
    found = nearest_token(vectors, table, candidates=candidates, impl="triton")
    expected = nearest_token(vectors, weight, impl="reference")
    assert torch.equal(found.ids, expected.ids)
    torch.testing.assert_close(found.cosine, expected.cosine, rtol=1e-6, atol=1e-6)
    assert bool((found.margin <= expected.margin + 1e-6).all())
    # A row that is not needed leaves the others what they are.
    alone = nearest_token(vectors[:1], table, candidates=candidates[:1], impl="triton")
    assert alone.ids.tolist() == [5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
def test_weights_keep_their_precision_in_two_halves(dtype, device):
    from kernels.expectation import triton

    logits, _, table = inputs(5, 1300, 33, dtype, device)
    weights = logits.softmax(dim=1)
    exact = weights.double() @ table.double()
    error = (triton.weighted_rows(weights, table).double() - exact).abs().max() / table.float().norm(dim=1).max()
    assert float(error) < 2e-6
    # Where one half alone would do, this would not be.
    coarse = weights.to(dtype).double() @ table.double()
    if dtype == torch.bfloat16:
        assert float((coarse - exact).abs().max()) > 10 * float(error)
    turned = table.T.contiguous().T
    torch.testing.assert_close(triton.weighted_rows(weights, turned), triton.weighted_rows(weights, table))
    torch.testing.assert_close(weighted_rows(weights, table.float()), weights @ table.float(), rtol=1e-5, atol=1e-5)


def by_definition(z, temperature, weight, scale, delta):
    """In float64: which tokens of one belief are left out as csrc/belief.cpp leaves them out, and p."""
    s = (z.double() - z.double().max()) / temperature
    w = s.exp()
    for k in range(1, 128):
        left = w <= math.exp(-k / 4)
        cost = (w[left] ** 2).sum().sqrt() * scale if scale is not None else w[left].sum()
        if float(cost / w.sum()) <= delta:
            return left, w / w.sum()
    return torch.zeros_like(left), w / w.sum()


@pytest.mark.parametrize(
    ("dtype", "lasts"),
    [(torch.float32, True), (torch.bfloat16, True), (torch.bfloat16, False), (torch.float16, False)],
    ids=["fp32-stand-ins", "bf16-stand-ins", "bf16-renormalised", "fp16-renormalised"],
)
def test_tokens_left_out_keep_the_certificate(dtype, lasts, device):
    logits, _, weight = inputs(17, 1500, 33, dtype, device)
    # As tables of real models are: all rows have a direction in common, and a few are long.
    weight = (weight.float() + 3).to(dtype)
    weight[::50] *= 3
    logits[3, 100:] = float("-inf")
    logits[4, 700] = logits[4, 200] = 30.0
    temperature = torch.tensor([0.05, 0.7, 1.0, 1.0, 0.7, 2.0, 0.0, 1e4]).repeat(3)[:17].to(device)
    table = EmbeddingTable(weight, tolerance=2.0**-9, lasts=lasts)
    found = sparse_expected_embedding(logits, table, temperature, impl="triton")
    assert found.vectors.dtype == dtype
    wide = weight.double()
    if lasts:
        low = table.low_rank
        rest = wide - low.coordinates.T.double() @ low.basis.double()
        spectral = float(torch.linalg.matrix_norm(rest, 2))
    kept_fewer = 0
    for row, t in enumerate(temperature.tolist()):
        if t == 0:
            assert torch.equal(found.vectors[row], weight[int(logits[row].argmax())])
            assert found.rows_read[row] == 1
            continue
        left, p = by_definition(logits[row], t, weight, low.scale if lasts else None, table.delta)
        # A threshold that float32 sums decide may be the next one.
        assert abs(int(found.rows_read[row]) - int((~left).sum())) <= 2 + 0.3 * int((~left).sum())
        error = float((found.vectors[row].double() - p @ wide).norm())
        rounding = torch.finfo(dtype).eps * float((p @ wide).norm()) + 3e-6 * table.max_norm
        assert error <= float(found.bound[row]) + rounding
        assert float(found.bound[row]) <= 2 * table.delta * table.max_norm * 1.001
        if int(found.rows_read[row]) == int((~left).sum()):
            kept_fewer += bool(left.any())
            q = torch.where(left, 0.0, p)
            said = q @ wide / q.sum()
            certified = 2 * float(p[left].sum()) * table.max_norm
            if lasts:
                said = q @ wide + (p * left) @ (wide - rest)
                certified = spectral * float((p[left] ** 2).sum().sqrt())
            assert float((found.vectors[row].double() - said).norm()) <= rounding
            assert float(found.bound[row]) >= certified * (1 - 1e-9)
    assert kept_fewer > 3, "nothing was left out: the test tests nothing"


def test_nothing_is_left_out_where_nothing_may_be(device):
    logits, _, weight = inputs(3, 300, 20, torch.bfloat16, device)
    table = EmbeddingTable(weight)
    for delta in (0.0, 1e-30):
        found = sparse_expected_embedding(logits, table, 0.7, delta=delta, impl="triton")
        assert found.rows_read.tolist() == [300] * 3
        assert float(found.bound.max()) == 0
    logits[1, 4] = float("nan")
    with pytest.raises(InvalidBelief, match="row 1"):
        sparse_expected_embedding(logits, table, impl="triton")
    assert sparse_expected_embedding(logits[:0], table, impl="triton").vectors.shape == (0, 20)


def test_an_encoder_that_leaves_tokens_out_says_the_same_of_its_belief(device, monkeypatch):
    logits, _, weight = inputs(4, 700, 24, torch.bfloat16, device)
    table = EmbeddingTable(weight, tolerance=2.0**-10)
    rows = torch.arange(4, device=device)
    given = {"temperature": torch.tensor([0.0, 0.3, 0.7, 1.5], device=device), "seeds": rows, "steps": rows, "top": 5}
    dense = encoders.get("expectation").encode(logits, table, impl="triton", **given)
    monkeypatch.setenv("CIPHER_DEBATE_GPU_SPARSE", "1")
    sparse = encoders.get("expectation").encode(logits, table, impl="triton", **given)
    bound = 2 * table.delta * table.max_norm + 2**-8 * float(dense.vectors.float().norm(dim=1).max())
    assert float((sparse.vectors.float() - dense.vectors.float()).norm(dim=1).max()) <= bound
    assert not torch.equal(sparse.vectors, dense.vectors), "nothing was left out: the test tests nothing"
    for name in ("entropy", "max_probability", "top_probabilities"):
        torch.testing.assert_close(getattr(sparse, name), getattr(dense, name), rtol=1e-5, atol=1e-6)
    assert torch.equal(sparse.top_ids, dense.top_ids)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_all_launches_compute_the_same(dtype, device):
    logits, _, table = inputs(18, 300, 70, dtype, device)
    weights, inverse = logits.softmax(dim=1), EmbeddingTable(table).inverse_norms
    high = weights.to(dtype)
    low = (weights - high).to(dtype)
    exact = weights.double() @ table.double()
    scale = table.float().norm(dim=1).max()
    for launch in expectation.product_candidates(18, 70, dtype):
        found = expectation._sums(high, low, table, launch).sum(dim=0)
        assert float((found.double() - exact).abs().max()) <= 2e-5 * float(scale), launch
    vectors = table[:9].float()
    pieces, factor = nearest._pieces(torch.nn.functional.normalize(vectors, dim=1), dtype)
    wanted = torch.ones(9, dtype=torch.int8, device=device)
    cosines = (
        torch.nn.functional.normalize(table.double(), dim=1)[:9]
        @ torch.nn.functional.normalize(table.double(), dim=1).T
    )
    blocks = torch.nn.functional.pad(cosines, (0, 20), value=-2).view(9, 5, 64).amax(dim=2)
    for launch in nearest.search_candidates(9, table):
        found = nearest._maxima(pieces, wanted, table, inverse / factor, launch)
        torch.testing.assert_close(found.double(), blocks, rtol=0, atol=1e-5)
