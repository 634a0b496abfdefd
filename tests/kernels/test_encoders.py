"""Encoders: identities, names, and each rule against a few lines of float64."""

import pytest
import torch

from kernels import EmbeddingTable, encoders, native
from kernels.encoders.rules import PartialEntropy, PartialMax, sample
from kernels.errors import InvalidBelief


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
    assert result.entropy.abs().max() == 0
    assert result.max_probability.min() == 1


@pytest.mark.parametrize("name", [*encoders.names(), "token(sample=False)"])
def test_an_encoder_says_whether_it_draws(name):
    encoder = encoders.parse(name)
    table, logits = EmbeddingTable(torch.randn(64, 8)), torch.randn(1, 64).expand(20, 64)
    seeds = torch.arange(20)
    vectors = encoder.encode(logits, table, temperature=1.0, seeds=seeds, steps=torch.zeros_like(seeds)).vectors
    assert encoder.draws == (len(vectors.unique(dim=0)) > 1)


def test_names_round_trip():
    for name in encoders.names():
        encoder = encoders.get(name)
        assert encoders.parse(str(encoder)) == encoder
        assert hash(encoders.parse(str(encoder))) == hash(encoder)
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


def setting(rows=6, vocabulary=400):
    generator = torch.Generator().manual_seed(3)
    table = EmbeddingTable(torch.randn(vocabulary, 24, generator=generator), tolerance=1e-8)
    logits = torch.randn(rows, vocabulary, generator=generator) * 3
    logits[0, 5] = 30.0
    logits[1, ::2] = float("-inf")
    return logits, table


def keep_largest(p, count):
    ids = p.argsort(descending=True, stable=True)[:count]
    return torch.zeros_like(p).index_copy(0, ids, p[ids])


def nucleus(p, mass):
    order = p.argsort(descending=True, stable=True)
    inside = order[p[order].cumsum(0) - p[order] < mass]
    return torch.zeros_like(p).index_copy(0, inside, p[inside])


def one_hot(p):
    return torch.zeros_like(p).index_fill(0, p.argmax(), 1.0)


def entropy(p):
    return -torch.special.xlogy(p, p).sum()


