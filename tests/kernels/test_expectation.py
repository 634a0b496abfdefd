"""The expected embedding against a float64 definition, at awkward sizes, temperatures and inputs."""

import logging

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from kernels import (
    EmbeddingTable,
    ImplementationUnavailable,
    dispatch,
    expected_embedding,
    native,
    sparse_expected_embedding,
)
from kernels.errors import InvalidBelief

IMPLEMENTATIONS = ["native", "blocked", "reference"]
# bf16 results are rounded once at the end: half a unit in the last of 8 bits. float32 sums lose a few units over V terms.
TOLERANCE = {torch.float32: {"rtol": 1e-4, "atol": 2e-5}, torch.bfloat16: {"rtol": 2**-8, "atol": 1e-4}}


def skip_without(impl):
    if impl == "native" and native.refusal():
        pytest.skip(native.refusal())


def exact(logits, table, temperature):
    """Float64, a row at a time; the argmax row at temperature 0."""
    rows = []
    for z in logits.double():
        if temperature == 0:
            rows.append(table[int((z == z.max()).nonzero()[0])].double())
        else:
            w = ((z - z.max()) / temperature).exp()
            rows.append((w / w.sum()) @ table.double())
    return torch.stack(rows) if rows else torch.zeros(0, table.shape[1], dtype=torch.float64)


def inputs(rows, vocabulary, width, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, vocabulary, generator=generator) * 3
    return logits, torch.randn(vocabulary, width, generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("vocabulary", "width", "rows"),
    [
        (1, 1, 1), (2, 63, 17), (127, 1, 17), (128, 576, 1), (129, 63, 17), (129, 4097, 3), (5000, 576, 0),
        (49152, 63, 3), (50257, 576, 1),
    ],
    ids=lambda n: str(n),
)  # fmt: skip
def test_agrees_with_float64(vocabulary, width, rows, impl, dtype):
    skip_without(impl)
    logits, table = inputs(rows, vocabulary, width, dtype)
    for temperature in (0.0, 1e-4, 0.7, 1e4):
        found = expected_embedding(logits, table, temperature, impl=impl)
        assert found.dtype == dtype
        assert found.shape == (rows, width)
        torch.testing.assert_close(found.double(), exact(logits, table, temperature), **TOLERANCE[dtype])


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_each_row_has_its_own_temperature(impl):
    skip_without(impl)
    logits, table = inputs(4, 300, 20)
    temperatures = torch.tensor([0.0, 0.3, 1.0, 50.0])
    found = expected_embedding(logits, table, temperatures, impl=impl)
    for row, temperature in enumerate(temperatures.tolist()):
        one = exact(logits[row : row + 1], table, temperature)
        torch.testing.assert_close(found[row : row + 1].double(), one, **TOLERANCE[torch.float32])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_one_hot_beliefs_give_the_rows_bit_for_bit(impl, dtype):
    skip_without(impl)
    _, table = inputs(0, 129, 63, dtype)
    table[5, :7] = -0.0
    masked = torch.full((129, 129), float("-inf")).fill_diagonal_(3.0)
    peaked = torch.zeros(129, 129).fill_diagonal_(500.0)
    assert torch.equal(expected_embedding(masked, table, 0.7, impl=impl), table)
    assert torch.equal(expected_embedding(peaked, table, 1.0, impl=impl), table)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_masked_tokens_do_not_count(impl):
    skip_without(impl)
    logits, table = inputs(5, 200, 30)
    mask = torch.rand(5, 200, generator=torch.Generator().manual_seed(2)) < 0.5
    table_with_junk = table.clone()
    table_with_junk[~mask.any(dim=0)] = 1e6
    found = expected_embedding(logits, table_with_junk, 0.9, mask=mask, impl=impl)
    expected = exact(logits.masked_fill(~mask, float("-inf")), table, 0.9)
    torch.testing.assert_close(found.double(), expected, **TOLERANCE[torch.float32])


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_restrictions(impl):
    skip_without(impl)
    logits, table = inputs(3, 50, 8)
    logits[0, 10] = logits[0, 20] = logits[0].max() + 1
    p = logits.double().softmax(-1)
    values, order = p.sort(dim=-1, descending=True, stable=True)
    for options, keep in (
        ({"top_k": 1}, lambda row: order[row, :1]),
        ({"top_k": 7}, lambda row: order[row, :7]),
        ({"top_p": 0.8}, lambda row: order[row, values[row].cumsum(0) - values[row] < 0.8]),
        ({"min_p": 0.1}, lambda row: (p[row] >= 0.1 * p[row].max()).nonzero().flatten()),
    ):
        found = expected_embedding(logits, table, 1.0, impl=impl, **options)
        for row in range(3):
            ids = keep(row)
            expected = (p[row, ids] / p[row, ids].sum()) @ table[ids].double()
            torch.testing.assert_close(found[row].double(), expected, **TOLERANCE[torch.float32])


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"min_p": -0.1}, {"min_p": 1.5}])
def test_restrictions_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        expected_embedding(*inputs(1, 5, 3), 1.0, **options)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("value", "everywhere", "complaint"),
    [(float("nan"), False, "row 2, 5: NaN"), (float("-inf"), True, "nothing but -inf"), (float("inf"), False, "inf")],
    ids=["nan", "empty", "inf"],
)
def test_rows_that_are_no_belief_are_named(impl, value, everywhere, complaint):
    skip_without(impl)
    logits, table = inputs(7, 100, 4)
    for row in (2, 5):
        logits[row, slice(None) if everywhere else 42] = value
    with pytest.raises(InvalidBelief, match="row 2, 5") as caught:
        expected_embedding(logits, table, 1.0, impl=impl)
    assert complaint in str(caught.value)
    assert caught.value.rows == (2, 5)


