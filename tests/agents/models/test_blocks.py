"""The family of encoders: attention and experts against their definitions in float64, what is shared, and costs, counted."""

import math
from dataclasses import replace

import pytest
import torch
from support.random_models import generator, shaken
from torch.utils.flop_counter import FlopCounterMode

from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig, aspect_ratio
from agents.models.blocks.cost import cost_of
from agents.models.blocks.encoder import EPSILON, Encoder
from agents.models.blocks.layers import Experts
from agents.models.blocks.words import PAD, UNKNOWN, Vocabulary, counted, padded, split

SMALL = EncoderConfig(width=8, layers=3, heads=2, head_width=6, hidden=12)
MIXED = replace(SMALL, experts=4, chosen=2)
KINDS = {
    "plain": SMALL,
    "albert": replace(SMALL, shared=True, own_norms=False),
    "own norms": replace(SMALL, shared=True),
    "experts": replace(MIXED, shared=True, own_norms=False),
    "widenet": replace(MIXED, shared=True),
    "twice": replace(SMALL, twice=True),
    "wide": aspect_ratio(12, 1, width=8, head_width=4, hidden=12),
}


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def normed(norm, x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + EPSILON).sqrt() * norm.weight + norm.bias


def linear(layer, x):
    y = x @ layer.weight.T
    return y if layer.bias is None else y + layer.bias


def attended(layer, x, keys):
    """One sequence [N, D], query by query, head by head, over the keys alone."""
    q, k, v = (linear(each, x) for each in (layer.q, layer.k, layer.v))
    width = q.shape[1] // layer.heads
    rows = []
    for query in range(len(x)):
        heads = []
        for head in range(layer.heads):
            part = slice(head * width, (head + 1) * width)
            scores = torch.stack([q[query, part] @ k[key, part] / math.sqrt(width) for key in keys])
            weights = (scores - scores.max()).exp()
            heads.append(sum(w * v[key, part] for w, key in zip(weights / weights.sum(), keys, strict=True)))
        rows.append(torch.cat(heads))
    return linear(layer.out, torch.stack(rows))


def forwarded(layer, x):
    y = linear(layer.down, gelu(linear(layer.up, x)))
    return gelu(y) if layer.twice else y


def mixed(layer, x):
    """A mixture, token by token: gates are probabilities of the router, and those of the others are not made up for."""
    rows = []
    for token in x:
        scores = layer.router.weight @ token
        gates = (scores - scores.max()).exp()
        gates = gates / gates.sum()
        best = sorted(range(len(gates)), key=lambda e: -gates[e])[: layer.config.chosen]
        rows.append(sum(gates[e] * forwarded(layer.experts[e], token) for e in best))
    return torch.stack(rows)