# q from p = softmax(z / T) and r = softmax(z), up to normalisation, each in float64.
DEFINITIONS = {
    "expectation": lambda p, r: p,
    "topk(k=4)": lambda p, r: keep_largest(p, 4),
    "topk(k=300)": lambda p, r: keep_largest(p, 300),
    "topp(p=0.9)": lambda p, r: nucleus(p, 0.9),
    "topp(p=0.999)": lambda p, r: nucleus(p, 0.999),
    "minp(p=0.1)": lambda p, r: p * (p >= 0.1 * p.max()),
    "partial-max(threshold=0.5)": lambda p, r: p if r.max() < 0.5 else one_hot(p),
    "partial-max-reversed(threshold=0.5)": lambda p, r: p if r.max() >= 0.5 else one_hot(p),
    "partial-entropy(threshold=2.0)": lambda p, r: p if entropy(r) > 2 else one_hot(p),
    "partial-entropy-reversed(threshold=2.0)": lambda p, r: p if entropy(r) <= 2 else one_hot(p),
    "token(sample=False)": lambda p, r: one_hot(p),
}


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("spelling", DEFINITIONS)
def test_rules_against_their_formulas(spelling, impl):
    logits, table = setting()
    temperature = torch.tensor([0.7, 0.7, 0.2, 1.0, 2.0, 1.0])
    found = encoders.parse(spelling).encode(
        logits, table, temperature=temperature, seeds=torch.arange(6), steps=torch.arange(6), top=3, impl=impl
    )
    for row in range(6):
        p = (logits[row].double() / temperature[row].double()).softmax(0)
        q = DEFINITIONS[spelling](p, logits[row].double().softmax(0))
        q = q / q.sum()
        torch.testing.assert_close(found.vectors[row].double(), q @ table.weight.double(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            found.top_probabilities[row].double(), q.sort(descending=True).values[:3], rtol=1e-4, atol=1e-6
        )
        torch.testing.assert_close(found.entropy[row].double(), entropy(p), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.max_probability[row].double(), p.max(), rtol=1e-5, atol=1e-6)
        assert found.argmax[row] == logits[row].argmax()


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_mixture_against_its_formula(impl):
    logits, table = setting()
    arguments = {"temperature": 0.9, "seeds": torch.arange(6), "steps": torch.arange(6), "impl": impl}
    found = encoders.get("mixture", beta=0.5).encode(logits, table, top=2, **arguments)
    sampled = encoders.get("token").encode(logits, table, top=1, **arguments).top_ids[:, 0]
    for row in range(6):
        p = (logits[row].double() / 0.9).softmax(0)
        share = entropy(p) / torch.isfinite(logits[row]).sum().double().log()
        v = torch.zeros_like(p).index_fill(0, sampled[row], 1.0)
        q = share * (p + 0.5 * v) / 1.5 + (1 - share) * v
        torch.testing.assert_close(found.vectors[row].double(), q @ table.weight.double(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            found.top_probabilities[row].double(), q.sort(descending=True).values[:2], rtol=1e-4, atol=1e-6
        )


# Of the published code: p softmax(z / T), r softmax(z).
PUBLISHED = {
    "partial-max(threshold=0.8, published=true)": lambda p, r: p if r.max() < 0.8 else (p >= r.max()).double(),
    "partial-max-reversed(threshold=0.8, published=true)": lambda p, r: (
        p if r.max() >= 0.8 else (p >= r.max()).double()
    ),
    "partial-entropy(threshold=1.869, published=true)": lambda p, r: (
        p if entropy(r) > 1.869 else (p >= entropy(r)).double()
    ),
    "partial-entropy-reversed(threshold=1.869, published=true)": lambda p, r: (
        p if entropy(r) <= 1.869 else (p >= entropy(r)).double()
    ),
}


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("spelling", PUBLISHED)
def test_partial_rules_as_the_published_code_computes_them(spelling, impl):
    logits, table = setting()
    logits = torch.cat([logits, 2 * logits])
    temperature = torch.tensor([0.15, 1.75, 0.7, 1.0, 1.0, 1.75] * 2)
    rule = encoders.parse(spelling)
    assert encoders.parse(str(rule)) == rule
    found = rule.encode(
        logits, table, temperature=temperature, seeds=torch.zeros(12).long(), steps=torch.arange(12), impl=impl
    )
    expected = [
        PUBLISHED[spelling]((row.double() / t.double()).softmax(0), row.double().softmax(0))
        for row, t in zip(logits, temperature, strict=True)
    ]
    torch.testing.assert_close(
        found.vectors.double(), torch.stack(expected) @ table.weight.double(), rtol=1e-4, atol=1e-5
    )


def test_the_published_reverse_by_entropy_says_nothing_where_it_is_unsure():
    logits = torch.randn(24, 50, generator=torch.Generator().manual_seed(0))
    table = EmbeddingTable(torch.randn(50, 8, generator=torch.Generator().manual_seed(1)))
    rule = encoders.parse("partial-entropy-reversed(threshold=1.869, published=true)")
    for temperature in (0.15, 1.75):
        steps = torch.arange(24)
        assert not rule.encode(logits, table, temperature=temperature, seeds=steps, steps=steps).vectors.any()


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_what_the_published_rule_adds_up_is_reported_as_shares_of_it(impl):
    """Where the entropy is near 0 several tokens pass: each is whole in the vector, and a share in what is kept."""
    logits = torch.tensor([[30.0, 22.0, 21.5, 0.0, -5.0]])
    table = EmbeddingTable(torch.eye(5))
    steps = torch.zeros(1, dtype=torch.int64)
    rule = encoders.parse("partial-entropy(threshold=1.869, published=true)")
    found = rule.encode(logits, table, temperature=1.75, seeds=steps, steps=steps, top=4, impl=impl)
    assert found.vectors.tolist() == [[1.0, 1.0, 1.0, 0.0, 0.0]]
    torch.testing.assert_close(found.top_probabilities, torch.tensor([[1 / 3, 1 / 3, 1 / 3, 0.0]]))


@pytest.mark.parametrize("name", encoders.names())
def test_rules_that_average_over_whole_beliefs_use_the_tables_stand_ins(name):
    if native.refusal():
        pytest.skip(native.refusal())
    logits, table = setting()
    encoders.get(name).encode(
        logits, table, temperature=0.7, seeds=torch.arange(6), steps=torch.arange(6), impl="native"
    )
    averages = name in ("expectation", "gumbel", "mixture") or name.startswith("partial-")
    assert ("low_rank" in vars(table)) == averages


def test_what_is_not_said_of_a_rule_is_the_same_in_every_version():
    assert {name: encoders.get(name).params for name in encoders.names()} == {
        "dirichlet": {"gamma": 1.0}, "expectation": {}, "gumbel": {"tau": 0.5}, "gumbel-topk": {"k": 10, "tau": 0.5},
        "minp": {"p": 0.05}, "mixture": {"beta": 1.0}, "mixture-published": {"beta": 1.0, "k": 20},
        "partial-entropy": {"threshold": 0.5}, "partial-entropy-reversed": {"threshold": 0.5},
        "partial-max": {"threshold": 0.85}, "partial-max-reversed": {"threshold": 0.85},
        "token": {"sample": True}, "topk": {"k": 10}, "topp": {"p": 0.95},
    }  # fmt: skip


def test_defaults_are_spelled_as_before():
    assert str(encoders.parse("partial-max")) == "partial-max(threshold=0.85)"
    assert str(encoders.parse("partial-max(published=true)")) == "partial-max(threshold=0.85, published=True)"


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_the_published_mixture_and_gumbel_look_at_the_likeliest_tokens(impl):
    logits, table = setting()
    given = {"temperature": 0.9, "seeds": torch.arange(6), "steps": torch.arange(6), "impl": impl}
    found = encoders.get("mixture-published", beta=0.5, k=4).encode(logits, table, **given)
    sampled = encoders.get("token").encode(logits, table, top=1, **given).top_ids[:, 0]
    for row in range(6):
        r = keep_largest(logits[row].double().softmax(0), 4)
        r = r / r.sum()
        share = entropy(r) / torch.tensor(4.0).double().log()
        v = torch.zeros_like(r).index_fill(0, sampled[row], 1.0)
        q = share * (r + 0.5 * v * (r > 0)) / 1.5 + (1 - share) * v
        torch.testing.assert_close(found.vectors[row].double(), q @ table.weight.double(), rtol=1e-4, atol=1e-5)
    whole = encoders.get("gumbel", tau=0.5).distribution(
        logits, temperature=0.9, seeds=torch.arange(6), steps=torch.arange(6)
    )[1]
    few = encoders.get("gumbel-topk", k=4).encode(logits, table, top=5, **given)
    assert not few.top_probabilities[:, 4].any()
    for row in range(6):
        q = keep_largest((logits[row] / 0.9).softmax(0), 4).sign() * whole[row]
        q = q / q.sum()
        torch.testing.assert_close(few.vectors[row], q @ table.weight, rtol=1e-4, atol=1e-4)


# What the published code gave on `published_setting`, with the tokens and the noise that ours draws (docs/reproductions.md):
# mixinputs/gpu_model_runner.py, lines 1193 to 1228, of the 4 likeliest at β = 1; sampler.py of Soft Thinking, lines 168 to 186,
# of the 5 likeliest at a Gumbel temperature of 0.5.
BY_PUBLISHED_CODE = {
    "mixture-published(beta=1.0, k=4)": [
        [-0.50687939, -0.36195374, 0.13329943], [0.31266114, 0.58408803, 0.39404172],
        [-0.02549900, 0.03277852, -0.39094090], [-0.28489780, 0.01494461, 0.09398921],
    ],
    "gumbel-topk(k=5, tau=0.5)": [
        [0.08720022, -0.12659049, 0.04444524], [0.05773828, -0.66144073, 0.09043171],
        [-0.47657111, 0.14374967, -0.79849613], [-0.73876160, -0.17624722, 0.48019364],
    ],
}  # fmt: skip


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("spelling", BY_PUBLISHED_CODE)
def test_the_published_mixture_and_gumbel_give_what_their_code_gave(spelling, impl):
    tokens, rows = torch.arange(24), torch.arange(4)
    logits = 4 * torch.sin(1 + 0.7 * tokens * (1 + rows[:, None]))
    table = EmbeddingTable(torch.cos(0.3 + tokens[:, None] * torch.tensor([0.5, 1.1, 1.9])))
    given = {"temperature": 1.3, "seeds": rows, "steps": 7 * rows, "impl": impl}
    # Two of the sampled tokens are among the likeliest, two are not.
    assert encoders.get("token").encode(logits, table, top=1, **given).top_ids[:, 0].tolist() == [19, 23, 9, 20]
    found = encoders.parse(spelling).encode(logits, table, **given).vectors
    torch.testing.assert_close(found, torch.tensor(BY_PUBLISHED_CODE[spelling]), rtol=0, atol=2e-6)


def test_random_rules_follow_their_distributions():
    p = torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = p.log().expand(20_000, 4)
    table = EmbeddingTable(torch.eye(4))
    arguments = {"temperature": 1.0, "seeds": torch.zeros(20_000, dtype=torch.int64), "steps": torch.arange(20_000)}
    tokens = encoders.get("token").encode(logits, table, **arguments).vectors
    torch.testing.assert_close(tokens.mean(0), p, rtol=0, atol=0.015)
    # The largest of log p + Gumbel noise is distributed as p.
    noisy = encoders.get("gumbel", tau=0.5).encode(logits, table, top=1, **arguments)
    torch.testing.assert_close(torch.bincount(noisy.top_ids[:, 0]) / 20_000, p, rtol=0, atol=0.015)
    few = {key: value if isinstance(value, float) else value[:4000] for key, value in arguments.items()}
    drawn = encoders.get("dirichlet", gamma=5.0).encode(logits[:4000], table, **few).vectors
    torch.testing.assert_close(drawn.mean(0), p, rtol=0, atol=0.015)
    torch.testing.assert_close(drawn.var(0), p * (1 - p) / 6, rtol=0.15, atol=1e-3)


@pytest.mark.parametrize("name", encoders.names())
def test_a_row_depends_on_its_seed_and_step_not_on_its_batch(name):
    logits, table = setting(rows=9)
    seeds, steps = torch.arange(9) // 3, torch.arange(9) % 3
    encoder = encoders.get(name)
    whole = encoder.encode(logits, table, temperature=1.3, seeds=seeds, steps=steps, top=4)
    for rows in (slice(4, 5), slice(2, 8)):
        part = encoder.encode(logits[rows], table, temperature=1.3, seeds=seeds[rows], steps=steps[rows], top=4)
        assert torch.equal(part.vectors, whole.vectors[rows])
        assert torch.equal(part.top_ids, whole.top_ids[rows])
    if encoder.draws:
        other = encoder.encode(logits, table, temperature=1.3, seeds=seeds, steps=steps + 1)
        assert not torch.equal(other.vectors, whole.vectors)


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_reports_are_padded(impl):
    table = EmbeddingTable(torch.randn(3, 5))
    logits = torch.tensor([[1.0, float("-inf"), 0.0]])
    for name in encoders.names():
        found = encoders.get(name).encode(
            logits, table, temperature=0.9, seeds=torch.zeros(1, dtype=torch.int64), steps=torch.ones(1, dtype=torch.int64),
            top=6, impl=impl,
        )  # fmt: skip
        assert found.top_ids.shape == found.top_probabilities.shape == (1, 6)
        torch.testing.assert_close(found.top_probabilities.sum(), torch.tensor(1.0), rtol=1e-5, atol=1e-6)
        assert (found.top_probabilities[0, 2:] == 0).all()


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_empty_batches_and_bad_rows(impl):
    logits, table = setting()
    nothing = torch.empty(0, dtype=torch.int64)
    for name in encoders.names():
        encoder = encoders.get(name)
        empty = encoder.encode(logits[:0], table, temperature=0.7, seeds=nothing, steps=nothing, top=2, impl=impl)
        assert empty.vectors.shape == (0, 24)
        assert empty.top_ids.shape == (0, 2)
        bad = logits.clone()
        bad[3, 7] = float("nan")
        with pytest.raises(InvalidBelief, match="row 3"):
            encoder.encode(bad, table, temperature=0.7, seeds=torch.arange(6), steps=torch.arange(6), impl=impl)


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("expectaton", "unknown encoder 'expectaton'.*Did you mean 'expectation'"),
        ("topk(n=3)", "has no parameter 'n'. It takes: k"),
        ("expectation(k=3)", "It takes none"),
        ("topk(k=3.5)", "k must be int"),
        ("token(sample=1)", "sample must be bool"),
        ("topk(3)", "cannot read"),
        ("topk(k=", "cannot read"),
        ("topk(k=__import__('os'))", "cannot read"),
        ("topk(**{'k': 3})", "cannot read"),
        ("topk(k=0)", "k must be at least 1"),
        ("topp(p=0)", "p must be in"),
        ("topp(p=1.5)", "p must be in"),
        ("minp(p=2)", "p must be in"),
        ("gumbel(tau=0)", "tau must be positive"),
        ("gumbel(tau=1e-40)", "tau must be positive, from 1e-06"),
        ("gumbel-topk(tau=1e308)", "tau must be positive, from 1e-06"),
        ("dirichlet(gamma=-1)", "gamma must be positive"),
        ("dirichlet(gamma=1e308)", "gamma must be positive, from 1e-06"),
        ("mixture(beta=-1)", "beta must not be negative"),
        ("mixture(beta=1e39)", "beta must not be negative, and at most 1e"),
        ("mixture-published(beta=1e999)", "and at most 1e"),
        ("topk(k=5, k=6)", "says k twice: write it once"),
        ("topk(k=5)(k=6)", "cannot read"),
    ],
)
def test_misspelt_encoders_say_what_would_do(spelling, message):
    with pytest.raises(ValueError, match=message):
        encoders.parse(spelling)


