"""EcoFormer's attention, hashes and counts against definitions written token by token in float64, and what is refused."""

import math

import pytest
import torch

from agents.attention.ecoformer import EcoFormer
from agents.attention.hashing import Hash, Learning, similarities
from agents.attention.operations import Operations, ecoformer_operations, softmax_operations
from agents.attention.options import attention_of, encoder_attention_of
from agents.errors import ConfigError

BITS, ANCHORS = 3, 4
KIND, PUBLISHED = EcoFormer(BITS, ANCHORS), EcoFormer(BITS, ANCHORS, official_numerator=True)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hashed(heads=2, width=5, bits=BITS):
    torch.manual_seed(0)
    made = Hash(heads, width, bits=bits, anchors=ANCHORS).double()
    made.mean.copy_(0.5 + 0.1 * numbers(heads, ANCHORS))
    return made


def texts():
    """Keys of two texts with two heads, the second of which has two places of padding."""
    return numbers(2, 2, 9, 5), torch.arange(9) < torch.tensor([[9], [7]])


def weights_of(codes, there):
    """The matrix by which values are mixed, [..., N, N], by the quadratic definition."""
    products = (codes @ codes.mT + BITS + 1) * there[:, None, None, :]
    return products / products.sum(-1, keepdim=True)


def test_the_linear_way_is_the_quadratic_definition_and_rows_sum_to_one():
    keys, there = texts()
    codes, values = hashed()(keys, there), numbers(2, 2, 9, 6, seed=1)
    weights = weights_of(codes, there)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 9, dtype=torch.float64), atol=1e-15, rtol=0)
    found = KIND.attend(codes, values, there[:, None])
    torch.testing.assert_close(found, weights @ values, atol=1e-14, rtol=1e-13)
    assert (weights.masked_select(there[:, None, None, :].expand_as(weights)) > 0).all()
    torch.testing.assert_close(KIND.attend(codes[:1], values[:1]), found[:1], atol=1e-14, rtol=1e-13)
    assert found.dtype == torch.float64
    assert KIND.attend(codes, values.bfloat16()).dtype == torch.bfloat16


def test_the_published_numerator_has_the_tokens_own_value_and_rows_that_do_not_sum_to_one():
    keys, there = texts()
    codes, values = hashed()(keys, there), numbers(2, 2, 9, 6, seed=1)
    products = codes @ codes.mT
    mixed = (products * there[:, None, None, :]) @ values + (BITS + 1) * values
    below = ((products + BITS + 1) * there[:, None, None, :]).sum(-1, keepdim=True)
    found = PUBLISHED.attend(codes, values, there[:, None])
    for row, count in enumerate((9, 7)):
        want = (mixed / below)[row, :, :count]
        torch.testing.assert_close(found[row, :, :count], want, atol=1e-14, rtol=1e-13)
    of_ones = PUBLISHED.attend(codes, torch.ones_like(values))
    assert (of_ones - 1).abs().max() > 0.1


def test_codes_are_their_definition_and_padding_changes_none():
    keys, there = texts()
    made = hashed()
    found = made(keys, there)
    for row, count in enumerate((9, 7)):
        for head in range(2):
            unit = [key / math.sqrt(float(key @ key)) for key in keys[row, head, :count]]
            distances = torch.tensor(
                [[float((k - a) @ (k - a)) for a in made.anchors[head]] for k in unit], dtype=torch.float64
            )
            bandwidth = float(distances.sum()) / (count * ANCHORS)
            projected = ((-distances / (2 * bandwidth)).exp() - made.mean[head]) @ made.directions[head].T
            assert torch.equal(found[row, head, :count], torch.where(projected > 0, 1.0, -1.0).double())
    assert torch.equal(found[1:, :, :7], made(keys[1:, :, :7]))
    assert torch.equal(found, made(7.5 * keys, there))
    assert set(found.unique().tolist()) == {-1.0, 1.0}


def test_the_gradient_of_a_bit_is_that_of_the_number_behind_it_where_it_is_small():
    made, (keys, there) = hashed(), texts()
    made.directions.mul_(3)
    plain, straight = (keys.clone().requires_grad_() for _ in range(2))
    given = numbers(2, 2, 9, BITS, seed=4)
    behind = (made.kernel(plain, there) - made.mean[:, None]) @ made.directions.mT
    inside = behind.detach().abs() < 1
    assert 0 < inside.double().mean() < 1
    (behind * given * inside).sum().backward()
    (made(straight, there) * given).sum().backward()
    torch.testing.assert_close(straight.grad, plain.grad, atol=1e-13, rtol=1e-12)