def defined(encoder, x, keys):
    config = encoder.config
    for layer in range(config.layers):
        block, norm = (0 if config.shared else layer), (layer if config.own_norms else 0)
        x = x + attended(encoder.attention[block], normed(encoder.before_attention[norm], x), keys)
        part = encoder.feed_forward[block]
        h = normed(encoder.before_feed_forward[norm], x)
        x = x + (mixed(part, h) if config.experts > 1 else forwarded(part, h))
    return normed(encoder.norm, x)


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_an_encoder_is_its_definition(kind):
    encoder = shaken(lambda: Encoder(KINDS[kind])).double().eval()
    x = torch.randn(2, 5, 8, dtype=torch.float64, generator=generator())
    context = torch.tensor([[True, False, True, True, False], [True] * 5])
    got = encoder(x, context=context)
    for row, seen in zip(range(2), context, strict=True):
        want = defined(encoder, x[row], seen.nonzero().flatten().tolist())
        torch.testing.assert_close(got[row], want, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_multiply_adds_are_as_counted(kind):
    config = KINDS[kind]
    encoder = Encoder(config).eval()
    cost = cost_of(config, 7)
    assert sum(each.numel() for each in encoder.parameters()) == cost.parameters
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        encoder(torch.randn(1, 7, config.width, generator=generator()))
    assert counter.get_total_flops() == 2 * cost.multiply_adds


def test_what_is_shared_is_one_and_norms_are_each_layers_own_or_not():
    count = {kind: cost_of(KINDS[kind], 1).parameters for kind in KINDS}
    assert count["own norms"] - count["albert"] == 2 * 4 * 8
    assert len(Encoder(KINDS["widenet"]).attention) == 1
    assert len(Encoder(KINDS["widenet"]).before_attention) == 3
    assert len(Encoder(KINDS["albert"]).before_attention) == 1


def test_a_wide_encoder_has_as_many_heads_in_all_and_less_than_half_the_parameters():
    """d = 128, heads of 32, d_ff = 512: six layers of 4 heads and one of 24, as in the paper's comparison."""
    deep, wide = (cost_of(aspect_ratio(24, layers, width=128, head_width=32, hidden=512), 64) for layers in (6, 1))
    assert wide.attention == deep.attention
    assert wide.feed_forward * 6 == deep.feed_forward
    assert (round(wide.parameters / 1e6, 3), round(deep.parameters / 1e6, 3)) == (0.528, 1.19)
    # A width that is shared out among more heads would be another claim: their width stays.
    assert aspect_ratio(24, 1, width=128, head_width=32, hidden=512).head_width == 32
    with pytest.raises(ConfigError, match="24 heads and 5 layers"):
        aspect_ratio(24, 5, width=128, head_width=32, hidden=512)


@torch.inference_mode()
def test_padding_changes_nothing():
    for kind in KINDS:
        encoder = shaken(lambda kind=kind: Encoder(KINDS[kind])).eval()
        x = torch.randn(2, 6, 8, generator=generator())
        there = torch.arange(6) < torch.tensor([[4], [6]])
        torch.testing.assert_close(encoder(x, there)[0, :4], encoder(x[:1, :4])[0], rtol=0, atol=2e-6)


def routed(layer, x, there=None):
    there = torch.ones(x.shape[:2], dtype=torch.bool) if there is None else there
    return layer(x, there)


@torch.inference_mode()
def test_balance_is_its_formula_and_one_where_all_are_served_alike():
    layer = shaken(lambda: Experts(MIXED)).double().eval()
    x = torch.randn(3, 5, 8, dtype=torch.float64, generator=generator())
    there = torch.arange(5) < torch.tensor([[5], [3], [1]])
    _, route = routed(layer, x, there)
    counts, probabilities = [0.0] * 4, [0.0] * 4
    for token in x[there]:
        p = torch.softmax(layer.router.weight @ token, 0)
        for e in p.topk(2).indices.tolist():
            counts[e] += 1
        probabilities = [a + b for a, b in zip(probabilities, p.tolist(), strict=True)]
    n = int(there.sum())
    want = 4 * sum(c / (2 * n) * p / n for c, p in zip(counts, probabilities, strict=True))
    assert float(route.balance) == pytest.approx(want, abs=1e-12)
    layer.router.weight.data.zero_()
    assert float(routed(layer, x)[1].balance) == pytest.approx(1.0)


@torch.inference_mode()
def test_capacity_leaves_tokens_out_in_training_alone_so_that_no_belief_depends_on_its_company():
    """The pitfall: with a capacity in use too, what a text comes to would change with the texts beside it."""
    torch.manual_seed(0)
    layer = shaken(lambda: Experts(replace(MIXED, capacity=0.5)))
    x = torch.randn(2, 6, 8, generator=generator())
    there = torch.ones(2, 6, dtype=torch.bool)
    layer.train()
    y, route = layer(x, there)
    served = layer._served(route.chosen)
    assert served.sum((0, 1)).max() <= math.floor(0.5 * 2 * 12 / 4)
    assert served.sum() < route.chosen.sum()
    # Whoever is left out keeps what it was: the layer adds nothing to it.
    assert not y[served.sum(-1) == 0].any()
    assert (served.sum(-1) == 0).any()
    layer.eval()
    torch.testing.assert_close(layer(x, there)[0][:1], layer(x[:1], there[:1])[0])
    assert torch.equal(layer._served(route.chosen), route.chosen)


def test_the_router_has_noise_of_one_over_the_number_of_experts_in_training_alone():
    layer = Experts(MIXED)
    layer.router.weight.data.zero_()
    x = torch.randn(1, 4000, 8, generator=generator())
    torch.manual_seed(0)
    with torch.inference_mode():
        _, route = routed(layer.train(), x)
        scores = route.probabilities.log()
        noise = scores - scores.mean(-1, keepdim=True)
        # The mean over four is taken off: three quarters of the variance are left.
        assert float(noise.std()) == pytest.approx(0.25 * math.sqrt(3 / 4), rel=0.03)
        assert routed(layer.eval(), x)[1].probabilities.unique().tolist() == [0.25]


@torch.inference_mode()
def test_routes_differ_between_layers_of_a_shared_block():
    encoder, routes = shaken(lambda: Encoder(KINDS["widenet"])).eval(), []
    encoder(torch.randn(2, 6, 8, generator=generator()), routes=routes)
    assert [route.chosen.sum(-1).unique().tolist() for route in routes] == [[2.0]] * 3
    assert not torch.equal(routes[0].chosen, routes[2].chosen)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"layers": 0}, "sizes are at least 1"),
        ({"experts": 2, "chosen": 3}, "chosen 3 of 2"),
        ({"own_norms": False}, "own_norms: false goes with shared: true"),
        ({"capacity": 1.2}, "of several experts; got 1.2 of 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        replace(SMALL, **wrong)


def test_words_are_numbers():
    assert split("It's 12*3=36, Öl_x!") == ["it", "'", "s", "1", "2", "*", "3", "=", "3", "6", ",", "öl", "_", "x", "!"]
    known = counted(["b a a", "b c", "a d d"], 4)
    assert known == (PAD, UNKNOWN, "a", "b")
    vocabulary = Vocabulary(known)
    assert vocabulary.numbers("a c b a", 3) == [2, 1, 3]
    assert vocabulary.numbers(" ", 3) == [1]
    assert padded([[1, 2], [3]]).tolist() == [[1, 2], [3, 0]]


# States of vit-pytorch 1.26.11's `vit_pytorch.mp3.Transformer` (two blocks, width 8, two heads of 4, 12 units) on the weights and
# tokens of `wave`: the first four numbers of the second token, with all tokens as keys, and with three of five, taken anew from
# each block's states.
PUBLISHED = {
    (0, 1, 2, 3, 4): (-3.2967909, -3.38134167, -2.5686415, -3.22911478),
    (0, 2, 3): (-3.34658121, -3.34828941, -2.58420284, -3.22488792),
}


def wave(*shape, start):
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * 0.37 + start).reshape(shape)