def test_the_first_eight_rows_that_are_no_belief_are_named():
    nan = torch.full((9, 4), float("nan"))
    with pytest.raises(InvalidBelief, match="row 0, 1, 2, 3, 4, 5, 6, 7, …: NaN") as caught:
        expected_embedding(nan, torch.ones(4, 2))
    assert caught.value.rows == tuple(range(9))
    with pytest.raises(InvalidBelief, match="row 0, 1, 2, 3, 4, 5, 6, 7: NaN"):
        expected_embedding(nan[:8], torch.ones(4, 2))


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_strided_and_half_precision_logits(impl, dtype):
    skip_without(impl)
    logits, table = inputs(6, 400, 32)
    for view in (logits[::2], logits.T.contiguous().T, logits[:, ::2]):
        z = view.to(dtype)
        weight = table[: z.shape[1]]
        strided = torch.randn(z.shape[1], 64)[:, ::2].copy_(weight)
        found = expected_embedding(z, strided, 0.8, impl=impl)
        torch.testing.assert_close(found.double(), exact(z, weight, 0.8), **TOLERANCE[torch.float32])


def test_half_precision_tables_fall_to_torch():
    logits, table = inputs(3, 40, 16)
    found = expected_embedding(logits, table.half(), 1.0)
    torch.testing.assert_close(found.double(), exact(logits, table.half(), 1.0), rtol=1e-3, atol=1e-3)


def test_a_row_does_not_depend_on_its_batch():
    skip_without("native")
    logits, table = inputs(17, 3000, 576, torch.bfloat16)
    temperature = torch.linspace(0.2, 3.0, 17)
    whole = expected_embedding(logits, table, temperature, impl="native")
    for row in (0, 8, 16):
        assert torch.equal(
            expected_embedding(logits[row : row + 1], table, temperature[row : row + 1]), whole[row : row + 1]
        )


@pytest.mark.parametrize("width", [32, 352, 576])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_neither_batch_nor_threads_change_bits(width, dtype):
    """Flat beliefs are added densely, middling ones by lists, sharp ones token by token, and which of it depends on the batch."""
    skip_without("native")
    logits, table = inputs(20, 3001, width, dtype)
    table = EmbeddingTable(table)
    temperature = torch.tensor([0.0, 0.05, 0.3, 0.6, 1.0, 2.0, 9.0, 40.0, 9.0, 9.0] * 2)
    before = torch.get_num_threads()
    try:
        for delta in (0.0, 1e-4):
            torch.set_num_threads(1)
            alone = [
                sparse_expected_embedding(
                    logits[row : row + 1], table, temperature[row : row + 1], delta=delta, impl="native"
                )
                for row in range(20)
            ]
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                for first, last in ((0, 20), (4, 9), (5, 17), (0, 3), (4, 10), (12, 20)):
                    here = slice(first, last)
                    found = sparse_expected_embedding(
                        logits[here], table, temperature[here], delta=delta, impl="native"
                    )
                    assert torch.equal(found.vectors, torch.cat([one.vectors for one in alone[here]]))
                    assert torch.equal(found.rows_read, torch.cat([one.rows_read for one in alone[here]]))
    finally:
        torch.set_num_threads(before)


