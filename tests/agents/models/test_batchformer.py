"""The batch is the sequence, in training alone; one classifier for both streams, at the scale of one; few pictures of most."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from support.random_models import generator, shaken
from support.small_data import digits
from support.small_picture_models import THINGS
from torch.nn import functional

from agents.beliefs.cards import card
from agents.errors import ConfigError, UnknownName
from agents.models.batchformer.layer import Alone, BatchFormer, relation, two_streams
from agents.models.batchformer.long_tail import balanced_loss, log_shares, long_tail, right_by_class
from agents.models.checkpoint import CONFIG, WEIGHTS
from agents.models.crossvit import batchformer as recipe
from agents.models.crossvit.backend import CrossViTBackend
from agents.models.crossvit.config import CrossViTConfig
from agents.models.crossvit.model import CrossViT
from agents.models.fusion import related_claims
from agents.models.fusion.log_linear import floored, sureness
from agents.models.fusion.pool import TrainedPool, attributions, load_pool, save_pool
from agents.models.seeded import seeded
from agents.models.tnt.config import TNTConfig
from agents.models.tnt.model import TNT
from agents.models.vision import training
from agents.models.vision.objective import Learned, Objective
from agents.models.vision.resumption import FILE
from agents.models.vision.training import Recipe, train, trained_on
from agents.observation import Image
from agents.question import Question

SIZES = CrossViTConfig(THINGS, (8, 8), (4, 8), widths=(4, 8), depths=(1, 1), hidden=(4, 8), stages=1, heads=1)
RELATED = Objective("balanced", "batchformer")
RECIPE = Recipe(epochs=2, batch=16, is_changed=False, objective=RELATED)


def features(count=6, width=8):
    return torch.randn(count, width, generator=generator(), dtype=torch.float64)


def wide(layer):
    """A layer with weights that are none of its first, in float64 and without dropout."""
    return shaken(lambda: layer).double().eval()


def pictures(count=40):
    noise = generator()
    return torch.rand(count, 3, 8, 8, generator=noise), torch.arange(count) % len(THINGS)


@torch.inference_mode()
def test_samples_attend_to_samples_by_the_formula():
    """Attention over the batch, head by head, then both norms after what was added, in plain steps."""
    layer, x = wide(BatchFormer(8)), features()
    attention, heads = layer.self_attn, []
    q, k, v = (
        x @ part.T + bias
        for part, bias in zip(attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True)
    )
    for head in range(4):
        part = slice(2 * head, 2 * head + 2)
        looked = torch.stack([torch.stack([a @ b for b in k[:, part]]) / math.sqrt(2) for a in q[:, part]])
        heads.append(looked.softmax(-1) @ v[:, part])

    def normed(y, norm):
        middle = y.mean(-1, keepdim=True)
        spread = ((y - middle) ** 2).mean(-1, keepdim=True)
        return (y - middle) / (spread + norm.eps).sqrt() * norm.weight + norm.bias

    mixed = torch.cat(heads, -1) @ attention.out_proj.weight.T + attention.out_proj.bias
    first = normed(x + mixed, layer.norm1)
    inner = (first @ layer.linear1.weight.T + layer.linear1.bias).clamp_min(0)
    want = normed(first + inner @ layer.linear2.weight.T + layer.linear2.bias, layer.norm2)
    assert torch.allclose(layer(x), want, atol=1e-12)


def test_it_is_torchs_encoder_layer_over_the_batch_dropout_and_all():
    theirs = torch.nn.TransformerEncoderLayer(8, 4, 8, 0.5)
    ours = BatchFormer(8)
    ours.load_state_dict(theirs.state_dict())
    x = features().float()
    found = []
    for call in (lambda: theirs(x[:, None])[:, 0], lambda: ours(x)):
        torch.manual_seed(0)
        found.append(call())
    assert torch.allclose(*found, atol=1e-6)
    ours.eval()
    theirs.eval()
    assert not torch.allclose(ours(x), found[0], atol=1e-2)
    assert torch.allclose(ours(x), theirs(x[:, None])[:, 0], atol=1e-6)


@torch.inference_mode()
def test_another_sample_in_the_batch_is_noticed_and_not_by_the_control():
    """Over a sequence of one, as of `batch_first`, attention would be a layer for each sample by itself."""
    x = features()
    other = x.clone()
    other[3] += torch.arange(8.0)
    for layer, notices in ((wide(BatchFormer(8)), True), (wide(Alone(8)), False)):
        moved = (layer(other) - layer(x)).abs().amax(-1)
        assert moved[3] > 1e-3
        assert bool((moved[[0, 1, 2, 4, 5]] > 1e-9).all()) == notices
        # No positions: another order is the same in that order.
        order = torch.tensor([4, 2, 0, 5, 1, 3])
        assert torch.allclose(layer(x[order]), layer(x)[order], atol=1e-12)
    by_itself = torch.cat([wide(BatchFormer(8))(row[None]) for row in x])
    assert not torch.allclose(by_itself, wide(BatchFormer(8))(x), atol=1e-3)


def test_a_sample_learns_from_the_labels_of_others_through_the_layer():
    """The gradient of one sample's loss in another's features: there with the layer, none with its control."""
    classes = torch.arange(6) % 3
    head = torch.nn.Linear(8, 3, dtype=torch.float64)
    for layer, is_there in ((wide(BatchFormer(8)), True), (wide(Alone(8)), False)):
        x = features().requires_grad_()
        both, twice = two_streams(layer, x, classes)
        functional.cross_entropy(head(both), twice, reduction="none")[2].backward()
        assert bool((x.grad[[0, 1, 3, 4, 5]].abs().amax(-1) > 1e-9).all()) == is_there


def test_two_streams_have_one_classifier_and_the_scale_of_one_stream():
    """A layer that does nothing leaves loss and gradients as they are: a mean over both, and no sum."""
    x, classes = features(), torch.arange(6) % 3
    head = torch.nn.Linear(8, 3, dtype=torch.float64)
    found = []
    for layer in (None, torch.nn.Identity()):
        head.zero_grad()
        seen, called = (x, classes) if layer is None else two_streams(layer, x, classes)
        loss = functional.cross_entropy(head(seen), called)
        loss.backward()
        found.append((loss.detach(), head.weight.grad.clone(), head.bias.grad.clone()))
    for alone, twice in zip(*found, strict=True):
        assert torch.allclose(alone, twice, atol=1e-12)
    layer = wide(BatchFormer(8))
    both, twice = two_streams(layer, x, classes)
    assert torch.equal(both, torch.cat([layer(x), x]))
    assert twice.tolist() == [*classes, *classes]


def test_the_control_has_as_many_weights():
    """But for a bias or two: attention has four maps of C x C, the control two of C x 2 C."""
    count = {kind: sum(each.numel() for each in kind(96).parameters()) for kind in (BatchFormer, Alone)}
    assert 0 <= count[BatchFormer] - count[Alone] <= 96


def test_the_published_layer_is_this_wide_and_this_random():
    layer = relation("batchformer", 32)
    assert (layer.self_attn.num_heads, layer.self_attn.dropout, layer.dropout) == (4, 0.5, 0.5)
    assert layer.linear1.weight.shape == layer.linear2.weight.shape == (32, 32)


@pytest.mark.parametrize("made", [lambda: CrossViT(SIZES), lambda: TNT(TNTConfig(THINGS, side=8, patch=8, width=8, depth=1,
                                  heads=1, inner_width=4, inner_heads=1))], ids=["crossvit", "tnt"])  # fmt: skip
def test_the_loss_of_a_batch_is_the_mean_over_both_streams(made):
    model, (pixels, classes) = shaken(made), pictures(12)
    learned = Learned(model, RELATED, torch.arange(30) % 10, seed=3)
    torch.manual_seed(5)
    found = learned.loss(pixels, classes, generator())
    assert torch.rand(()) == torch.rand((), generator=torch.Generator().manual_seed(5))
    again = learned.loss(pixels, classes, generator())
    assert torch.equal(found, again)
    learned.layer.eval()
    x = model.features(pixels)
    assert x.shape == (12, model.feature_width)
    assert torch.equal(model.scores(x), model(pixels))
    each = [
        functional.cross_entropy(model.scores(seen) + torch.tensor(0.1).log(), classes)
        for seen in (learned.layer(x), x)
    ]
    assert torch.allclose(learned.loss(pixels, classes, generator()), sum(each) / 2, atol=1e-6)


def test_the_layer_learns_at_a_share_of_the_rate_and_only_while_it_is_there():
    model = shaken(lambda: CrossViT(SIZES))
    learned = Learned(model, RELATED, torch.arange(10), seed=0)
    shares = [(len(group["params"]), group["share"]) for group in learned.groups]
    assert shares == [(len(list(model.parameters())), 1.0), (len(list(learned.layer.parameters())), 0.1)]
    plain = Learned(model, Objective(), torch.arange(10), seed=0)
    assert plain.parts is model
    assert len(plain.groups) == 1


def test_nothing_of_it_is_kept_and_a_belief_depends_on_no_batch(tmp_path):
    parts = (pictures(), pictures(20))
    trained_on(CrossViTBackend, lambda: CrossViT(SIZES), tmp_path / "x", RECIPE, parts, seed=0, progress=lambda _: None)
    assert set(load_file(tmp_path / "x" / WEIGHTS)) == set(CrossViT(SIZES).state_dict())
    assert not (tmp_path / "x" / FILE).exists()
    assert "batchformer" not in (tmp_path / "x" / CONFIG).read_text()
    backend = CrossViTBackend.from_pretrained(str(tmp_path / "x"))
    seen = parts[0][0]
    cases = [Question(f"case {place}", "?", (Image(pixels),)) for place, pixels in enumerate(seen[:5])]
    assert backend.believe(cases)[2] == backend.believe(cases[2:3])[0]
    with torch.inference_mode():
        assert torch.allclose(backend.model(seen)[:3], backend.model(seen[:3]), atol=1e-6)


def test_a_training_with_the_layer_that_was_stopped_comes_to_the_same_bits(tmp_path):
    def trained(folder, progress=lambda _: None):
        return train(
            shaken(lambda: CrossViT(SIZES)), *pictures(), RECIPE, seed=1, folder=folder, progress=progress
        ).state_dict()

    def stop(said):
        if said.startswith("epoch 1"):
            raise KeyboardInterrupt

    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", stop)
    again = trained(tmp_path / "stopped")
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    plain = train(
        shaken(lambda: CrossViT(SIZES)), *pictures(), replace(RECIPE, objective=Objective("balanced")), seed=1,
        folder=tmp_path / "plain", progress=lambda _: None,
    ).state_dict()  # fmt: skip
    assert not all(torch.equal(plain[name], whole[name]) for name in whole)


def test_a_long_tail_is_the_published_profile():
    classes = torch.arange(3000) % 10
    kept = long_tail(classes, 50, generator())
    counts = torch.bincount(classes[kept]).tolist()
    assert counts == [int(300 * (1 / 50) ** (place / 9)) for place in range(10)]
    assert (counts[0], counts[-1]) == (300, 6)
    assert torch.equal(kept, kept.unique())
    assert not torch.equal(kept, long_tail(classes, 50, torch.Generator().manual_seed(99)))
    # The smallest class sets what the profile begins with.
    assert int(torch.bincount(classes[:-10][long_tail(classes[:-10], 1, generator())]).max()) == 299


def test_balanced_softmax_is_the_formula_and_of_equal_classes_the_plain_one():
    scores = torch.randn(9, 3, generator=generator(), dtype=torch.float64)
    classes = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2])
    counts = (5, 3, 1)
    want = 0.0
    for row, label in zip(scores.tolist(), classes.tolist(), strict=True):
        whole = sum(count * math.exp(score) for count, score in zip(counts, row, strict=True))
        want -= math.log(counts[label] * math.exp(row[label]) / whole) / len(classes)
    assert float(balanced_loss(scores, classes, log_shares(classes, 3).double())) == pytest.approx(want, abs=1e-6)
    even = torch.arange(9) % 3
    assert torch.allclose(
        balanced_loss(scores, even, log_shares(even, 3)), functional.cross_entropy(scores, even), atol=1e-6
    )
    assert right_by_class(torch.eye(3)[[0, 1, 0, 2, 2]], torch.tensor([0, 0, 1, 2, 2])).tolist() == [0.5, 0, 1]


def test_what_cannot_be_related_or_balanced_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="width is a multiple of its heads; got 10 and 4"):
        BatchFormer(10)
    with pytest.raises(UnknownName, match="relation between samples"):
        relation("batchfromer", 8)
    with pytest.raises(UnknownName, match="relation between samples"):
        Objective(relation="friends")
    with pytest.raises(UnknownName, match="loss of a recipe"):
        Objective("focal")
    with pytest.raises(ConfigError, match="two or more; got one: take another batch size"):
        two_streams(BatchFormer(8), torch.zeros(1, 8), torch.zeros(1, dtype=torch.long))
    with pytest.raises(ConfigError, match="17 pictures in batches of 16 leave one by itself.*another batch size"):
        train(CrossViT(SIZES), *pictures(17), RECIPE, seed=0, folder=tmp_path, progress=lambda _: None)
    with pytest.raises(ConfigError, match="balanced softmax needs a sample of every class, and class 7 has none"):
        train(CrossViT(SIZES), *pictures(7), RECIPE, seed=0, folder=tmp_path, progress=lambda _: None)
    with pytest.raises(ConfigError, match=r"an imbalance is 1 or more, of two classes or more; got 0\.5 and 10"):
        long_tail(torch.arange(100) % 10, 0.5, generator())
    with pytest.raises(ConfigError, match="the last class of 10 samples would have none: take at most 10"):
        long_tail(torch.arange(100) % 10, 50, generator())


def test_the_recipe_trains_every_objective_on_the_same_pictures_and_claims(tmp_path, monkeypatch):
    parts = recipe.Data(pictures(60), pictures(20), pictures(30))
    tail = recipe.Tail("things", lambda data: parts, SIZES, 3.0, replace(RECIPE, epochs=1, batch=17))
    monkeypatch.setattr(recipe, "TAILS", (tail,))
    said = []
    found = recipe.claims(tmp_path, seeds=2, progress=said.append)
    assert len(found) == 2 * len(recipe.ASKED)
    assert all(len(claim.ours) == 2 and 0 <= min(claim.ours) <= max(claim.ours) <= 1 for claim in found)
    assert len(list(tmp_path.glob(f"*/{CONFIG}"))) == 2 * len(recipe.OBJECTIVES)
    assert len({line.split(" on ")[1] for line in said if line.startswith("training")}) == 1
    # What is there is not trained again.
    monkeypatch.setattr(training, "train", None)
    assert recipe.claims(tmp_path, seeds=2) == found
    assert [(name, path) for name, _, path in card("crossvit").recipes] == [
        ("batchformer", "agents.models.crossvit.batchformer:claims")
    ]


def test_the_sets_of_the_recipe_are_balanced_before_they_are_cut_and_in_the_networks_size():
    pytest.importorskip("sklearn")
    data = recipe.digits(None)
    tail = recipe.TAILS[0]
    kept = long_tail(data.train[1], tail.imbalance, generator())
    counts = torch.bincount(data.train[1][kept]).tolist()
    assert counts == sorted(counts, reverse=True)
    assert 4 <= counts[-1] <= counts[0] / 15
    assert sum(counts) % tail.recipe.batch > 1
    assert CrossViT(tail.sizes)(data.test[0][:2]).shape == (2, 10)


# --- over agents


def table(kind="batchformer", *, moved=True):
    """A pool of three channels over four labels, its weights not those of the start."""
    pool = seeded(lambda: TrainedPool(("low", "middle", "high"), "ABCD", relation=kind), 3)
    if moved:
        with torch.no_grad():
            pool.of_beliefs.weigh += torch.randn(16, generator=generator(), dtype=torch.float64)
            pool.of_beliefs.log_prior.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1]).double().log())
    return pool.eval()


def said(count=5):
    return torch.softmax(2 * torch.randn(count, 3, 4, generator=generator(), dtype=torch.float64), -1)


@torch.inference_mode()
def test_the_layer_over_agents_is_its_formula():
    pool, beliefs = table(), said()
    part, everyone = pool.of_beliefs, torch.ones(5, 3).bool()
    logs = floored(beliefs).log()
    for case in range(5):
        tokens = (logs[case] - part.log_prior) @ part.read.weight.T + part.read.bias + part.own
        states = part.layer(tokens)
        plain = part.level + part.sureness * sureness(logs[case].exp()) + part.dissent * 0
        weights = functional.softplus(plain + states @ part.weigh)
        silent = torch.sigmoid(part.discount)[:, None]
        evidence = ((1 - silent) * logs[case].exp() + silent * part.log_prior.exp()).log() - part.log_prior
        want = torch.log_softmax(part.log_prior + (weights[:, None] * evidence).sum(0), -1)
        assert torch.allclose(pool(beliefs, everyone)[case], want, atol=1e-12)


@torch.inference_mode()
def test_an_agent_is_weighed_by_what_others_say_and_who_is_missing_says_nothing():
    beliefs, everyone = said(), torch.ones(5, 3).bool()
    other = beliefs.clone()
    other[:, 0] = other[:, 0].flip(-1)
    for kind, notices in (("batchformer", True), ("alone", False)):
        # Dissent, by which any pool notices others, starts at 0.
        part = table(kind).of_beliefs
        moved = (part.weights(other, everyone) - part.weights(beliefs, everyone)).abs()
        assert bool((moved[:, 1:] > 1e-6).all()) == notices
        without = everyone.clone()
        without[:, 0] = False
        assert torch.allclose(part(other, without), part(beliefs, without), atol=1e-12)
        assert bool((part.weights(beliefs, without)[:, 0] == 0).all())
        nobody = torch.log_softmax(part(beliefs, torch.zeros(5, 3).bool()), -1)
        assert torch.allclose(nobody.exp(), torch.tensor([0.4, 0.3, 0.2, 0.1]).double().expand(5, -1), atol=1e-12)
    start, plain = table(moved=False), TrainedPool(("low", "middle", "high"), "ABCD")
    assert torch.allclose(start(beliefs, everyone), plain(beliefs, everyone), atol=1e-12)


def test_it_is_saved_with_its_layer_and_others_are_as_they_were(tmp_path):
    # Made outside inference mode, as what is loaded is: torch multiplies by weights of either kind in another order.
    made = table()
    save_pool(tmp_path / "x", made)
    kept = load_pool(tmp_path / "x")
    everyone = torch.ones(5, 3).bool()
    with torch.inference_mode():
        assert torch.equal(kept(said(), everyone), made(said(), everyone))
        added = attributions(kept.of_beliefs, said()[0], everyone[0], 2)
        whole, nobody = (kept(said()[:1], everyone[:1] == there)[0, 2] for there in (True, False))
    assert float(added.sum()) == pytest.approx(float(whole - nobody), abs=1e-9)
    assert "relation" not in TrainedPool(("a",), "AB").sizes
    with pytest.raises(UnknownName, match="relation between samples"):
        TrainedPool(("a",), "AB", relation="friends")


def test_the_recipe_of_agents_fits_each_pool_to_the_same_and_claims(tmp_path):
    digits(tmp_path)
    found = related_claims.claims(tmp_path / "out", seeds=1, data=tmp_path)
    assert len(found) == len(related_claims.ASKED)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"digits-0", "batchformer-0", "alone-0"}
    assert load_pool(tmp_path / "out" / "batchformer-0").relation == "batchformer"
    assert not torch.equal(load_pool(tmp_path / "out" / "batchformer-0").of_beliefs.weigh, torch.zeros(16))