@pytest.mark.parametrize(
    "spelling",
    ["topk(k=5)", "topp(p=0.5)", "gumbel(tau=2.0)", "token(sample=False)", "partial-max-reversed(threshold=0.3)"],
)
def test_spellings_round_trip(spelling):
    assert str(encoders.parse(spelling)) == spelling
    assert {encoders.parse(spelling): 1}[encoders.parse(f" {spelling} ")] == 1


def test_an_int_may_stand_for_a_float():
    assert encoders.parse("gumbel(tau=1)") == encoders.get("gumbel", tau=1.0)
    assert encoders.get("topk").params == {"k": 10}


def test_a_dotted_path_names_an_encoder_of_ones_own(monkeypatch, tmp_path):
    (tmp_path / "own_encoders.py").write_text(
        "from dataclasses import dataclass\nfrom kernels.encoders.rules import TopK\n"
        "@dataclass(frozen=True)\nclass Mine(TopK):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    encoder = encoders.parse("own_encoders:Mine(k=2)")
    # What it is spelled as is itself, not the rule that it varies.
    assert (str(encoder), encoders.parse(str(encoder))) == ("own_encoders:Mine(k=2)", encoder)
    assert type(encoder).__name__ == "Mine"
    (tmp_path / "needy_encoders.py").write_text("import no_such_package\n")
    with pytest.raises(
        ValueError, match="'needy_encoders:Mine' needs the package 'no_such_package', which is not installed"
    ):
        encoders.parse("needy_encoders:Mine")
    for wrong in ("own_encoders:Yours", "os:system", "no.such:encoder", "needy.module"):
        with pytest.raises(ValueError, match=f"encoder '{wrong}'"):
            encoders.parse(wrong)


def test_a_row_that_is_no_belief_names_no_token_beyond_the_vocabulary():
    """Where nobody waits to hear whether rows are sound, such a token would be read from beyond the table."""
    unsound = torch.tensor([[float("nan")] * 5, [float("-inf")] * 5])
    drawn = sample(unsound, torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert ((drawn >= 0) & (drawn < 5)).all()


@pytest.mark.parametrize("spelling", ["minp(p=0.0)", "minp(p=1.0)", "topp(p=1.0)", "topk(k=1)", "mixture(beta=0.0)"])
def test_a_bound_itself_is_allowed(spelling):
    assert str(encoders.parse(spelling)) == spelling


def test_the_first_parameter_of_a_partial_rule_is_its_threshold():
    for rule in (PartialMax, PartialEntropy):
        assert rule(0.3) == encoders.parse(f"{rule.name}(threshold=0.3)")
