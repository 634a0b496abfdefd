"""OPTIN: importance against its definition in float64, the search against every choice, and removal against masks."""

import copy
import itertools
import math

import pytest
import torch
from support.small_subjects import FAMILIES, IDS, logits, subject
from transformers import AutoModelForCausalLM

from agents.errors import ConfigError, ModelError, UnknownName
from agents.tokenizers import byte_tokenizer
from agents.transforms.calibration import calibration_rows
from agents.transforms.optin.importance import Judge, Terms, divergence, importances, manifold
from agents.transforms.optin.passes import BLOCK, FEATURES, Passes
from agents.transforms.optin.search import search, search_uniform
from agents.transforms.optin.transform import optin, scored, weighed
from agents.transforms.subject import Subject
from agents.transforms.units import masked, remove, shape_of, stored_sizes


def masks(shape, seed=3, share=0.6):
    generator = torch.Generator().manual_seed(seed)
    heads = torch.rand(shape.layers, shape.heads, generator=generator) < share
    units = torch.rand(shape.layers, shape.units, generator=generator) < share
    heads[0], heads[1], units[2] = True, False, False
    return heads, units


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_removed_is_what_was_masked_and_the_tables_stay(family):
    one = subject(family)
    shape = shape_of(one, "optin")
    heads, units = masks(shape)
    with masked(one, heads, units):
        expected = logits(one, IDS)
    # Masks are not so weak that nothing happens.
    assert (expected - logits(one, IDS)).abs().max() > 0.1
    table = one.model.get_input_embeddings().weight.clone()
    before = sum(parameter.numel() for parameter in one.model.parameters())
    remove(one, heads[:, :], units)
    assert torch.allclose(logits(one, IDS), expected, atol=2e-5)
    assert torch.equal(one.model.get_input_embeddings().weight, table)
    assert sum(parameter.numel() for parameter in one.model.parameters()) < before or stored_sizes(
        one, heads, units
    ) == (shape.heads, shape.units)


def test_a_head_is_masked_before_the_map_that_sums_heads_up():
    one = subject()
    shape = shape_of(one, "optin")
    heads, units = torch.ones(shape.layers, shape.heads), torch.ones(shape.layers, shape.units)
    heads[0, 1] = 0
    with masked(one, heads, units):
        found = logits(one, IDS)
    by_hand = copy.deepcopy(one.model)
    # Columns of the second key-value head's two query heads.
    by_hand.model.layers[0].self_attn.o_proj.weight[:, 12:24] = 0
    assert torch.allclose(found, by_hand(IDS, use_cache=False).logits, atol=1e-5)


def test_the_importance_of_a_pass_is_that_of_its_definition_in_float64():
    torch.manual_seed(1)
    whole, other = torch.randn(9, 5, dtype=torch.float64), torch.randn(9, 5, dtype=torch.float64)
    a = whole / whole.norm(dim=1, keepdim=True)
    b = other / other.norm(dim=1, keepdim=True)
    by_pairs = sum((float(a[i] @ a[j]) - float(b[i] @ b[j])) ** 2 for i in range(9) for j in range(9))
    assert manifold(whole, other) == pytest.approx(by_pairs, rel=1e-12)
    assert manifold(whole.float(), other.float()) == pytest.approx(by_pairs, rel=1e-4)
    # Scale is not looked at.
    assert manifold(whole, 3 * whole) == pytest.approx(0, abs=1e-20)
    p, q = torch.softmax(whole, 1), torch.softmax(other, 1)
    assert divergence(whole, other) == pytest.approx(16 * float((p * (p / q).log()).sum()), rel=1e-12)
    assert divergence(whole, whole) == 0


def test_the_belief_term_is_brought_to_a_tenth_by_a_power_of_ten_of_its_own():
    units = [Terms(500.0, 0.02), Terms(3.0, 2.0), Terms(40.0, 0.0), Terms(1.0, 5.0)]
    # 500 / 0.02 = 10^4.4, less 1: 10^3. 3 / 2 = 10^0.18, less 1, towards zero: 1.
    usual = (1000 + 1) / 2
    assert importances(units) == pytest.approx([500 + 20, 3 + 2, 40, 1 + 5 * usual])
    assert importances([Terms(0.0, 0.0)]) == [0.0]
    assert all(math.isfinite(found) for found in importances(units))


