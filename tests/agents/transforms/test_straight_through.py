"""DSFormer's fine-tuning: projection, gradient and a step of training against their definitions; places move, bytes do not."""

import pytest
import torch
from support.small_subjects import IDS, logits, subject

from agents.errors import ConfigError
from agents.transforms.calibration import Rows, in_batches
from agents.transforms.dsformer.blocks import Blocks, nearest_blocks
from agents.transforms.dsformer.factors import Factors, rounded
from agents.transforms.dsformer.straight_through import LatentBlock, LatentMatrix, Schedule, loss_of, projected, tune
from agents.transforms.dsformer.transform import dsformer, dsformer_stf, share_moved
from agents.transforms.subject import linears

ROWS = Rows(IDS, torch.ones_like(IDS, dtype=torch.bool))


def drawn(rows=6, columns=5, atoms=4, nonzeros=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = torch.stack([torch.randperm(atoms, generator=generator)[:nonzeros].sort().values for _ in range(rows)])
    values = torch.randn(rows, nonzeros, generator=generator)
    return rounded(Factors(places, values, torch.randn(atoms, columns, generator=generator)))


def schedule(**changed):
    return Schedule(
        **{"steps": 4, "batch": 2, "rate": 0.01, "supports": "free", "goal": "beliefs", "seed": 0, **changed}
    )


def test_the_projection_is_the_largest_of_each_row_and_its_gradient_is_everybodys():
    latent = torch.tensor([[0.5, -3.0, 0.0, 1.0], [2.0, 0.1, -0.2, 0.0]], dtype=torch.float64, requires_grad=True)
    found = projected(latent, 2)
    assert torch.equal(found.detach(), torch.tensor([[0, -3.0, 0, 1.0], [2.0, 0, -0.2, 0]], dtype=torch.float64))
    weights = torch.randn(2, 4, dtype=torch.float64)
    (found * weights).sum().backward()
    # Straight through: of numbers that were left out as well.
    assert torch.equal(latent.grad, weights)


def test_a_step_is_the_definition_in_float64():
    """S ← S − η (∂L/∂W) Dᵀ at every place, D ← D − η Sₖᵀ (∂L/∂W), with W = Sₖ D and Sₖ the k largest of S."""
    factors = drawn()
    block = LatentBlock(factors, "free").double()
    dense = torch.zeros(6, 4, dtype=torch.float64)
    for row, (places, values) in enumerate(zip(factors.places, factors.values, strict=True)):
        dense[row, places] = values.double()
    assert torch.equal(block.latent.detach(), dense)
    target, rate = torch.randn(6, 5, dtype=torch.float64), 0.05
    basis = factors.basis.double()
    optimiser = torch.optim.SGD(block.parameters(), rate)
    for _ in range(5):
        kept = torch.zeros_like(dense)
        for row in range(6):
            for place in sorted(range(4), key=lambda each: -abs(float(dense[row, each])))[:2]:
                kept[row, place] = dense[row, place]
        gradient = kept @ basis - target
        loss = 0.5 * (block() - target).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        dense, basis = dense - rate * gradient @ basis.T, basis - rate * kept.T @ gradient
        torch.testing.assert_close(block.latent.detach(), dense, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(block.basis.detach(), basis, rtol=1e-9, atol=1e-12)


def test_with_fixed_places_the_same_step_moves_no_place():
    factors = drawn()
    block = LatentBlock(factors, "fixed")
    before = block.latent.detach().clone()
    (block() - torch.randn(6, 5)).square().sum().backward()
    outside = torch.ones(6, 4, dtype=torch.bool).scatter_(1, factors.places, False)
    assert not block.latent.grad[outside].any()
    assert block.latent.grad[~outside].all()
    # Even where what stays is smaller than nothing.
    block.latent.data = torch.where(outside, before, torch.zeros(()))
    assert torch.equal(block.factors().places, factors.places)


@pytest.mark.parametrize("supports", ["free", "fixed"])
def test_what_is_stored_is_what_was_begun_with_where_nothing_is_trained(supports):
    torch.manual_seed(0)
    for shape in ((20, 12), (12, 20)):
        blocks = nearest_blocks(torch.randn(shape), 1.5, 8, 2)
        again = LatentMatrix(blocks, supports)
        torch.testing.assert_close(again(), blocks.product, rtol=0, atol=1e-6)
        torch.testing.assert_close(again.blocks().product, blocks.product, rtol=0, atol=1e-6)
        assert (again.blocks().bits, again.blocks().macs) == (blocks.bits, blocks.macs)


def factored(one):
    names = {weight: name for name, weight in one.model.named_parameters()}
    return {
        names[linear.weight]: nearest_blocks(linear.weight.detach(), 1.8, 8, 2)
        for layer in one.model.model.layers
        for linear in linears(layer).values()
    }


def test_the_losses_are_those_of_a_model_that_has_the_products():
    one, other = subject(), subject()
    weights = {name: blocks.product for name, blocks in factored(one).items()}
    for name, weight in other.model.named_parameters():
        if name in weights:
            weight.data = weights[name].clone()
    text = torch.ones_like(IDS, dtype=torch.bool)
    text[0, -3:] = False
    ours, theirs = (logits(each, IDS).double().log_softmax(-1) for each in (one, other))
    beliefs = (ours.exp() * (ours - theirs)).sum(-1)[text].mean()
    assert float(loss_of(one.model, weights, Rows(IDS, text), "beliefs")) == pytest.approx(float(beliefs), rel=1e-4)
    tokens = -theirs[:, :-1].gather(2, IDS[:, 1:, None]).squeeze(-1)[text[:, 1:]].mean()
    assert float(loss_of(one.model, weights, Rows(IDS, text), "tokens")) == pytest.approx(float(tokens), rel=1e-4)


@pytest.mark.parametrize("goal", ["beliefs", "tokens"])
def test_training_lowers_the_loss_and_leaves_the_base_as_it_is(goal):
    one = subject()
    before = {name: weight.clone() for name, weight in one.model.named_parameters()}
    begun, losses = factored(one), []
    ended = tune(one, begun, ROWS, schedule(steps=20, goal=goal), watch=lambda _, loss: losses.append(loss))
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])
    assert all(torch.equal(weight, before[name]) for name, weight in one.model.named_parameters())
    assert share_moved(begun, ended) > 0
    assert sum(blocks.bits for blocks in ended.values()) == sum(blocks.bits for blocks in begun.values())
    still = tune(one, begun, ROWS, schedule(steps=20, goal=goal, supports="fixed"))
    assert share_moved(begun, still) == 0
    again = tune(one, begun, ROWS, schedule(steps=20, goal=goal))
    assert all(torch.equal(ended[name].product, again[name].product) for name in ended)


