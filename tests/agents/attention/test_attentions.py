"""Exchanged attentions against their definitions in float64, and what each has to be equal to."""

import math

import pytest
import torch

from agents.attention.combiner import Combiner, bidirectional
from agents.attention.harmonic import Harmonic, harmonic_numbers, slopes
from agents.attention.online import OnlineSoftmax
from agents.attention.options import attention_of
from agents.attention.probabilistic import Probabilistic
from agents.attention.row_attention import full_scores
from agents.errors import ConfigError, UnknownName

HEADS, WIDTH, SCALE = 3, 8, 8**-0.5
IDENTITIES = [
    "harmonic(share=1.0)", "probabilistic(block=4, exponent=0.0)", "probabilistic(block=4, scale=100.0)", "combiner(segment=1)",
    "combiner(segment=64)", "combiner(segment=1000000000000)", "clipped(gamma=0.0)", "hard(keys=32)",
    "hard(keys=1, layers=(1, 2))",
]  # fmt: skip


def states(length, dtype=torch.float64):
    draw = torch.Generator().manual_seed(length)
    return (torch.randn(3, HEADS, length, WIDTH, generator=draw, dtype=torch.float64) * 1.5).to(dtype).unbind()


def plain(q, k, v, causal=True):
    scores = SCALE * (q @ k.mT)
    if causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), -math.inf)
    return scores.softmax(-1) @ v


def whole(kind, q, k, v):
    return kind.attend(q, k, v, scaling=SCALE, layer=0, queries=q)


def weights_of(kind, q, k):
    """The matrix by which a kind mixes values, [H, L, L]: what it makes of unit vectors."""
    length = k.shape[1]
    return whole(kind, q, k, torch.eye(length, dtype=k.dtype).expand(HEADS, length, length))


@pytest.mark.parametrize("text", IDENTITIES)
@pytest.mark.parametrize("length", [1, 4, 13, 32])
def test_where_it_has_to_be_it_is_plain_attention(text, length):
    q, k, v = states(length, torch.float32)
    torch.testing.assert_close(whole(attention_of(text), q, k, v), plain(q, k, v), atol=1e-5, rtol=1e-5)


KINDS = [
    "harmonic(share=0.5)",
    "probabilistic(block=4, exponent=1.5)",
    "combiner(segment=4)",
    "combiner(segment=5, summaries=false)",
]


@pytest.mark.parametrize("text", KINDS)
def test_in_pieces_it_is_what_it_is_at_once_and_nothing_of_the_future_is_heard(text):
    kind = attention_of(text)
    q, k, v = states(23, torch.float32)
    at_once = whole(kind, q, k, v)
    start = 0
    for count in (1, 6, 1, 8, 3, 4):
        end = start + count
        piece = kind.attend(
            q[:, start:end], k[:, :end], v[:, :end], scaling=SCALE, layer=0, queries=q[:, :end]
        )  # fmt: skip
        torch.testing.assert_close(piece, at_once[:, start:end], atol=1e-5, rtol=1e-5)
        start = end
    weights = weights_of(kind, q, k)
    assert (weights.triu(1) == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(HEADS, 23), atol=1e-5, rtol=0)