@pytest.mark.parametrize("family", ["llama", "llama-biased", "mistral", "qwen3"])
@pytest.mark.parametrize("features", FEATURES)
def test_a_pass_begun_at_its_block_is_the_whole_pass_under_a_mask(family, features):
    """Padding is nowhere compared, and the same tokens are taken of the whole and of the masked pass."""
    one = subject(family)
    shape = shape_of(one, "optin")
    rows = calibration_rows(one, "own", rows=3, length=9, seed=5)
    rows.is_text[1, 6:] = False
    passes = Passes(one, rows, features=features, tokens=20, seed=2)
    order = torch.randperm(int(rows.is_text.sum()), generator=torch.Generator().manual_seed(2))[:20]
    text = rows.is_text

    def by_mask(heads, units):
        kept, handles = [], []
        for block in one.model.model.layers:
            watched = block if features == BLOCK else block.mlp
            handles.append(
                watched.register_forward_hook(lambda _, i, o: kept.append(o[0] if isinstance(o, tuple) else o))
            )
        with masked(one, heads, units):
            found = one.model(rows.ids, use_cache=False).logits
        for handle in handles:
            handle.remove()
        return [each[text][order] for each in kept], found[text]

    def close(pass_, expected):
        kept, said = expected
        assert torch.allclose(pass_.logits, said, atol=1e-4)
        for mine, theirs in zip(pass_.features, kept[pass_.start :], strict=True):
            assert torch.allclose(mine, theirs, atol=1e-4)

    ones = torch.ones(shape.layers, shape.heads), torch.ones(shape.layers, shape.units)
    close(passes.whole, by_mask(*ones))
    for layer in range(shape.layers):
        heads, units = (each.clone() for each in ones)
        heads[layer, 1] = 0
        close(passes.without_head(layer, 1, shape.head * shape.queries), by_mask(heads, units))
        heads[layer, 1] = 1
        units[layer, 2:5] = 0
        # What a bias of the map that sums units up adds is no unit's.
        close(passes.without_units(layer, slice(2, 5)), by_mask(heads, units))


def test_deeper_layers_judge_a_unit_and_the_last_layer_judges_its_own():
    one = subject()
    rows = calibration_rows(one, "own", rows=2, length=8, seed=0)
    passes = Passes(one, rows, features=BLOCK, tokens=768, seed=0)
    judge = Judge(passes.whole)
    for layer in range(3):
        masked_pass = passes.without_units(layer, slice(0, 1))
        deeper = [number for number in range(3) if number > layer] or [2]
        expected = sum(
            manifold(passes.whole.features[number], masked_pass.features[number - layer]) for number in deeper
        )
        assert judge.terms(layer, masked_pass).manifold == pytest.approx(expected, rel=1e-5)


