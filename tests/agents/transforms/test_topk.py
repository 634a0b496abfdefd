"""Top-k: what stays of a layer is what the definition says, alone and in company, and what it spares is counted."""

import json

import pytest
import torch
from safetensors.torch import load_file
from support.minds import assert_hears_alone_as_in_company, assert_says_what_a_plain_loop_says
from support.small_subjects import FAMILIES, IDS, logits, subject
from torch.utils.flop_counter import FlopCounterMode

from agents import pretrained
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, ModelError
from agents.largest import keep_largest
from agents.model_folder import read_config
from agents.transforms.counted import counted_maps, kept_share
from agents.transforms.topk.layer import GATE, PLACES, PRODUCT, TopKFeedForward
from agents.transforms.topk.model import TopKLlamaConfig, TopKLlamaForCausalLM
from agents.transforms.topk.transform import topk


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "cache_home", lambda: tmp_path / "home")


def kept_of(row, k):
    """Return the units of a row that stay, by the definition: the largest first, of equals the lower number."""
    return sorted(sorted(range(len(row)), key=lambda unit: (-abs(float(row[unit])), unit))[:k])


@pytest.mark.parametrize("k", [1, 3, 6, 7])
def test_the_largest_stay_and_of_equals_the_first(k):
    rows = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)).mul(2).round()
    for row, found in zip(rows, keep_largest(rows, k), strict=True):
        want = torch.zeros(7)
        want[kept_of(row, k)] = row[kept_of(row, k)]
        assert found.equal(want)


def test_where_all_stay_it_is_the_argument_and_behind_a_relu_nothing_comes_back():
    rows = torch.relu(torch.randn(4, 9, generator=torch.Generator().manual_seed(1)))
    assert keep_largest(rows, 9) is rows
    assert keep_largest(rows, 12) is rows
    assert ((keep_largest(rows, 8) == 0) >= (rows == 0)).all()


