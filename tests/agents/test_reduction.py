"""Dropping and merging positions of a message: against a plain loop in float64, and what a reduced message keeps."""

import math
import pickle
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.byte_tokens import ByteTokenizer
from agents.errors import ConfigError, MessageError, MessageMismatch, UnknownName
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from agents.reduction import kept_of, reduced, reduction
from agents.rerender import rerender

V, D, K = 30, 6, 3
MODEL = ModelFingerprint("m", "table", "tokenizer", V, D)
SHARES = (0.01, 0.25, 0.5, 0.75, 0.99)


def message(count, *, seed=0, dtype=torch.float32, width=D, kept=K, rendered=False):
    """Return a random message whose vectors and kept beliefs are of one table."""
    draw = torch.Generator().manual_seed(seed)
    table = torch.randn(V, D, generator=draw)
    beliefs = torch.softmax(3 * torch.randn(count, V, generator=draw), dim=1)
    weights, ids = beliefs.topk(kept, dim=1)
    entropy = -(beliefs * beliefs.log()).sum(dim=1)
    nearest = torch.randint(V, (count,), generator=draw)
    other = {"other": torch.randn(count, 4, generator=draw).to(dtype)} if rendered else {}
    vectors = (beliefs @ table)[:, :width].to(dtype)
    cipher = Cipher(vectors, nearest, entropy, beliefs.amax(dim=1), ids, weights, other)
    model = MODEL if width == D else ModelFingerprint("m", "", "tokenizer", V, width)
    return Message("said", model, 1.0, tuple(nearest.tolist()), "expectation", cipher)


def cosine(one, two):
    dot = sum(x * y for x, y in zip(one, two, strict=True))
    lengths = math.sqrt(sum(x * x for x in one)) * math.sqrt(sum(y * y for y in two))
    return dot / lengths if lengths else 0.0


def dropped_in_a_loop(said, keep, by):
    """Return the positions that are left, by taking away the worst one after the other."""
    rows, entropy = said.cipher.vectors.double().tolist(), said.cipher.entropy.double().tolist()
    worth = {
        "entropy": lambda place: entropy[place],
        "certainty": lambda place: -entropy[place],
        "similarity": lambda place: -cosine(rows[place - 1], rows[place]) if place else math.inf,
    }[by]
    left = list(range(len(rows)))
    while len(left) > max(1, math.ceil(keep * len(rows))):
        worst = min(map(worth, left))
        left.remove(max(place for place in left if worth(place) == worst))
    return left


def merged_in_a_loop(said, keep):
    """Return groups of positions: the mean of each pair of neighbours is computed anew at each step."""
    rows = said.cipher.vectors.double().tolist()
    groups = [[place] for place in range(len(rows))]

    def mean(group):
        return [sum(rows[place][at] for place in group) / len(group) for at in range(len(rows[0]))]

    while len(groups) > max(1, math.ceil(keep * len(rows))):
        alike = [cosine(mean(one), mean(two)) for one, two in pairwise(groups)]
        place = alike.index(max(alike))
        groups[place : place + 2] = [groups[place] + groups[place + 1]]
    return groups


@pytest.mark.parametrize("keep", SHARES)
@pytest.mark.parametrize("by", ["entropy", "certainty", "similarity"])
@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_what_is_dropped_is_what_a_loop_drops(count, by, keep):
    said = message(count, seed=count)
    groups = reduction(f"drop(keep={keep}, by={by})").groups(said)
    assert [place for (place,) in groups] == dropped_in_a_loop(said, keep, by)
    left = reduced(said, groups).cipher
    for name, tensor in said.cipher.tensors().items():
        assert torch.equal(left.tensors()[name], tensor[[place for (place,) in groups]]), name