beliefs = st.integers(0, 2**31).flatmap(
    lambda seed: st.tuples(st.just(seed), st.integers(1, 80), st.integers(1, 20), st.floats(0.01, 100))
)


@settings(max_examples=60, deadline=None)
@given(beliefs, st.sampled_from(IMPLEMENTATIONS))
def test_results_lie_in_the_hull_and_know_no_shift_nor_order(belief, impl):
    seed, vocabulary, width, temperature = belief
    skip_without(impl)
    logits, table = inputs(2, vocabulary, width, seed=seed)
    found = expected_embedding(logits, table, temperature, impl=impl)
    slack = 1e-5 * table.abs().amax()
    assert (found >= table.amin(dim=0) - slack).all()
    assert (found <= table.amax(dim=0) + slack).all()
    shifted = expected_embedding(logits + 4.0, table, temperature, impl=impl)
    torch.testing.assert_close(shifted, found, rtol=1e-3, atol=1e-3 * max(1.0, 1e-3 / temperature))
    order = torch.randperm(vocabulary, generator=torch.Generator().manual_seed(seed))
    permuted = expected_embedding(logits[:, order], table[order], temperature, impl=impl)
    torch.testing.assert_close(permuted, found, rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(beliefs, st.sampled_from([0.0, 1e-6, 1e-3, 0.2, 0.9]), st.sampled_from(["native", "blocked"]))
def test_the_certificate_holds(belief, delta, impl):
    seed, vocabulary, width, temperature = belief
    skip_without(impl)
    logits, table = inputs(3, vocabulary, width, seed=seed)
    for asked in (table, EmbeddingTable(table)):
        sparse = sparse_expected_embedding(logits, asked, temperature, delta=delta, impl=impl)
        distance = (sparse.vectors.double() - exact(logits, table, temperature)).norm(dim=1)
        largest = table.norm(dim=1).max()
        assert (distance <= sparse.bound + 1e-5 * largest).all()
        assert (sparse.bound <= 2 * delta * largest * (1 + 1e-5) + 1e-12).all()
        assert ((sparse.rows_read >= 1) & (sparse.rows_read <= vocabulary)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_left_out_counts_as_its_low_rank_rows(dtype):
    skip_without("native")
    logits, weight = inputs(3, 4000, 64, dtype)
    weight[:, 0] += 5
    table = EmbeddingTable(weight)
    rows, stand_in = weight.double(), table.low_rank.coordinates.double().T @ table.low_rank.basis.double()
    error = torch.linalg.matrix_norm(rows - stand_in, 2)
    sparse = sparse_expected_embedding(logits, table, 0.7, delta=1e-3, impl="native")
    beliefs, order = (logits.double() / 0.7).softmax(dim=1).sort(dim=1, descending=True)
    for row in range(3):
        read = int(sparse.rows_read[row])
        assert read < 4000
        kept, left_out = order[row, :read], order[row, read:]
        p, lost = beliefs[row, :read], beliefs[row, read:]
        expected = p @ rows[kept] + lost @ stand_in[left_out]
        torch.testing.assert_close(sparse.vectors[row].double(), expected, **TOLERANCE[dtype])
        assert float(sparse.bound[row]) == pytest.approx(float(error * lost.norm()), rel=0.02)
        assert sparse.bound[row] >= error * lost.norm()
        # Many times the mass that dropping could let go of at this bound.
        assert lost.sum() > 3 * 1e-3
        assert sparse.bound[row] <= 2 * 1e-3 * table.max_norm * (1 + 1e-5)


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize(
    "kind", ["random", "common direction", "of rank 2", "nearly of rank 2", "narrow", "one row", "zero"]
)
def test_the_low_rank_error_is_no_less_than_it_is(kind, size, monkeypatch):
    if size == "large":
        # As tables of gigabytes are taken.
        monkeypatch.setattr("kernels.table._LARGE", 0)
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(1 if kind == "one row" else 9001, 1 if kind == "narrow" else 96, generator=generator)
    if kind == "common direction":
        weight += 40 * torch.randn(96, generator=generator)
    if kind.endswith("of rank 2"):
        low = torch.randn(9001, 2, generator=generator) @ torch.randn(2, 96, generator=generator)
        weight = low + (1e-3 * weight if kind.startswith("nearly") else 0)
    if kind == "zero":
        weight = torch.zeros_like(weight)
    table = EmbeddingTable(weight)
    made = table.low_rank
    off = weight.double() - made.coordinates.double().T @ made.basis.double()
    error, true = made.scale * 2 * table.max_norm, float(torch.linalg.matrix_norm(off, 2))
    assert true <= error
    assert error <= (1.02 if size == "small" else 1.25) * true + 2e-3 * float(torch.linalg.matrix_norm(weight.double()))


def test_stand_ins_do_not_depend_on_threads():
    weight = torch.randn(20001, 192, generator=torch.Generator().manual_seed(4)).bfloat16() + 2
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(EmbeddingTable(weight).low_rank)
    finally:
        torch.set_num_threads(before)
    for one in found[1:]:
        assert torch.equal(one.coordinates.T @ one.basis, found[0].coordinates.T @ found[0].basis)
        assert one.scale == pytest.approx(found[0].scale, rel=1e-12)


def test_a_table_with_an_infinite_row_has_no_stand_ins():
    skip_without("native")
    logits, weight = inputs(2, 300, 32)
    weight[7] = float("inf")
    logits[:, 7] = float("-inf")
    table = EmbeddingTable(weight)
    assert table.low_rank is None
    found = sparse_expected_embedding(logits, table, 0.7, delta=1e-3, impl="native").vectors
    assert torch.isfinite(found).all()


def test_sparse_mode_reads_few_rows_of_a_peaked_belief():
    table = EmbeddingTable(torch.randn(5000, 16))
    logits = torch.randn(4, 5000)
    logits[:, 7] += 40
    for impl in ("native", "blocked"):
        skip_without(impl)
        sparse = sparse_expected_embedding(logits, table, 1.0, impl=impl)
        assert sparse.rows_read.max() < 100
        assert sparse.bound.max() <= 2 * table.delta * table.max_norm * (1 + 1e-5)


def test_gradients_are_the_references():
    logits, table = inputs(2, 9, 4)
    logits = logits.double().requires_grad_()
    table = table.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z, e: expected_embedding(z, e, torch.tensor([0.5, 2.0])), (logits, table))
    for impl in ("native", "blocked"):
        with pytest.raises(ImplementationUnavailable, match="no gradient"):
            expected_embedding(logits.float(), table.float(), 1.0, impl=impl)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_the_operator_keeps_torchs_rules(impl):
    skip_without(impl)
    logits, table = inputs(3, 40, 16)
    low_rank = EmbeddingTable(table).low_rank
    checks = ("test_schema", "test_faketensor")
    for parts in ((None, None, 1.0), (low_rank.basis, low_rank.coordinates, low_rank.scale)):
        arguments = (logits, table, torch.ones(3), 1e-2, *parts, impl)
        torch.library.opcheck(torch.ops.cipher_debate.expected_embedding.default, arguments, test_utils=checks)


def test_wrong_arguments_say_what_would_do():
    logits, table = inputs(2, 10, 4)
    with pytest.raises(ValueError, match=r"\[B, V\] with V = 9"):
        expected_embedding(logits, table[:9])
    with pytest.raises(ValueError, match="temperature must be finite"):
        expected_embedding(logits, table, -1.0)
    with pytest.raises(ValueError, match="one entry a row"):
        expected_embedding(logits, table, torch.ones(3))
    with pytest.raises(ValueError, match="Did you mean 'native'"):
        expected_embedding(logits, table, impl="nativ")
    with pytest.raises(ImplementationUnavailable, match="it runs on GPUs") as caught:
        expected_embedding(logits, table, impl="triton")
    assert caught.value.implementation == "triton"
    with pytest.raises(ValueError, match="delta"):
        sparse_expected_embedding(logits, table, delta=1.0)
    for wrong in (table[0], table.long()):
        with pytest.raises(ValueError, match=r"table must be a \[V, D\] tensor of floats, got"):
            EmbeddingTable(wrong)


def test_auto_says_once_what_it_chose_and_why(caplog, monkeypatch):
    monkeypatch.setattr(dispatch, "_said", set())
    logits, table = inputs(2, 10, 4)
    with caplog.at_level(logging.INFO, logger="kernels"):
        for _ in range(3):
            expected_embedding(logits, table)
    assert len(caplog.records) == 1
    assert "expected_embedding: using" in caplog.text
    assert "triton declined: it runs on GPUs" in caplog.text


def test_a_belief_is_taken_at_temperature_1_where_none_is_said():
    logits, table = inputs(3, 40, 8)
    assert torch.equal(expected_embedding(logits, table), expected_embedding(logits, table, 1.0))
    plain, said = sparse_expected_embedding(logits, table), sparse_expected_embedding(logits, table, 1.0)
    assert torch.equal(plain.vectors, said.vectors)
