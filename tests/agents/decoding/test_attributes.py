"""The classifier of a conditional beam: against enumeration on a chain whose attributes are known, and what it refuses."""

import itertools
import json
import math
import os

import pytest
import torch
from support.chains import END, Chain, beam, exact_q

from agents.decoding.acbs import ConditionalBeam, loops
from agents.decoding.attributes import FORMAT, AttributeClassifier, cells, read_classifier, refusal, write_classifier
from agents.decoding.rules import parse_decoding
from agents.errors import ConfigError
from agents.fingerprint import ModelFingerprint
from agents.models.acbs.samples import Prefixes, Sampled, fit, known_of, surprise

HORIZON, LOOP = 6, 1
MODEL = ModelFingerprint("chain", table="t", tokenizer="k", vocabulary=5, width=10, weights="w")


def state(prefix):
    """Return all that a chain knows of a prefix: its last two tokens."""
    two = [0, 0, *prefix][-2:]
    return torch.nn.functional.one_hot(torch.tensor(two), 5).flatten().float()


def drawn(chain, generator, longest):
    tokens = []
    while len(tokens) <= longest:
        token = int(torch.multinomial(chain(tokens).exp(), 1, generator=generator))
        if token == END:
            return Sampled((), tuple(tokens), True)
        tokens.append(token)
    return Sampled((), tuple(tokens[:longest]), False)


@pytest.fixture(scope="module")
def trained():
    """Return a chain and a classifier of its samples, of which a tenth are cut off at the horizon."""
    chain, generator = Chain(0), torch.Generator().manual_seed(0)
    texts = [drawn(chain, generator, HORIZON) for _ in range(3000)]
    assert 0.02 < sum(not text.complete for text in texts) / len(texts) < 0.5
    states, known = [], []
    for text in texts:
        places = known_of(text, HORIZON, LOOP)
        states += [state(text.tokens[: count + 1]) for count in range(len(places))]
        known += places
    return chain, fit(Prefixes(torch.stack(states), torch.stack(known)), horizon=HORIZON, loop=LOOP, steps=600, seed=0)


def test_what_is_known_of_a_prefix():
    """Of a whole text one place alone, of one cut off all from there on, and of a loop none behind it."""
    whole = known_of(Sampled((), (1, 2, 3), True), 5, 1)
    assert [one.nonzero().tolist() for one in whole] == [[[0, 2]], [[0, 1]], [[0, 0]]]
    far = known_of(Sampled((), (1, 2, 3, 4), True), 2, 1)
    assert [one.nonzero().tolist() for one in far] == [[[0, 2]], [[0, 2]], [[0, 1]], [[0, 0]]]
    cut = known_of(Sampled((), (1, 2), False), 2, 1)
    assert [one.nonzero().tolist() for one in cut] == [
        [[0, 2], [1, 2]],
        [[0, 1], [0, 2], [1, 1], [1, 2]],
    ]
    looped = known_of(Sampled((), (1, 2, 2, 2, 3), True), 5, 1)
    assert [one.nonzero().tolist() for one in looped] == [[[1, 4]], [[1, 3]], [[1, 2]]]


@pytest.mark.parametrize(
    ("least", "most", "loop"), [(0, 2, 0), (1, 3, 1), (2, 9, 0), (7, 9, 1), (-2, 1, 0), (-3, -1, 0)]
)
def test_q_is_the_sum_over_what_was_asked(least, most, loop):
    torch.manual_seed(0)
    classifier = AttributeClassifier(10, HORIZON, LOOP)
    states = torch.randn(4, 10)
    share = classifier(states).double().exp()
    torch.testing.assert_close(share.sum((1, 2)), torch.ones(4, dtype=torch.float64))
    want = torch.zeros(4, dtype=torch.float64)
    for kind, count in itertools.product((0, 1), range(HORIZON + 1)):
        reached = count >= least if count < HORIZON else most >= HORIZON
        if reached and (count <= most or count == HORIZON) and not (loop and kind):
            want += share[:, kind, count]
    torch.testing.assert_close(classifier.log_q(states, least, most, loop=loop).exp(), want)


def test_it_learns_the_probability_that_enumeration_finds(trained):
    """Of a chain a state tells all, so that q is known: cut-off samples neither raise nor lower it."""
    chain, classifier = trained
    errors = []
    for prefix in ((1,), (2,), (1, 3), (4, 2), (3, 3, 1)):
        size = len(prefix)
        for least, most in ((0, 1), (2, 3), (0, 4)):
            lengths = range(size + least, size + most + 1)
            exact = math.exp(
                exact_q(chain, lambda text, among=lengths: len(text) in among, prefix, longest=size + most)
            )
            found = float(classifier.log_q(state(prefix)[None], least, most).exp())
            errors.append(found - exact)
    assert max(map(abs, errors)) < 0.1
    assert abs(sum(errors) / len(errors)) < 0.03