def learned_by_definition(made, keys, there, learning):
    """Directions bit by bit, with a gradient by hand, text by text and head by head."""
    features = made.kernel(keys, there)
    counts = there.sum(-1).tolist()
    mean = torch.stack([features[row, :, :count].mean(1) for row, count in enumerate(counts)]).mean(0)
    labels = similarities(keys, there, learning.similar)
    parts = [
        [[features[row, head, :n] - mean[head], BITS * labels[row, head, :n, :n], n] for head in range(2)]
        for row, n in enumerate(counts)
    ]
    directions, kept = made.directions.clone(), 0

    def loss(of):
        total = 0.0
        for row in parts:
            for head, (k, left, n) in enumerate(row):
                y = torch.where(k @ of[head] > 0, 1.0, -1.0).double()
                total -= float(y @ left @ y) / (n * BITS)
        return total

    for bit in range(BITS):
        first = directions[:, bit].clone()
        then, speed = first.clone(), None
        for _ in range(learning.steps):
            gradient = torch.zeros_like(then)
            for row in parts:
                for head, (k, left, n) in enumerate(row):
                    share = 1 / (1 + torch.exp(-(k @ then[head])))
                    y, slope = 2 * share - 1, 2 * share * (1 - share)
                    gradient[head] -= k.T @ (slope * ((left + left.T) @ y)) / (n * BITS * len(parts) * 2)
            speed = gradient if speed is None else learning.momentum * speed + gradient
            then = then - learning.rate * (gradient + learning.momentum * speed)
        if loss(then) < loss(first):
            directions[:, bit], kept = then, kept + 1
        for row in parts:
            for head, part in enumerate(row):
                y = torch.where(part[0] @ directions[head, bit] > 0, 1.0, -1.0).double()
                part[1] = part[1] - torch.outer(y, y)
    return mean, directions, kept


def test_bits_are_learned_one_by_one_as_defined():
    keys, there = texts()
    made, learning = hashed(), Learning(similar=3, steps=8, rate=0.5)
    mean, directions, kept = learned_by_definition(made, keys, there, learning)
    assert kept
    made.fit(keys, there, learning)
    torch.testing.assert_close(made.mean, mean, atol=1e-14, rtol=1e-13)
    torch.testing.assert_close(made.directions, directions, atol=1e-12, rtol=1e-10)


def test_a_bit_that_learning_does_not_better_stays_as_it_was():
    keys, there = texts()
    made = hashed()
    first = made.directions.clone()
    made.fit(keys, there, Learning(similar=3, rate=0.0, steps=2))
    assert torch.equal(made.directions, first)
    made.fit(keys, there, Learning(similar=3, steps=2), bits=False)
    assert torch.equal(made.directions, first)


def test_learning_follows_its_generator_and_anchors_are_tokens_that_are_there():
    keys, there = texts()
    found = []
    for _ in range(2):
        made = hashed()
        made.learn(keys, there, Learning(similar=3, steps=4), torch.Generator().manual_seed(5))
        found.append(made)
    for one, other in zip(found[0].buffers(), found[1].buffers(), strict=True):
        assert torch.equal(one, other)
    unit = torch.nn.functional.normalize(keys, dim=-1).transpose(1, 2)[there]
    for anchor in made.anchors.transpose(0, 1):
        assert (anchor == unit).flatten(1).all(1).any()
    with pytest.raises(ConfigError, match="a hash of 4 anchors is learned from as many tokens at least; got 3"):
        made.learn(keys[:1], torch.arange(9)[None] < 3, Learning(), torch.Generator())


