"""The nearest token: every implementation and every proof gives the float64 answer."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from kernels import EmbeddingTable, native, nearest_token
from kernels.errors import InvalidVector
from kernels.nearest import cpu, reference

SEARCHES = ["native", "blocked"]


def skip_without(impl):
    if impl == "native" and native.refusal():
        pytest.skip(native.refusal())


def crowded(vocabulary, width, dtype, seed=0):
    """A table with duplicates, scaled duplicates and a zero row, and vectors on, near and between its rows."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(vocabulary, width, generator=generator).to(dtype)
    vectors = torch.randn(30, width, generator=generator).to(dtype)
    rows = torch.randint(vocabulary, (20,), generator=generator)
    if vocabulary > 20:
        table[7], table[9], table[12:17], table[3] = table[2], 2 * table[4], table[12].clone(), 0
        rows[:6] = torch.tensor([7, 2, 9, 4, 14, 3])
    vectors[:20] = table[rows]
    vectors[10:20] += 0.2 * vectors[20:30]
    vectors[29] = 0
    return table, vectors


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("impl", SEARCHES)
@pytest.mark.parametrize(
    ("vocabulary", "width"), [(1, 1), (2, 63), (127, 576), (129, 1), (5003, 63), (129, 4097), (49152, 16)]
)
def test_agrees_with_the_reference_at_awkward_sizes(vocabulary, width, impl, dtype):
    skip_without(impl)
    weight, vectors = crowded(vocabulary, width, dtype)
    table = EmbeddingTable(weight)
    expected = nearest_token(vectors, table, impl="reference")
    exact = nearest_token(vectors, table, impl=impl)
    assert torch.equal(exact.ids, expected.ids)
    torch.testing.assert_close(exact.cosine, expected.cosine)
    torch.testing.assert_close(exact.margin, expected.margin, rtol=1e-5, atol=1e-6)
    assert exact.fallbacks == 30
    hints = torch.cat([expected.ids[:, None], torch.randint(vocabulary, (30, 2))], dim=1)
    for candidates in (expected.ids, hints, torch.randint(vocabulary, (30,))):
        proven = nearest_token(vectors, table, candidates=candidates, impl=impl)
        assert torch.equal(proven.ids, expected.ids)
        assert (proven.margin <= expected.margin + 1e-5).all()
        assert 0 <= proven.fallbacks <= 30
    assert torch.equal(nearest_token(vectors, table, norms=weight.float().norm(dim=1), impl=impl).ids, expected.ids)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 200),
    st.integers(1, 40),
    st.sampled_from(SEARCHES),
    st.sampled_from([0.05, 1.0, 20.0]),
)
def test_proofs_never_change_the_answer(seed, vocabulary, width, impl, spread):
    skip_without(impl)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(vocabulary, width, generator=generator) + spread
    belief = (torch.randn(12, vocabulary, generator=generator) * 6).softmax(-1)
    table, vectors = EmbeddingTable(weight), belief @ weight
    expected = nearest_token(vectors, table, impl="reference")
    found = nearest_token(vectors, table, candidates=belief.topk(min(3, vocabulary)).indices, impl=impl)
    assert torch.equal(found.ids, expected.ids)
    assert torch.equal(nearest_token(vectors, table, impl=impl).ids, expected.ids)


@pytest.mark.parametrize("impl", SEARCHES)
def test_peaked_beliefs_need_no_search_the_second_time(impl):
    skip_without(impl)
    table = EmbeddingTable(torch.randn(500, 64))
    vectors = table.weight[[3, 77, 200]] + 0.01
    ids = torch.tensor([3, 77, 200])
    assert torch.isnan(table.neighbour_cosines).all()
    for _ in range(2):
        found = nearest_token(vectors, table, candidates=ids, impl=impl)
        assert found.ids.tolist() == [3, 77, 200]
        assert found.fallbacks == 0
    assert (~torch.isnan(table.neighbour_cosines)).sum() == 3