def test_harmonic_is_its_formula():
    q, k, v = states(11)
    expected = torch.empty_like(q)
    for head in range(HEADS):
        slope = 2 ** (-8 * (head + 1) / HEADS)
        for i in range(11):
            scores = [
                0.7 * SCALE * float(q[head, i] @ k[head, j]) - 0.3 * slope * sum(1 / n for n in range(1, i - j + 1))
                for j in range(i + 1)
            ]
            expected[head, i] = torch.tensor(scores, dtype=torch.float64).softmax(0) @ v[head, : i + 1]
    torch.testing.assert_close(whole(Harmonic(0.7), q, k, v), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(harmonic_numbers(4), torch.tensor([0, 1, 1.5, 1.5 + 1 / 3]))
    torch.testing.assert_close(slopes(8), torch.tensor([2.0**-h for h in range(1, 9)]))


def test_clipped_is_its_formula_in_pieces_too_and_no_row_is_made_to_add_up():
    q, k, v = states(12)
    kind, expected = attention_of("clipped(gamma=-0.1, zeta=1.05)"), torch.zeros_like(q)
    for head in range(HEADS):
        for i in range(12):
            powers = [math.exp(SCALE * float(q[head, i] @ k[head, j])) for j in range(i + 1)]
            for j, power in enumerate(powers):
                expected[head, i] += min(1.0, max(0.0, 1.15 * power / sum(powers) - 0.1)) * v[head, j]
    torch.testing.assert_close(whole(kind, q, k, v), expected, atol=1e-5, rtol=1e-5)
    piece = kind.attend(q[:, 7:], k, v, scaling=SCALE, layer=0)
    torch.testing.assert_close(piece, expected[:, 7:], atol=1e-5, rtol=1e-5)
    weights = weights_of(kind, q, k)
    seen = torch.ones(12, 12, dtype=torch.bool).tril()
    assert (weights[:, seen] == 0).float().mean() > 0.1
    assert (weights[:, ~seen] == 0).all()
    assert float(weights.sum(-1).min()) < 0.95


def test_hard_attention_is_the_largest_shares_of_the_whole_softmax_and_no_row_is_made_to_add_up():
    q, k, v = states(12)
    kind, expected = attention_of("hard(keys=3)"), torch.zeros_like(q)
    heard = torch.zeros(HEADS, 12, dtype=torch.float64)
    for head in range(HEADS):
        for i in range(12):
            powers = [math.exp(SCALE * float(q[head, i] @ k[head, j])) for j in range(i + 1)]
            for j in sorted(range(i + 1), key=lambda j: (-powers[j], j))[:3]:
                expected[head, i] += powers[j] / sum(powers) * v[head, j]
                heard[head, i] += powers[j] / sum(powers)
    torch.testing.assert_close(whole(kind, q, k, v), expected, atol=1e-5, rtol=1e-5)
    piece = kind.attend(q[:, 7:], k, v, scaling=SCALE, layer=0)
    torch.testing.assert_close(piece, expected[:, 7:], atol=1e-5, rtol=1e-5)
    weights = weights_of(kind, q, k)
    torch.testing.assert_close(weights.sum(-1), heard, atol=1e-5, rtol=0)
    # Renormalised all of these would be 1.
    assert float(heard[:, 3:].mean()) < 0.95
    # K positions or fewer are heard as they were, and of equal shares the earlier.
    torch.testing.assert_close(whole(kind, q, k, v)[:, :3], plain(q, k, v)[:, :3], atol=1e-5, rtol=1e-5)
    weights = weights_of(kind, torch.zeros_like(q), k)
    assert (weights[:, -1] > 0).nonzero()[:, 1].tolist() == [0, 1, 2] * HEADS


def test_blocks_are_left_out_as_drawn_and_the_softmax_is_over_the_others():
    kind = Probabilistic(4, 1.0, 1.0, 3)
    q, k, v = states(18)
    scores = SCALE * (q @ k.mT)
    for i in range(18):
        for j in range(18):
            if j > i or not kind.takes_part(2, i // 4, j // 4):
                scores[:, i, j] = -math.inf
    found = kind.attend(q, k, v, scaling=SCALE, layer=2)
    torch.testing.assert_close(found, scores.softmax(-1) @ v, atol=1e-9, rtol=1e-9)
    # Some were left out, of each layer others, and as often as they should be.
    assert not all(kind.takes_part(2, i, j) for i in range(5) for j in range(i))
    drawn = [[kind.takes_part(layer, row, row - 3) for row in range(3, 400)] for layer in (0, 1)]
    assert drawn[0] != drawn[1]
    assert sum(map(sum, drawn)) / 794 == pytest.approx(kind.probability(3), abs=0.06)
    assert all(kind.takes_part(0, row, row) and not kind.takes_part(0, row, row + 1) for row in range(9))
    # However steep it falls.
    assert Probabilistic(4, 1.0, 1000.0, 3).probability(2) == 0
    assert kind.scores(18) == int((weights_of(kind, q, k)[0] > 0).sum())


def by_definition(q, k, v, size, causal):
    """Combiner-Fixed token by token: one softmax over the own segment and the summaries of others."""
    length, out = k.shape[1], torch.empty_like(v)
    ends = [(start, min(start + size, length)) for start in range(0, length, size)]
    for head in range(HEADS):
        for i in range(length):
            own = i // size
            logits, values = [], []
            for r, (start, end) in enumerate(ends):
                if r == own:
                    for j in range(start, i + 1 if causal else end):
                        logits.append(SCALE * float(q[head, i] @ k[head, j]))
                        values.append(v[head, j])
                elif r < own or not causal:
                    inside = (SCALE * k[head, start:end] @ q[head, start:end].mean(0)).softmax(0)
                    logits.append(SCALE * float(q[head, i] @ k[head, start:end].mean(0)))
                    values.append(inside @ v[head, start:end])
            out[head, i] = torch.tensor(logits, dtype=torch.float64).softmax(0) @ torch.stack(values)
    return out


@pytest.mark.parametrize(("length", "size"), [(1, 4), (4, 4), (12, 4), (14, 4), (15, 5)])
def test_combiner_is_its_definition_both_ways(length, size):
    q, k, v = states(length)
    torch.testing.assert_close(whole(Combiner(size), q, k, v), by_definition(q, k, v, size, True), atol=1e-9, rtol=1e-9)
    found = bidirectional(q, k, v, segment=size, scaling=SCALE)
    torch.testing.assert_close(found, by_definition(q, k, v, size, False), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 13, 40])
def test_combiner_both_ways_is_full_attention_with_one_segment_or_one_token_each(size):
    q, k, v = states(13)
    torch.testing.assert_close(
        bidirectional(q, k, v, segment=size, scaling=SCALE), plain(q, k, v, causal=False), atol=1e-9, rtol=1e-9
    )


def test_every_token_before_has_a_weight_and_the_local_baseline_sees_its_segment_alone():
    q, k, _ = states(17)
    weights = weights_of(Combiner(4), q, k)
    assert (weights.tril() > 0).sum() == HEADS * full_scores(17)
    local = weights_of(Combiner(4, summaries=False), q, k)
    assert (local[:, 9, :8] == 0).all()


def test_scores_are_counted():
    assert Combiner(64).scores(64) == full_scores(64) == Harmonic(0.5).scores(64)
    # m = 4, L = 12: 3 segments with 10 direct scores each, 4 × (0 + 1 + 2) summaries, and 8 scores inside two of them.
    assert Combiner(4).scores(12) == 30 + 12 + 8
    assert Combiner(4, summaries=False).scores(12) == 30
    assert Combiner(64).scores(4096) / full_scores(4096) < 1 / 30


def test_the_online_softmax_is_the_softmax_whatever_the_pieces():
    q, k, v = states(21)
    scores = SCALE * (q @ k.mT)
    scores[:, 2] = scores[:, 2].masked_fill(torch.arange(21) < 15, -math.inf)
    scores[:, 5] = -math.inf
    for size in (1, 4, 21):
        online = OnlineSoftmax(q.shape, torch.float64, q.device)
        for start in range(0, 21, size):
            online.add(scores[:, :, start : start + size], v[:, start : start + size])
        found = online.result()
        assert (found[:, 5] == 0).all()
        others = [row for row in range(21) if row != 5]
        torch.testing.assert_close(found[:, others], scores[:, others].softmax(-1) @ v, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "harmonic(share=0.0)", "harmonic(share=1.5)", "probabilistic(block=0)", "probabilistic(scale=0.0)",
        "probabilistic(exponent=-1.0)", "probabilistic(scale=1e999)", "combiner(segment=0)", "combiner(width=3)",
        "clipped(gamma=0.1)", "clipped(zeta=0.5)", "hard(keys=0)", "hard(layers=())", "hard(layers=(-1,))",
        "hard(layers=1)", "hard(layers=(0.5,))", "hard(layers=none_of_them)",
        "ecoformer",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(text):
    with pytest.raises(ConfigError):
        attention_of(text)


def test_an_unknown_attention_is_refused():
    with pytest.raises(UnknownName, match="combiner"):
        attention_of("combine")