def test_labels_are_of_the_most_and_least_similar_tokens_of_a_text():
    keys, there = texts()
    unit = torch.nn.functional.normalize(keys, dim=-1)
    for itself in (True, False):
        labels = similarities(keys, there, 3, itself=itself)
        for row, count in enumerate((9, 7)):
            assert (labels[row, :, count:] == 0).all()
            assert (labels[row, :, :, count:] == 0).all()
            for token in range(count):
                others = [j for j in range(count) if itself or j != token]
                ranked = sorted(others, key=lambda j: -float(unit[row, 0, token] @ unit[row, 0, j]))
                want = [1.0 if j in ranked[:3] else -1.0 if j in ranked[-3:] else 0.0 for j in range(count)]
                assert labels[row, 0, token, :count].tolist() == want
    # Of three tokens one is similar and one is not: no pair is both.
    short = similarities(keys[:, :, :3], there[:, :3], 10)
    assert (short.sum(-1) == 0).all()
    assert (short.abs().sum(-1) == 2).all()


def test_hashes_of_published_code():
    """ziplab/EcoFormer @ a277f9e, pvt/hashing/ksh.py, `train_hashing_weight_woeig` in float64, from these keys and directions."""
    places = torch.arange(2 * 2 * 24 * 4, dtype=torch.float64)
    keys = (torch.sin(1.7 * places) + torch.sin(0.13 * places * places)).reshape(2, 2, 24, 4)
    made = Hash(2, 4, bits=4, anchors=6).double()
    made.anchors.copy_(torch.nn.functional.normalize(keys[0, :, :6], dim=-1))
    made.directions.copy_(torch.cos(2.3 * torch.arange(48, dtype=torch.float64)).reshape(2, 4, 6))
    made.fit(keys, torch.ones(2, 24, dtype=torch.bool), Learning())
    assert made.directions[0, :, 0].tolist() == pytest.approx(
        [1.0278377098861857, 0.30928587106567945, -0.7811230330551121, -0.8476291196356829], abs=1e-12
    )
    assert float(made.directions.sum()) == pytest.approx(0.6137465017151944, abs=1e-12)
    assert made.mean.sum(-1).tolist() == pytest.approx([3.7817187196520328, 3.7878854702529896], abs=1e-12)
    codes = ((made(keys)[1, 1] > 0).long() * 2 ** torch.arange(4)).sum(-1).tolist()
    assert codes == [8, 8, 8, 6, 7, 6, 7, 6, 3, 8, 3, 9, 7, 8, 14, 12, 12, 7, 6, 7, 1, 7, 3, 9]


class Counted(float):
    """A number that counts what is done with it."""

    def __new__(cls, value, count):
        made = super().__new__(cls, value)
        made.count = count
        return made

    def done(self, kind, value):
        self.count[kind] += 1
        return Counted(value, self.count)

    def __add__(self, other):
        return self.done("adds", float(self) + float(other))

    def __sub__(self, other):
        return self.done("adds", float(self) - float(other))

    def __mul__(self, other):
        return self.done("multiplies", float(self) * float(other))

    def signed(self, bit):
        return Counted(bit * float(self), self.count)


def scalars(count, *shape, seed):
    def of(rows):
        return Counted(rows, count) if isinstance(rows, float) else [of(row) for row in rows]

    return of(numbers(*shape, seed=seed).tolist())


def total(values):
    found = values[0]
    for value in values[1:]:
        found = found + value
    return found


def dot(a, b):
    return total([x * y for x, y in zip(a, b, strict=True)])


