"""VTrans: the bottleneck is its formulas, what is removed and folded is the masked model, and budgets hold."""

import math

import pytest
import torch
from support.small_subjects import FAMILIES, IDS, logits, subject

from agents.errors import ConfigError
from agents.transforms.calibration import calibration_rows
from agents.transforms.counted import counted_maps
from agents.transforms.units import masked, remove, shape_of
from agents.transforms.vtrans.bottleneck import Bottleneck, Factors
from agents.transforms.vtrans.training import Learner, Plan, fold
from agents.transforms.vtrans.transform import vtrans

QUICK = {"steps": 12, "tuned": 4, "batch": 3, "rows": 4, "length": 12}


def drawn(family="llama", seed=0):
    """Return a subject and factors that are far from where they begin."""
    made = subject(family)
    found = Bottleneck(shape_of(made, "test"), seed)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw))
    return made, found


def test_the_bottleneck_is_its_formulas():
    factors = Factors((2, 3), torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        factors.mean.copy_(torch.tensor([[1.0, -0.5, 2.0], [0.1, 0.0, 3.0]]))
        factors.log_variance.copy_(torch.tensor([[-9.0, 1.0, 0.0], [0.5, -2.0, 4.0]]))
    bound, staying = 0.0, []
    for mean, variance in zip(
        factors.mean.flatten().tolist(), factors.log_variance.flatten().exp().tolist(), strict=True
    ):
        bound += 0.5 * math.log(1 + (mean**2 + 1e-8) / variance)
        alpha = math.log(variance) - math.log(mean**2 + 1e-8)
        staying.append(1 / (1 + math.exp(10 * alpha)))
    assert float(factors.information().detach()) == pytest.approx(bound)
    assert factors.staying().detach().flatten().tolist() == pytest.approx(staying)
    # Of a factor that has come to 0 all is noise.
    assert 0 < float(factors.log_alpha[1, 1].detach()) < math.inf
    many = factors.drawn(40_000, torch.Generator().manual_seed(1)).detach()
    torch.testing.assert_close(many.mean(0), factors.mean.detach(), atol=0.2, rtol=0)
    torch.testing.assert_close(many.std(0), torch.exp(0.5 * factors.log_variance.detach()), atol=0.2, rtol=0.02)


def test_masks_keep_the_lowest_log_alpha_within_the_budget_and_a_layer_goes_as_a_whole():
    made, found = drawn()
    shape = shape_of(made, "test")
    with torch.no_grad():
        found.heads.log_variance.fill_(-30)
        found.attention.log_variance.fill_(-30)
        found.feed_forward.log_variance.copy_(torch.tensor([-30.0, 30.0, -30.0]))
    budget = shape.layers * shape.heads * shape.head_macs(8) + 8 * shape.unit_macs(8) + 1
    masks = found.masks(8, budget)
    assert masks.heads.all()
    assert masks.units.sum(1)[1] == 0
    assert masks.units.sum() == 8
    alpha = found.units.log_alpha.detach()[[0, 2]]
    kept = masks.units[[0, 2]]
    assert alpha[kept].max() < alpha[~kept].min()
    assert found.masks(8, shape.macs(8)).units.all()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_folded_and_removed_is_the_masked_model(family):
    made, found = drawn(family)
    shape = shape_of(made, "test")
    masks = found.masks(8, round(0.5 * shape.macs(8)))
    with torch.no_grad():
        heads, units = found.means(masks)
    with masked(made, heads, units):
        want = logits(made, IDS)
    fold(made.model.model.layers, heads, units)
    remove(made, masks.heads, masks.units)
    torch.testing.assert_close(logits(made, IDS), want, atol=1e-4, rtol=1e-4)


def test_factors_of_rows_are_those_of_each_row_alone():
    made, found = drawn()
    with torch.no_grad():
        heads, units = found.drawn(2, torch.Generator().manual_seed(3))
    with masked(made, heads, units):
        together = logits(made, IDS)
    for row in range(2):
        with masked(made, [one[row, 0] for one in heads], [one[row, 0] for one in units]):
            torch.testing.assert_close(logits(made, IDS[row : row + 1])[0], together[row], atol=1e-5, rtol=1e-5)


def test_learning_finds_what_says_nothing_and_leaves_weights_alone():
    made = subject()
    layer = made.model.model.layers[1]
    with torch.no_grad():
        layer.mlp.down_proj.weight[:, [2, 7]] = 0
        # The second head, with both query heads that share it.
        layer.self_attn.o_proj.weight[:, 12:] = 0
    before = {key: value.clone() for key, value in made.model.state_dict().items()}
    rows = calibration_rows(made, "own", rows=4, length=12, seed=0)
    shape = shape_of(made, "test")
    found = Bottleneck(shape, 0)
    begun = float(found.information().detach())
    assert float(found.expected_macs(12).detach()) == pytest.approx(1.0)
    Learner(made, found, rows, Plan(150, 0, 3, 0.5, 12, 0), weights=False).learn()
    assert all(value.equal(before[key]) for key, value in made.model.state_dict().items())
    assert float(found.information().detach()) < 0.9 * begun
    assert sorted(found.units.log_alpha[1].topk(2).indices.tolist()) == [2, 7]
    assert float(found.units.log_alpha.detach()[1, [2, 7]].min()) > 0 < float(found.heads.log_alpha.detach()[1, 1])
    masks = found.masks(12, round(0.8 * shape.macs(12)))
    assert masks.heads[1].tolist() == [True, False]
    assert not masks.units[1, [2, 7]].any()


@pytest.mark.parametrize("weights", [False, True])
def test_a_copy_is_the_same_again_within_its_budget_and_on_the_base_s_tables(weights):
    base = subject()
    one, other = subject(), subject()
    first, second = (vtrans(each, macs=0.5, weights=weights, **QUICK) for each in (one, other))
    assert first == second
    assert logits(one, IDS).equal(logits(other, IDS))
    assert first.facts["macs_kept"] <= 0.5 < first.facts["macs_kept"] + 0.05
    assert one.dtype == torch.float32
    assert one.model.get_input_embeddings().weight.equal(base.model.get_input_embeddings().weight)
    counted, whole = counted_maps(one.model), counted_maps(base.model)
    assert counted.used < 0.62 * whole.macs
    norm = one.model.model.layers[0].input_layernorm.weight
    assert norm.equal(base.model.model.layers[0].input_layernorm.weight) != weights


def test_the_whole_budget_is_the_model_and_what_cannot_be_is_refused():
    made = subject()
    vtrans(made, macs=1.0)
    assert logits(made, IDS).equal(logits(subject(), IDS))
    for given, says in (
        ({"macs": 0.0}, "macs is the share that stays"),
        ({"steps": 1}, "steps must be at least 2; got 1"),
        ({"tuned": -1}, "tuned must be at least 0"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"macs": 1e-6, **QUICK}, "too small for a single unit"),
    ):
        with pytest.raises(ConfigError, match=says):
            vtrans(subject(), **given)
