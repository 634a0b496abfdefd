"""Exact modes and conditional beam search: against enumeration, and where they part from what they are taken for."""

import itertools
import math

import pytest
import torch
from support.chains import END, LONGEST, Chain, beam, exact_q

from agents.decoding.acbs import ConditionalBeam, _descending, loops
from agents.decoding.modes import exact_mode
from agents.errors import ConfigError


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("length", [None, 0, 1, 3, 5])
def test_the_exact_mode_is_the_likeliest_of_all_texts(seed, length):
    model = Chain(seed)
    every = model.every_text(range(LONGEST + 1) if length is None else [length])
    best = max(every, key=every.get)
    model.asked = 0
    found = exact_mode(model, {END}, longest=LONGEST, length=length)
    assert found.tokens == best
    assert found.log_probability == pytest.approx(every[best], abs=1e-12)
    assert found.prefixes == model.asked
    whole = sum(4**n for n in range((LONGEST if length is None else length) + 1))
    assert found.prefixes < whole or length in (0, 1), "nothing was pruned"


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ConfigError, match="not found within 10 prefixes"):
        exact_mode(Chain(0), {END}, longest=LONGEST, length=5, most_prefixes=10)
    with pytest.raises(ConfigError, match="from 0 to 5 tokens; got length 6"):
        exact_mode(Chain(0), {END}, longest=LONGEST, length=6)
    never = torch.tensor([-math.inf, 0.0, 0.0]).log_softmax(0)
    assert exact_mode(lambda prefix: never, {0}, longest=2) is None


@pytest.mark.parametrize("seed", range(6))
def test_a_little_junk_is_the_mode_of_all_and_not_of_a_length(seed):
    """Two texts of a hundred are empty: no single good text is as likely, though samples are good 98 times of 100."""
    clean, stained = Chain(seed, junk=1e-9), Chain(seed, junk=0.02)
    assert (
        exact_mode(stained, {END}, longest=LONGEST, length=4).tokens
        == exact_mode(clean, {END}, longest=LONGEST, length=4).tokens
    )
    wide = Chain(seed, junk=0.02, size=40)
    best = exact_mode(wide, {END}, longest=4)
    assert best.tokens == ()
    given = exact_mode(wide, {END}, longest=4, length=3)
    assert len(given.tokens) == 3
    assert given.log_probability < best.log_probability
    greedy, prefix = 0.0, ()
    for _ in range(3):
        likely = wide(prefix)
        likely[END] = -math.inf
        token = int(likely.argmax())
        greedy, prefix = greedy + float(likely[token]), (*prefix, token)
    assert given.log_probability >= greedy + float(wide(prefix)[END])


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_exact_mode_of_a_length_and_a_narrow_one_no_better(seed):
    model = Chain(seed)
    exact = exact_mode(model, {END}, longest=LONGEST, length=4)
    wide = beam(model, ConditionalBeam(width=64, least=4, most=4), considered=4**4)
    assert wide.tokens == (*exact.tokens, END)
    assert wide.log_probability == pytest.approx(exact.log_probability, abs=1e-12)
    assert (wide.kept, wide.finish) == (4, "stop")
    narrow = beam(model, ConditionalBeam(width=1, least=4, most=4))
    assert narrow.kept == 4
    assert narrow.log_probability <= exact.log_probability + 1e-12
    assert narrow.log_probability == pytest.approx(model.log_probability(narrow.tokens[:-1]), abs=1e-12)


def test_it_is_no_search_by_log_probability_a_token():
    """Of the texts of one to four tokens the short one is the likeliest, and a long one is likelier a token."""
    after = {1: [0.9, 0.05, 0.05], 2: [0.01, 0.04, 0.95]}

    def model(prefix):
        if not prefix:
            return torch.tensor([0.16, 0.49, 0.35]).double().log()
        return torch.tensor(after[prefix[0]] if len(prefix) < 4 else [0.98, 0.01, 0.01]).double().log()

    def likely(text):
        return sum(float(model(text[:at])[token]) for at, token in enumerate((*text, END)))

    texts = [text for n in range(1, 5) for text in itertools.product((1, 2), repeat=n)]
    assert max(texts, key=lambda text: likely(text) / (len(text) + 1)) == (2, 2, 2, 2)
    assert max(texts, key=likely) == (1,)
    assert beam(model, ConditionalBeam(width=8, least=1, most=4)).tokens == (1, END)