@pytest.mark.parametrize("keep", SHARES)
@pytest.mark.parametrize("count", [1, 2, 7, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_merged_is_what_a_loop_merges(count, keep, dtype):
    said = message(count, seed=count, dtype=dtype, rendered=True)
    groups = reduction(f"merge(keep={keep})").groups(said)
    assert [list(group) for group in groups] == merged_in_a_loop(said, keep)
    left = reduced(said, groups).cipher
    for at, group in enumerate(groups):
        for one, many in ((left.vectors, said.cipher.vectors), (left.rendered["other"], said.cipher.rendered["other"])):
            exact = [sum(many[p, d].double().item() for p in group) / len(group) for d in range(many.shape[1])]
            assert torch.equal(one[at].double(), torch.tensor(exact, dtype=torch.float64).to(dtype).double())
        belief = {}
        shares = said.cipher.top_probabilities
        masses = {place: sum(shares[place].tolist()) for place in group}
        for place in group:
            for token, share in zip(said.cipher.top_ids[place].tolist(), shares[place].tolist(), strict=True):
                weight = share / masses[place] * min(masses.values())
                belief[token] = belief.get(token, 0.0) + weight / len(group)
        found = zip(left.top_ids[at].tolist(), left.top_probabilities[at].tolist(), strict=True)
        assert {token: share for token, share in found if share} == pytest.approx(belief, abs=1e-7)
        likeliest = max(belief, key=lambda token: (belief[token], -token))
        assert int(left.nearest[at]) == (likeliest if len(group) > 1 else int(said.cipher.nearest[group[0]]))


@pytest.mark.parametrize("rule", ["drop(keep=1, by=entropy)", "drop(keep=1.0, by='random')", "merge(keep=1)"])
def test_all_of_a_message_is_the_message_itself(rule):
    said = message(9)
    assert reduced(said, reduction(rule).groups(said)) is said


def test_a_merged_belief_is_rendered_as_the_mean_of_the_vectors():
    """Where beliefs are kept whole, a hearer's table gives the mean of what it would give of each position."""
    said = message(8, kept=V)
    left = reduced(said, reduction("merge(keep=0.5)").groups(said))
    table = torch.randn(V, 5, generator=torch.Generator().manual_seed(9))
    hearer = ModelFingerprint("h", "its table", "tokenizer", V, 5)
    whole, fewer = rerender(said, table, hearer), rerender(left, table, hearer)
    groups = reduction("merge(keep=0.5)").groups(said)
    torch.testing.assert_close(fewer, torch.stack([whole[list(group)].mean(dim=0) for group in groups]))


def truncated(masses):
    """Return a message of two kept tokens a position, which carry so much of each belief."""
    ids = torch.tensor([[2 * place, 2 * place + 1] for place in range(len(masses))])
    weights = torch.tensor([[0.75 * mass, 0.25 * mass] for mass in masses])
    count = len(masses)
    cipher = Cipher(torch.ones(count, D), ids[:, 0], torch.ones(count), weights[:, 0], ids, weights)
    return Message("said", MODEL, 1.0, tuple(ids[:, 0].tolist()), "expectation", cipher)


def test_truncated_beliefs_weigh_alike_on_another_table():
    """Positions of which 0.92 and 0.99 were kept: what is rendered is the mean of what is rendered of each."""
    said = truncated([0.92, 0.99, 0.95])
    table = torch.randn(V, 5, generator=torch.Generator().manual_seed(9))
    hearer = ModelFingerprint("h", "its table", "tokenizer", V, 5)
    whole, fewer = rerender(said, table, hearer), rerender(reduced(said, ((0, 1, 2),)), table, hearer)
    torch.testing.assert_close(fewer, whole.mean(dim=0, keepdim=True))


def test_a_mean_is_rendered_only_where_each_of_its_positions_is():
    said = truncated([1.0, 1.0, 0.85])
    table, hearer = torch.ones(V, 5), ModelFingerprint("h", "its table", "tokenizer", V, 5)
    for groups in (((0,), (1,), (2,)), ((0,), (1, 2)), ((0, 1, 2),)):
        with pytest.raises(MessageMismatch, match="carry 0.85 of the probability"):
            rerender(reduced(said, groups), table, hearer)
    assert len(rerender(reduced(said, ((0, 1),)), table, hearer)) == 1
    # Nothing was kept of one: nothing is made of the other's.
    with pytest.raises(MessageMismatch, match="carry 0.00 of the probability"):
        rerender(reduced(truncated([1.0, 0.0]), ((0, 1),)), table, hearer)


def test_positions_count_in_the_part_that_is_heard():
    stored = replace(message(9), thinking="hm", thinking_tokens=4)
    for part, count in ((stored.answer, 5), (stored.whole, 9)):
        left = reduced(part, reduction("drop(keep=0.5, by=random)").groups(part))
        assert (part.num_tokens, left.num_tokens) == (count, (count + 1) // 2)
    with pytest.raises(MessageError, match=r"give message\.answer, or message\.whole"):
        reduced(stored, ((0,),))


def test_beliefs_without_vectors_are_compared_by_their_kept_tokens():
    ids = torch.tensor([[1, 2], [3, 4], [3, 4], [5, 1]])
    weights = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2], [0.5, 0.5]])
    cipher = Cipher(torch.zeros(4, 0), ids[:, 0], torch.ones(4), weights[:, 0], ids, weights)
    said = Message("said", ModelFingerprint("m", "", "k", V, 0), 1.0, (1, 3, 3, 5), "expectation", cipher)
    assert reduction("merge(keep=0.75)").groups(said) == ((0,), (1, 2), (3,))
    assert reduction("drop(keep=0.75, by=similarity)").groups(said) == ((0,), (1,), (3,))