def test_the_transform_is_dsformer_and_its_training_in_as_many_bytes():
    keys = {"ratio": 1.8, "block": 8, "rounds": 2}
    plain, untrained, tuned, still = (subject() for _ in range(4))
    facts = dsformer(plain, **keys).facts
    assert dsformer_stf(untrained, **keys, steps=0).facts == facts
    assert torch.equal(logits(untrained, IDS), logits(plain, IDS))
    made = dsformer_stf(tuned, **keys, steps=12, rows=8, length=16, rate=0.01)
    fixed = dsformer_stf(still, **keys, steps=12, rows=8, length=16, rate=0.01, supports="fixed")
    for found in (made.facts, fixed.facts):
        assert {name: found[name] for name in ("factor_bytes", "map_bytes", "macs_kept", "ratio_stored")} == {
            name: facts[name] for name in ("factor_bytes", "map_bytes", "macs_kept", "ratio_stored")
        }
        assert found["loss_at_last"] < found["loss_at_first"]
    assert made.facts["moved"] > 0 == fixed.facts["moved"]
    whole = subject()
    for one in (tuned, still):
        assert torch.equal(one.model.get_input_embeddings().weight, whole.model.get_input_embeddings().weight)
        assert torch.equal(one.model.model.norm.weight, whole.model.model.norm.weight)
        assert not torch.equal(logits(one, IDS), logits(plain, IDS))


def test_every_row_is_read_once_before_any_is_read_again():
    rows = Rows(torch.arange(10).reshape(5, 2), torch.tensor([[True, True]] * 4 + [[True, False]]))
    drawn = in_batches(rows, 2, torch.Generator().manual_seed(0))
    read = [next(drawn) for _ in range(3)]
    assert sorted(int(first) for batch in read for first in batch.ids[:, 0]) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"steps": -1}, "steps must be from 0 to 100000; got -1"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"rate": 0.0}, "rate must be above 0 and at most 1; got 0"),
        ({"rate": float("nan")}, "rate must be above 0"),
        ({"supports": "some"}, "supports is free or fixed; got 'some'"),
        ({"goal": "both"}, "goal is beliefs or tokens; got 'both'"),
        ({"block": 0}, "dsformer_stf: block must be at least 1"),
        ({"ratio": 1.0}, "dsformer_stf: ratio is how many times fewer"),
        ({"seed": -1}, "seed must be from 0"),
        ({"rows": 0}, "rows must be from 1"),
    ],
)
def test_what_cannot_be_is_refused(keys, sentence):
    with pytest.raises(ConfigError, match=sentence):
        dsformer_stf(subject(), **keys)


def test_blocks_are_of_the_matrix_or_of_its_transpose():
    made = Blocks((drawn(seed=1), drawn(seed=2)), transposed=True)
    assert made.product.shape == (10, 6)
    torch.testing.assert_close(made.product.T[:, :5], made.parts[0].product)