@pytest.mark.parametrize("keys", PUBLISHED)
@torch.inference_mode()
def test_blocks_are_those_of_a_published_mp3(keys):
    encoder = Encoder(EncoderConfig(8, 2, 2, 4, 12)).double().eval()
    numbers = iter(range(100))

    def weights(*shape):
        return 0.5 * wave(*shape, start=next(numbers))

    for layer in range(2):
        attention, forward = encoder.attention[layer], encoder.feed_forward[layer]
        before = encoder.before_attention[layer], encoder.before_feed_forward[layer]
        # In the published order; queries, keys and values have no biases there.
        before[0].weight.copy_(weights(8))
        before[0].bias.copy_(weights(8))
        attention.q.weight.copy_(weights(8, 8))
        for mine, part in zip((attention.k, attention.v), weights(16, 8).chunk(2), strict=True):
            mine.weight.copy_(part)
        for mine in (attention.q, attention.k, attention.v):
            mine.bias.zero_()
        for mine in (attention.out, before[1], forward.up, forward.down):
            mine.weight.copy_(weights(*mine.weight.shape))
            mine.bias.copy_(weights(*mine.bias.shape))
        for norm in before:
            norm.eps = 1e-5
    encoder.norm = torch.nn.Identity()
    context = torch.zeros(1, 5, dtype=torch.bool)
    context[0, list(keys)] = True
    found = encoder(2 * wave(1, 5, 8, start=0.5), context=context)[0, 1, :4]
    torch.testing.assert_close(found, torch.tensor(PUBLISHED[keys], dtype=torch.float64), rtol=0, atol=1e-7)