def test_the_search_is_the_best_of_all_numbers_of_heads_filled_up_with_units():
    torch.manual_seed(4)
    heads, units = torch.rand(2, 3, dtype=torch.float64), torch.rand(2, 5, dtype=torch.float64)
    found = search(heads, units, head_macs=7, unit_macs=3, budget=31)
    best = max(
        heads.flatten().sort(descending=True).values[:n].sum()
        + units.flatten().sort(descending=True).values[: (31 - 7 * n) // 3].sum()
        for n in range(1, 5)
    )
    assert float(heads[found.heads].sum() + units[found.units].sum()) == pytest.approx(float(best))
    assert 7 * int(found.heads.sum()) + 3 * int(found.units.sum()) <= 31
    # The least important of what stays is no worse than the best of what goes.
    assert heads[found.heads].min() >= heads[~found.heads].max()
    with pytest.raises(ConfigError, match="too small for a single head"):
        search(heads, units, head_macs=7, unit_macs=3, budget=6)


def test_a_uniform_search_is_the_best_of_all_equal_layers():
    torch.manual_seed(5)
    heads, units = torch.rand(2, 4, dtype=torch.float64), torch.rand(2, 6, dtype=torch.float64)
    found = search_uniform(heads, units, head_macs=5, unit_macs=2, budget=40, allowed=lambda count: count != 3)
    totals = {}
    for n, m in itertools.product((1, 2, 4), range(1, 7)):
        if 2 * (5 * n + 2 * m) <= 40:
            rows = [heads.sort(1, descending=True).values[:, :n], units.sort(1, descending=True).values[:, :m]]
            totals[n, m] = float(rows[0].sum() + rows[1].sum())
    assert float(heads[found.heads].sum() + units[found.units].sum()) == pytest.approx(max(totals.values()))
    assert len(set(found.heads.sum(1).tolist())) == len(set(found.units.sum(1).tolist())) == 1


def test_the_ramp_and_the_decays_are_the_codes():
    found = weighed(torch.ones(2, 4, dtype=torch.float64), 0.5, 10.0)
    ramp = torch.tensor([10 ** (step / 3) for step in (3, 2, 1, 0)], dtype=torch.float64)
    assert torch.allclose(found, torch.stack([ramp / 2, ramp / 4]))
    assert torch.equal(weighed(torch.ones(1, 3, dtype=torch.float64), 1.0, 1.0), torch.full((1, 3), 0.5).double())


def test_the_whole_budget_is_the_model_itself():
    one = subject()
    before = {key: value.clone() for key, value in one.model.state_dict().items()}
    expected = logits(one, IDS)
    assert optin(one, macs=1.0).facts == {"macs_kept": 1.0}
    assert all(torch.equal(value, before[key]) for key, value in one.model.state_dict().items())
    assert torch.equal(logits(one, IDS), expected)


@pytest.mark.parametrize("score", ["trajectory", "magnitude", "random"])
@pytest.mark.parametrize("uniform", [False, True])
def test_a_budget_is_kept_and_stored_sizes_are_told(score, uniform):
    one = subject()
    found = optin(one, macs=0.5, score=score, uniform=uniform, rows=2, length=10).facts
    assert found["macs_kept"] <= 0.5 + 1e-9
    assert found["macs_kept"] > 0.2
    assert found["macs_stored"] >= found["macs_kept"]
    if uniform:
        assert found["macs_stored"] == found["macs_kept"]
    config = one.model.config
    assert (config.num_key_value_heads, config.intermediate_size) == tuple(
        max(found[each]) if max(found[each]) else 1 for each in ("heads", "units")
    )
    assert found["parameters"] == sum(parameter.numel() for parameter in one.model.parameters())
    assert logits(one, IDS).isfinite().all()


def test_units_that_share_a_pass_share_its_importance():
    one = subject()
    shape = shape_of(one, "optin")
    passes = Passes(one, calibration_rows(one, "own", rows=2, length=8, seed=0), features=BLOCK, tokens=99, seed=0)
    _, units = scored(passes, shape, group=4, ramp=False)
    assert units.shape == (3, 10)
    for start, stop in ((0, 4), (4, 8), (8, 10)):
        assert torch.equal(units[:, start:stop], units[:, start : start + 1].expand(-1, stop - start))


def test_macs_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    one = subject()
    shape = shape_of(one, "optin")
    with FlopCounterMode(display=False) as counter:
        one.model.model(torch.zeros(1, 11, dtype=torch.long), use_cache=False)
    # The tables are looked up in, and rotary positions are a product of their own that is left out.
    rotary = 2 * 11 * (shape.head // 2)
    assert abs(counter.get_total_flops() - 2 * shape.macs(11)) <= rotary


@pytest.mark.parametrize(
    ("keys", "error", "sentence"),
    [
        ({"macs": 0.0}, ConfigError, "above 0 and at most 1; got 0"),
        ({"macs": 1.5}, ConfigError, "above 0 and at most 1; got 1.5"),
        ({"score": "magnitud"}, UnknownName, "Did you mean 'magnitude'"),
        ({"features": "token"}, UnknownName, "Known: block, ffn"),
        ({"group": 0}, ConfigError, "group must be at least 1"),
        ({"rows": 0}, ConfigError, "rows must be from 1 to 65536; got 0"),
        ({"rows": 10**12}, ConfigError, "rows must be from 1 to 65536"),
        ({"seed": -1}, ConfigError, "seed must be from 0 to"),
        ({"seed": 2**64, "score": "random"}, ConfigError, "seed must be from 0 to"),
        ({"macs": 0.001}, ConfigError, "too small for a single head"),
        ({"calibration": "sumz"}, ConfigError, "'sumz' is no file, and none of own, sums"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(keys, error, sentence):
    with pytest.raises(error, match=sentence):
        optin(subject(), **{"rows": 2, "length": 6, **keys})


def test_other_families_are_refused():
    from transformers import GPT2Config

    model = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=258, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(
        ModelError, match="optin knows the blocks of llama, mistral, qwen2 and qwen3 models; g is of type gpt2"
    ):
        optin(Subject("g", model, byte_tokenizer(258), torch.float32))


def test_texts_that_a_model_or_a_reader_cannot_take_are_refused(tmp_path):
    one = subject()
    one.tokenizer.bos_token = "beyond"
    one.tokenizer.add_tokens(["beyond"])
    with pytest.raises(ConfigError, match="start token of llama is 258, beyond the 258 rows"):
        optin(one, rows=2, length=6)
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    for name in (str(tmp_path / "deep.jsonl"), "x" * 5000, "~nosuchuser"):
        with pytest.raises(ConfigError, match="cannot read .*RecursionError|is no file"):
            optin(subject(), calibration=name, rows=2, length=6)