def test_q_steers_a_narrow_beam_to_what_it_would_have_thrown_away():
    """Ranked by log p alone a beam of one keeps the likelier beginning, behind which nothing ends in time; q knows."""
    ending, going = [0.9, 0.05, 0.05], [0.001, 0.4995, 0.4995]

    def model(prefix):
        if not prefix:
            return torch.tensor([0.01, 0.6, 0.39]).double().log()
        return torch.tensor(ending if prefix[0] == 2 else going).double().log()

    def q(prefix):
        return exact_q(model, lambda text: 1 <= len(text) <= 3, prefix, longest=3)

    settings = ConditionalBeam(width=1, least=1, most=3)
    plain = beam(model, settings, limit=4)
    steered = beam(model, settings, limit=4, q=q, considered=2)
    exact = max(
        (exact_mode(model, {END}, longest=3, length=n) for n in (1, 2, 3)), key=lambda mode: mode.log_probability
    )
    assert steered.tokens == (*exact.tokens, END) == (2, END)
    assert plain.log_probability < steered.log_probability


@pytest.mark.parametrize("seed", range(4))
def test_q_decides_among_more_than_are_kept_and_the_text_by_its_probability(seed):
    model = Chain(seed)

    def wanted(text):
        return len(text) == 4 and text.count(3) >= 2

    def q(prefix):
        return exact_q(model, wanted, prefix)

    found = beam(model, ConditionalBeam(width=4, least=4, most=4), q=q, considered=16)
    plain = beam(model, ConditionalBeam(width=4, least=4, most=4), considered=16)
    assert sum(map(wanted, ([*found.tokens[:-1]],))) >= sum(map(wanted, ([*plain.tokens[:-1]],)))
    assert wanted(found.tokens[:-1])


def test_a_loop_is_given_up_and_three_is_a_loop():
    assert loops((1, 2, 1, 2, 1, 2), 1)
    assert loops((9, 1, 2, 1, 2, 1, 2), 2)
    assert not loops((1, 2, 1, 2, 1), 1)
    assert not loops((7, 7, 7), 2)
    assert not loops((7, 7, 7), 0)
    assert loops((7,) * 6, 2)

    def model(prefix):
        return torch.tensor([0.05, 0.9, 0.05] if len(prefix) < 9 else [0.9, 0.05, 0.05]).double().log()

    looping = beam(model, ConditionalBeam(width=2, least=9), limit=12)
    assert looping.tokens[:9] == (1,) * 9
    other = beam(model, ConditionalBeam(width=8, least=9, loop=1), limit=12)
    assert not any(loops(other.tokens[:at], 1) for at in range(len(other.tokens)))
    assert other.finish == "stop"


def test_a_stop_string_completes_a_text_before_it():
    """The text ends before the string, as long as that leaves enough of it."""
    model = Chain(1)

    def cut(tokens):
        return len(tokens) - 2 if tuple(tokens[-2:]) == (2, 3) else None

    found = beam(model, ConditionalBeam(width=64, least=1, most=4), cut=cut, considered=4**4)
    every = {text: p for text, p in model.every_text(range(1, 5)).items() if (2, 3) not in itertools.pairwise(text)}
    ended = max(every, key=every.get)
    stopped = {
        (*text, 2, 3): model.log_probability((*text, 2, 3)) - float(model((*text, 2, 3))[END])
        for n in (1, 2)
        for text in itertools.product(range(1, 5), repeat=n)
        if (2, 3) not in itertools.pairwise((*text, 2))
    }
    best = max(stopped, key=stopped.get)
    if stopped[best] > every[ended]:
        assert (found.tokens, found.kept) == (best, len(best) - 2)
    else:
        assert (found.tokens, found.kept) == ((*ended, END), len(ended))


def test_where_no_text_is_complete_the_limit_cuts_it_off():
    never = torch.tensor([1e-300, 0.7, 0.3]).double().log()
    never[END] = -math.inf
    found = beam(lambda prefix: never, ConditionalBeam(width=2), limit=3)
    assert (found.tokens, found.kept, found.finish) == ((1, 1, 1), 3, "length")


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"width": 0}, "between 1 and 64"),
        ({"least": -1}, "at least 0"),
        ({"weight": math.inf}, "at least 0"),
        ({"most": -1}, "at least 1"),
        ({"least": 5, "most": 4}, "not below least"),
    ],
)
def test_what_cannot_be_asked(settings, part):
    with pytest.raises(ConfigError, match=part):
        ConditionalBeam(**settings)


@pytest.mark.parametrize("seed", range(4))
def test_continuations_come_in_order_and_equals_by_their_place(seed):
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 9, (200,), generator=draw).double()
    scores[::7] = -math.inf
    ordered = torch.sort(scores, descending=True, stable=True)
    assert list(_descending(scores, 3)) == list(zip(ordered.values.tolist(), ordered.indices.tolist(), strict=True))