@pytest.mark.parametrize("impl", [*SEARCHES, "reference"])
def test_duplicates_go_to_the_lowest_id_in_any_batch(impl):
    skip_without(impl)
    weight = torch.randn(300, 40)
    weight[250] = weight[100] = weight[40]
    vectors = torch.cat([weight[40:41] * 3, torch.randn(16, 40)])
    for batch in (vectors[:1], vectors):
        assert nearest_token(batch, weight, impl=impl).ids[0] == 40
        assert nearest_token(batch, weight, candidates=torch.full((len(batch),), 250), impl=impl).ids[0] == 40


def test_all_rows_equal_and_empty_batches():
    weight = torch.ones(1000, 8)
    for impl in SEARCHES:
        skip_without(impl)
        found = nearest_token(torch.randn(3, 8), weight, impl=impl)
        assert found.ids.tolist() == [0, 0, 0]
        assert found.margin.abs().max() < 1e-6
        empty = nearest_token(torch.empty(0, 8), weight, impl=impl)
        assert empty.ids.shape == (0,)
        assert empty.fallbacks == 0
    assert nearest_token(torch.ones(2, 8), weight[:1]).margin.tolist() == [float("inf")] * 2


@pytest.mark.parametrize("candidates", [None, torch.zeros(3, dtype=torch.int64)], ids=["searched", "proven"])
@pytest.mark.parametrize("impl", [*SEARCHES, "reference"])
def test_a_vector_that_is_not_finite_is_named(impl, candidates):
    skip_without(impl)
    for odd in (float("nan"), float("inf")):
        vectors = torch.randn(3, 4)
        vectors[1, 2] = odd
        with pytest.raises(InvalidVector, match="row 1"):
            nearest_token(vectors, torch.randn(10, 4), candidates=candidates, impl=impl)


def test_wrong_arguments_say_what_would_do():
    weight = torch.randn(10, 4)
    vectors = torch.randn(3, 4)
    with pytest.raises(ValueError, match=r"\[N, 4\]"):
        nearest_token(vectors[:, :3], weight)
    with pytest.raises(ValueError, match="no rows"):
        nearest_token(vectors[:1], weight[:0])
    with pytest.raises(ValueError, match="candidates"):
        nearest_token(vectors[:1], weight, candidates=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="unknown implementation"):
        nearest_token(vectors[:1], weight, impl="fast")


@pytest.mark.parametrize("impl", [*SEARCHES, "reference"])
def test_the_operator_keeps_torchs_rules(impl):
    skip_without(impl)
    table = EmbeddingTable(torch.randn(40, 16))
    arguments = (torch.randn(3, 16), table.weight, table.inverse_norms, impl)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.cipher_debate.nearest_token.default, arguments, test_utils=checks)


@pytest.mark.parametrize("impl", [*SEARCHES, "reference"])
def test_the_implementation_that_is_named_is_the_one_that_searches(impl, monkeypatch):
    skip_without(impl)
    searches = {
        "native": (cpu, "search"),
        "blocked": (cpu, "blocked_search"),
        "reference": (reference, "nearest_token"),
    }
    asked = []
    for name, (module, function) in searches.items():
        real = getattr(module, function)
        monkeypatch.setattr(module, function, lambda *given, name=name, real=real: asked.append(name) or real(*given))
    nearest_token(torch.randn(2, 8), torch.randn(40, 8), impl=impl)
    assert asked == [impl]


def test_a_table_that_is_prepared_finds_the_same():
    weight, vectors = crowded(500, 32, torch.float32)
    table = EmbeddingTable(weight.clone())
    expected = nearest_token(vectors, EmbeddingTable(weight))
    table.prepare()
    assert torch.equal(table.weight, weight)
    # Neighbours are found beforehand on a GPU alone.
    assert (table.knows_neighbours, bool(torch.isnan(table.neighbour_cosines).all())) == (False, True)
    assert torch.equal(nearest_token(vectors, table).ids, expected.ids)