def test_gradients_pass_through_what_stays_alone():
    row = torch.tensor([3.0, -4.0, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    keep_largest(row, 2).square().sum().backward()
    assert row.grad.tolist() == [6.0, -8.0, 0.0, 0.0]


def by_parts(layer, x, k, at):
    """Return what a layer gives of one token [D], only maps' rows and columns computed that are needed."""
    gated = layer.act_fn(layer.gate_proj(x[None]))[0]
    if at == GATE:
        units = kept_of(gated, k)
        up = x[None] @ layer.up_proj.weight[units].T + (0 if layer.up_proj.bias is None else layer.up_proj.bias[units])
        product = gated[units] * up[0]
    else:
        whole = gated * layer.up_proj(x[None])[0]
        units = kept_of(whole, k)
        product = whole[units]
    down = product[None] @ layer.down_proj.weight[:, units].T
    return down[0] + (0 if layer.down_proj.bias is None else layer.down_proj.bias)


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_is_its_definition_and_spares_what_is_counted(family, at):
    given = subject(family)
    layer = TopKFeedForward(given.model.model.layers[0].mlp, 4, at).double()
    x = torch.randn(6, 24, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = layer(x)
    for row, want in zip(x, found, strict=True):
        counter = FlopCounterMode(display=False)
        with counter:
            torch.testing.assert_close(by_parts(layer, row, 4, at), want, rtol=0, atol=1e-12)
        needed = layer.needed()
        assert counter.get_total_flops() // 2 == sum(
            rows * columns
            for linear in (layer.gate_proj, layer.up_proj, layer.down_proj)
            for rows, columns in [needed.get(linear, tuple(linear.weight.shape))]
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_copy_has_the_base_s_weights_and_its_layers_keep_k(family):
    base, copy = subject(family), subject(family)
    outcome = topk(copy, k=3)
    assert copy.model.config.model_type == f"topk_{base.model.config.model_type}"
    ours, theirs = copy.model.state_dict(), base.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(ours[key].equal(theirs[key]) for key in theirs)
    # Every token's layers, put into the base one by one, give the copy.
    for layer in base.model.model.layers:
        layer.mlp = TopKFeedForward(layer.mlp, 3, PRODUCT)
    assert logits(copy, IDS).equal(logits(base, IDS))
    counted = counted_maps(copy.model)
    assert counted.used == pytest.approx(outcome.facts["macs_kept"] * counted.macs)
    assert outcome.facts["macs_kept"] == 1 - 24 * 7 / (counted.macs / 3)


@pytest.mark.parametrize("at", PLACES)
def test_all_units_are_the_model_itself(tiny, home, at):
    base = tiny("llama")
    width = read_config(base).intermediate_size
    folder = pretrained.locate(pretrained.transformed(str(base), [f"topk(k={width}, at={at!r})"]))
    assert (folder / "model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()
    assert read_config(folder).model_type == "llama"
    assert json.loads((folder / "transform.json").read_text())["steps"][0]["macs_kept"] == 1.0


@pytest.mark.parametrize("at", PLACES)
def test_the_engine_runs_it_as_any_other(tiny, home, at):
    base = tiny("llama")
    folder = pretrained.locate(pretrained.transformed(str(base), [f"topk(k=9, at={at!r})"]))
    assert all(
        weight.equal(load_file(base / "model.safetensors")[key])
        for key, weight in load_file(folder / "model.safetensors").items()
    )
    model = LoadedModel(folder, name="lazy", dtype="float32", device="cpu", rows=4)
    assert isinstance(model.model, TopKLlamaForCausalLM)
    assert model.verdict.way == "by_row"
    assert model.verdict.invariant
    assert_hears_alone_as_in_company(model)
    assert_says_what_a_plain_loop_says(model, max_tokens=12)
    own = LoadedModel(base, name="base", dtype="float32", device="cpu", rows=4)
    assert model.fingerprint.same_table(own.fingerprint)
    assert model.fingerprint.weights != own.fingerprint.weights


def test_after_a_removal_both_are_counted_and_nothing_follows(tiny, home):
    cut = "optin(macs=0.5, score='random')"
    folder = pretrained.locate(pretrained.transformed(str(tiny("llama")), [cut, "topk(k=5)"]))
    whole = json.loads((folder / "transform.json").read_text())["whole"]
    before = json.loads(
        (pretrained.locate(pretrained.transformed(str(tiny("llama")), [cut])) / "transform.json").read_text()
    )["whole"]
    assert whole["map_macs_used"] < before["map_macs_used"]
    record = json.loads((folder / "transform.json").read_text())
    assert kept_share(record) == whole["map_macs_used"] / whole["map_macs_before"]
    with pytest.raises(ModelError, match="name topk last"):
        pretrained.locate(pretrained.transformed(str(tiny("llama")), ["topk(k=5)", "repquant(bits=4)"]))


def test_what_cannot_be_kept_is_refused():
    for k in (0, 11):
        with pytest.raises(ConfigError, match=f"k is from 1 to the 10 units of a feed-forward layer of llama; got {k}"):
            topk(subject(), k=k)
    with pytest.raises(ConfigError, match="at is one of product, gate; got 'up'"):
        topk(subject(), k=4, at="up")
    with pytest.raises(ConfigError, match="kept_units is from 1 to intermediate_size, 10"):
        TopKLlamaForCausalLM(TopKLlamaConfig(**FAMILIES["llama"].to_dict() | {"kept_units": 0}))


def test_vllm_refuses_it_and_takes_a_copy_that_keeps_all():
    check = pytest.importorskip("agents.backends.vllm.check")
    copy = subject()
    check.refuse_masked(copy.model.config, "base")
    topk(copy, k=10)
    check.refuse_masked(copy.model.config, "all")
    topk(copy, k=4)
    with pytest.raises(ModelError, match="the 4 largest of a feed-forward layer's 10 .* use backend: transformers"):
        check.refuse_masked(copy.model.config, "lazy")