def test_loops_are_told_by_what_leads_to_them(trained):
    chain, classifier = trained

    def clean(text):
        return len(text) <= 4 and not any(loops(text[:count], LOOP) for count in range(len(text) + 1))

    for prefix in ((2,), (3, 3), (1, 4)):
        exact = math.exp(exact_q(chain, clean, prefix, longest=4))
        found = float(classifier.log_q(state(prefix)[None], 0, 4 - len(prefix), loop=LOOP).exp())
        assert found == pytest.approx(exact, abs=0.1)


def test_a_narrow_beam_finds_likelier_texts_of_a_length_with_it(trained):
    chain, classifier = trained
    settings = ConditionalBeam(width=1, least=4, most=4)

    def q(prefix):
        return float(classifier.log_q(state(prefix)[None], 4 - len(prefix), 4 - len(prefix)))

    plain, steered = beam(chain, settings), beam(chain, settings, q=q, considered=4)
    assert len(steered.tokens) == len(plain.tokens) == 5
    assert steered.log_probability > plain.log_probability


def test_a_file_holds_it_and_names_its_model(tmp_path, trained):
    path = tmp_path / "deep" / "attributes.safetensors"
    write_classifier(trained[1], path, MODEL)
    again, told = read_classifier(str(path))
    assert told["weights"] == "w"
    assert path.stat().st_size < 100_000
    for name, tensor in trained[1].state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    asked = ConditionalBeam(classifier=str(path))
    assert (asked.wide, ConditionalBeam(classifier=str(path), considered=5).wide, ConditionalBeam().wide) == (16, 5, 4)
    assert refusal(asked, MODEL, adapted=False) == refusal(ConditionalBeam(), MODEL, adapted=True) == ""
    other = ModelFingerprint("other", table="t", tokenizer="k", vocabulary=5, width=10, weights="v")
    assert "has other weights: train one on its own states" in refusal(asked, other, adapted=False)
    assert "without an adapter" in refusal(asked, MODEL, adapted=True)
    assert "knows loops of 1 tokens" in refusal(ConditionalBeam(classifier=str(path), loop=3), MODEL, adapted=False)


def test_what_is_no_classifier_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="there is no classifier .*nowhere"):
        read_classifier(str(tmp_path / "nowhere"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe .*no ordinary file"):
        read_classifier(str(tmp_path / "pipe"))
    (tmp_path / "junk").write_bytes(b"junk" * 10)
    with pytest.raises(ConfigError, match="junk is no classifier of attributes"):
        read_classifier(str(tmp_path / "junk"))
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "weights")
    with pytest.raises(ConfigError, match="another kind of file"):
        read_classifier(str(tmp_path / "weights"))


SOUND = {"width": 10, "horizon": 6, "loop": 1, "hidden": 64}


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ({"hidden": 10**12}, "not those of its weights"),
        ({"width": -1}, "not those of its weights"),
        ({"loop": True}, "not those of its weights"),
        ({"loop": 10**30}, "not those of its weights"),
        ({"more": 1}, "not those of its weights"),
        ({}, "not finite"),
    ],
)
def test_a_file_of_lies_is_a_sentence(tmp_path, sizes, why):
    from safetensors.torch import save_file

    classifier = AttributeClassifier(**SOUND)
    state = classifier.state_dict()
    if not sizes:
        state["layers.1.bias"][0] = float("nan")
    told = {"format": FORMAT, "sizes": json.dumps(SOUND | sizes), "model": "m", "weights": "w"}
    save_file(state, tmp_path / "lies", metadata=told)
    with pytest.raises(ConfigError, match=why):
        read_classifier(str(tmp_path / "lies"))


def test_what_only_a_classifier_has_a_use_for():
    with pytest.raises(ConfigError, match="considered and weight are of a classifier"):
        parse_decoding("acbs(weight=2)")
    with pytest.raises(ConfigError, match="considered is 0, or lies between the width and 256; got 2 and 4"):
        parse_decoding('acbs(classifier="x", considered=2)')


def test_what_was_cut_off_counts_as_all_that_it_may_be():
    torch.manual_seed(0)
    classifier, states = AttributeClassifier(3, 4, 1), torch.randn(2, 3)
    known = torch.stack([cells(4, 2, 2, loops=False), cells(4, 1, None, loops=None)])
    share = classifier(states).exp()
    want = -(share[0, 0, 2].log() + share[1, :, 1:].sum().log()) / 2
    torch.testing.assert_close(surprise(classifier, Prefixes(states, known)), want)