@given(st.integers(0, 60), st.floats(0.001, 1), st.sampled_from(["drop", "merge", "random"]), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_a_reduced_message_is_a_message_of_its_length(count, keep, kind, seed):
    said = message(count, seed=seed)
    rule = (
        f"merge(keep={keep})"
        if kind == "merge"
        else f"drop(keep={keep}, by={'random' if kind == 'random' else 'entropy'})"
    )
    groups = reduction(rule).groups(said)
    left = reduced(said, groups)
    assert len(left.cipher) == left.num_tokens == len(groups) == kept_of(count, keep)
    positions = [place for group in groups for place in group]
    assert positions == sorted(set(positions))
    assert (positions == list(range(count))) or kind != "merge"
    assert (len(groups) >= 1) == (count >= 1)


def test_a_share_is_rounded_up_and_no_rounding_error_counts():
    assert [kept_of(100, share) for share in (0.07, 0.29, 0.57, 1.0, 0.001)] == [7, 29, 57, 100, 1]
    assert [kept_of(count, 0.5) for count in range(6)] == [0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("kind", ["drop(keep=1e-10, by=entropy)", "merge(keep=1e-10)"])
def test_one_position_is_heard_however_small_the_share(kind):
    for count in (0, 1, 7):
        said, rule = message(count), reduction(kind)
        assert len(rule.groups(said)) == rule.most(count) == min(count, 1)
        assert reduced(said, rule.groups(said)).num_tokens == min(count, 1)


def test_random_positions_follow_from_the_message_and_the_seed():
    one, two = message(40, seed=1), message(40, seed=2)
    rule = reduction("drop(keep=0.5, by=random)")
    assert rule.groups(one) == rule.groups(message(40, seed=1)) != rule.groups(two)
    assert reduction("drop(keep=0.5, by=random, seed=1)").groups(one) != rule.groups(one)
    # Neither the last bits of a vector nor a temperature or a table for another hearer draw anew.
    noisy = replace(one.cipher, vectors=one.cipher.vectors * (1 + 1e-6), rendered={"other": torch.ones(40, 2)})
    again = replace(one, cipher=noisy, temperature=0.3, text="read otherwise")
    assert again.digest != one.digest
    assert rule.groups(again) == rule.groups(one)


def test_a_tokenizer_reads_what_is_left():
    tokenizer = ByteTokenizer()
    ids = tuple(b"abcdef")
    zeros = torch.zeros(6)
    cipher = Cipher(
        torch.ones(6, 2), torch.tensor(ids), torch.arange(6.0), zeros, torch.zeros(6, 0).long(), torch.zeros(6, 0)
    )
    said = Message("abcdef", ModelFingerprint("m", "t", "k", 300, 2), 1.0, ids, "expectation", cipher)
    left = reduced(said, reduction("drop(keep=0.5, by=entropy)").groups(said), tokenizer=tokenizer)
    assert (left.text, left.token_ids) == ("def", tuple(b"def"))
    # Of a merged position without kept beliefs the nearest token is that of the surest, of equals the first.
    assert reduced(said, ((0, 1), (2, 3, 4, 5)), tokenizer=tokenizer).text == "ac"


def test_what_a_config_writes_is_read_and_written_back():
    rule = reduction("drop(keep=0.5, by=entropy)")
    assert rule.text == "drop(keep=0.5, by='entropy')"
    assert reduction(rule.text) == rule
    assert (rule.most(40), rule.most(1), rule.most(0)) == (20, 1, 0)
    assert reduction("none") is None
    said = message(10)
    left = rule.groups(said)
    # After it was used, too.
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert pickle.loads(pickle.dumps(rule)).groups(said) == left
    for wrong, sentence in (
        ("drop", "needs the parameter 'keep'"),
        ("merge(keep=0)", "keep is a share above 0 and at most 1; got 0"),
        ("merge(keep=1.5)", "got 1.5"),
        ("merge(keep=0.5, by=entropy)", "reduction 'merge' has no parameter 'by'"),
        ("drop(keep=0.5, by=entropie)", "cannot read the reduction"),
        ("drop(keep=0.5, by='entropie')", "unknown criterion 'entropie'.*Did you mean 'entropy'"),
        ("drop(keep='half')", "keep must be a number; got 'half'"),
        ("drop(keep=true)", "keep must be a number; got True"),
    ):
        with pytest.raises((ConfigError, UnknownName), match=sentence):
            reduction(wrong)
    with pytest.raises(UnknownName, match="unknown reduction 'dorp'.*Did you mean 'drop'"):
        reduction("dorp(keep=0.5)")