def scalar_ecoformer(tokens, width, kind):
    """One head in scalars, every operation as it is counted; a product with a bit takes its sign alone."""
    count = {"multiplies": 0, "adds": 0, "others": 0}
    keys, values = (scalars(count, tokens, width, seed=seed) for seed in (1, 2))
    made = hashed(1, width)
    anchors, directions = made.anchors[0].tolist(), made.directions[0].tolist()
    unit = []
    for key in keys:
        length = dot(key, key)
        root = length.done("others", math.sqrt(length))
        inverse = root.done("others", 1 / root)
        unit.append([x * inverse for x in key])
    distances = []
    for key in unit:
        own = dot(key, key)
        distances.append([own + sum(x * x for x in a) - dot(key, a) * 2.0 for a in anchors])
    summed = total([each for row in distances for each in row])
    rate = summed.done("others", -tokens * ANCHORS / (2 * summed))
    bits = []
    for row in distances:
        powers = [each * rate for each in row]
        features = [
            power.done("others", math.exp(power)) - mean
            for power, mean in zip(powers, made.mean[0].tolist(), strict=True)
        ]
        behind = [dot(features, direction) for direction in directions]
        bits.append([1.0 if each.done("others", each) > 0 else -1.0 for each in behind])
    columns = list(zip(*values, strict=True))
    context = [
        [total([v.signed(row[bit]) for v, row in zip(column, bits, strict=True)]) for column in columns]
        for bit in range(BITS)
    ]
    codes = [total([Counted(row[bit], count) for row in bits]) for bit in range(BITS)]
    constant = Counted(BITS + 1, count)
    always = constant * tokens
    rest = None if kind.official_numerator else [total(column) * constant for column in columns]
    found = []
    for row, value in zip(bits, values, strict=True):
        own = [v * constant for v in value] if rest is None else rest
        above = [
            total([context[bit][channel].signed(row[bit]) for bit in range(BITS)]) + own[channel]
            for channel in range(width)
        ]
        below = total([each.signed(bit) for each, bit in zip(codes, row, strict=True)]) + always
        inverse = below.done("others", 1 / below)
        found.append([float(each * inverse) for each in above])
    made_codes = made(numbers(1, 1, tokens, width, seed=1))
    return (
        count,
        torch.tensor(found, dtype=torch.float64),
        kind.attend(made_codes, numbers(1, 1, tokens, width, seed=2))[0, 0],
    )


def scalar_softmax(tokens, width):
    count = {"multiplies": 0, "adds": 0, "others": 0}
    queries, keys, values = (scalars(count, tokens, width, seed=seed) for seed in (1, 2, 3))
    found = []
    for query in queries:
        scores = [dot(query, key) * width**-0.5 for key in keys]
        largest = scores[0]
        for score in scores[1:]:
            largest = score.done("others", max(score, largest))
        powers = [(each := score - largest).done("others", math.exp(each)) for score in scores]
        below = total(powers)
        inverse = below.done("others", 1 / below)
        found.append([float(dot(column, powers) * inverse) for column in zip(*values, strict=True)])
    q, k, v = (numbers(tokens, width, seed=seed) for seed in (1, 2, 3))
    return count, torch.tensor(found, dtype=torch.float64), (q @ k.T * width**-0.5).softmax(-1) @ v


@pytest.mark.parametrize("kind", [KIND, PUBLISHED])
@pytest.mark.parametrize(("tokens", "width"), [(5, 3), (2, 4)])
def test_ecoformers_operations_are_counted_of_scalars(kind, tokens, width):
    count, found, want = scalar_ecoformer(tokens, width, kind)
    assert Operations(**count) == ecoformer_operations(tokens, width, kind)
    torch.testing.assert_close(found, want, atol=1e-12, rtol=1e-11)


def test_a_softmaxs_operations_are_counted_of_scalars():
    count, found, want = scalar_softmax(5, 3)
    assert Operations(**count) == softmax_operations(5, 3)
    torch.testing.assert_close(found, want, atol=1e-12, rtol=1e-11)


def test_operations_grow_by_as_many_with_every_token_and_energy_is_a_sum():
    for kind in (EcoFormer(), EcoFormer(official_numerator=True)):
        first, second, third = (ecoformer_operations(n, 16, kind) for n in (10, 110, 210))
        for what in ("multiplies", "adds", "others"):
            assert getattr(third, what) - getattr(second, what) == getattr(second, what) - getattr(first, what)
    assert Operations(10, 100, 1000).energy_pj == pytest.approx(10 * 3.7 + 100 * 0.9)
    assert softmax_operations(1024, 16).multiplies > 30 * ecoformer_operations(1024, 16, EcoFormer()).multiplies


def test_a_causal_model_and_other_attentions_are_refused():
    with pytest.raises(ConfigError, match="a causal model may not: give it to an encoder"):
        attention_of("ecoformer(bits=8)")
    assert encoder_attention_of("ecoformer(bits=8, official_numerator=true)") == EcoFormer(8, 25, True)
    with pytest.raises(ConfigError, match="'combiner' is none of an encoder's layers: write ecoformer"):
        encoder_attention_of("combiner")
    for text in ("ecoformer(bits=0)", "ecoformer(anchors=0)", "ecoformer(heads=2)", "ecoformer(bits=1.5)"):
        with pytest.raises(ConfigError):
            encoder_attention_of(text)
