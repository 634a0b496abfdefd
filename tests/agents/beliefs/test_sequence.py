"""A belief about a sequence: said position by position, read back, pooled with sequences of other lengths."""

import pytest
import torch
from support.random_models import generator

from agents.backends.mock import MockBackend
from agents.beliefs.belief import Belief
from agents.beliefs.pooling import linear, product
from agents.beliefs.sequence import BeliefSequence, matched, pooled
from agents.beliefs.verbaliser import Verbaliser, read_sequence_words
from agents.errors import BeliefError
from agents.fingerprint import fingerprint
from agents.message import Message
from agents.models.sounds.spoken_digits import DIGITS
from agents.rerender import rerender

LABELS = ("zero", "one", "three")


def sequence(*rows, labels=LABELS):
    return BeliefSequence(labels, tuple(Belief.of(labels, row) for row in rows))


THREE = sequence((0.7, 0.2, 0.1), (0.1, 0.3, 0.6), (0.25, 0.5, 0.25))


@pytest.fixture(params=["bytes", "tokenizers"])
def verbaliser(request, tiny):
    if request.param == "bytes":
        backend = MockBackend()
        return Verbaliser(backend.tokenizer, backend.fingerprint)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny())
    return Verbaliser(tokenizer, fingerprint("tiny", torch.zeros(300, 4), tokenizer))


@pytest.mark.parametrize("template", ["Answer: {label}", "{label}", "I heard {label}, surely."])
def test_each_position_has_its_own_expectation_and_is_read_back(verbaliser, template):
    verbaliser = Verbaliser(verbaliser.tokenizer, verbaliser.receiver, template)
    message = verbaliser.cipher(THREE, sender="test")
    assert THREE.best == "zero three one"
    assert message.text == template.replace("{label}", THREE.best)
    assert verbaliser.tokenizer.decode(list(message.token_ids)) == message.text
    found = verbaliser.read_sequence(message, LABELS)
    assert len(found.positions) == 3
    for one, other in zip(found.positions, THREE.positions, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_ten_words_in_a_row_are_read_back(verbaliser):
    rows = torch.softmax(3 * torch.randn(8, 10, generator=generator(), dtype=torch.float64), -1)
    said = sequence(*rows.tolist(), labels=DIGITS)
    found = verbaliser.read_sequence(verbaliser.cipher(said, sender="test"), DIGITS)
    assert found.best == said.best
    # Words that begin alike up to the length of the one that is said are told apart by it alone, as of one label.
    alone = [verbaliser.read(verbaliser.cipher(each, sender="test"), DIGITS) for each in said.positions]
    for one, other in zip(found.positions, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_one_position_is_the_message_of_one_belief(verbaliser):
    belief = THREE.positions[0]
    one = BeliefSequence(LABELS, (belief,))
    assert verbaliser.cipher(one, sender="test") == verbaliser.cipher(belief, sender="test")
    assert verbaliser.text(one, sender="x", with_shares=True) == verbaliser.text(belief, sender="x", with_shares=True)


def test_positions_are_mixed_on_the_receivers_table_by_hand():
    backend = MockBackend()
    verbaliser = Verbaliser(backend.tokenizer, backend.fingerprint, "{label}!")
    said = sequence((0.8, 0.2), (0.4, 0.6), labels=("a", "bc"))
    vectors = rerender(verbaliser.cipher(said, sender="x"), backend.table.weight, backend.fingerprint).double()
    a, b, c, space, end = (backend.table.weight.double()[ord(char)] for char in "abc !")
    want = torch.stack([0.8 * a + 0.2 * b, space, 0.4 * a + 0.6 * b, 0.4 * end + 0.6 * c, end])
    assert torch.allclose(vectors, want, atol=1e-6)


def test_words_and_shares_are_read_position_by_position(verbaliser):
    plain = verbaliser.text(THREE, sender="x")
    assert plain.text == "Answer: zero three one"
    found = verbaliser.read_sequence(plain, LABELS, trust=0.8)
    assert [each.probabilities for each in found.positions] == [
        pytest.approx((0.8, 0.1, 0.1)), pytest.approx((0.1, 0.1, 0.8)), pytest.approx((0.1, 0.8, 0.1))
    ]  # fmt: skip
    shares = verbaliser.text(THREE, sender="x", with_shares=True)
    for one, other in zip(verbaliser.read_sequence(shares, LABELS).positions, THREE.positions, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)
    assert read_sequence_words("No answer.", LABELS).abstention == "none of the labels is said"
    assert read_sequence_words("Answer: thirteen", LABELS).abstention
    assert read_sequence_words("one. Answer: three, three", LABELS).best == "three three"


def test_a_message_without_the_templates_words_is_read_where_its_labels_are(verbaliser):
    other = Verbaliser(verbaliser.tokenizer, verbaliser.receiver, "{label}")
    message = other.cipher(THREE, sender="x")
    assert verbaliser.read_sequence(message, LABELS).best == THREE.best
    words = Message("hm", verbaliser.receiver, 1.0, ())
    assert verbaliser.read_sequence(words, LABELS).abstention


def test_a_temperature_is_of_every_position():
    assert THREE.at(0).positions == tuple(each.at(0) for each in THREE.positions)
    assert THREE.at(0.5).positions[1] == THREE.positions[1].at(0.5)
    assert THREE.at(1).best == THREE.best


def test_equal_lengths_are_pooled_place_by_place():
    other = sequence((0.6, 0.2, 0.2), (0.5, 0.4, 0.1), (0.1, 0.8, 0.1))
    for rule in (linear(), product()):
        found = pooled(rule, THREE, [other])
        want = [rule([a, b]) for a, b in zip(THREE.positions, other.positions, strict=True)]
        assert list(found.positions) == want


def test_of_another_length_what_agrees_is_pooled_and_ones_own_length_stays():
    def sure(*said):
        return sequence(*([0.96 if place == label else 0.02 for place in range(3)] for label in said))

    own = sure(0, 1, 2, 1)
    longer, shorter = sure(0, 2, 1, 2, 1), sure(0, 2, 1)
    assert [found and found.best for found in matched(own, longer)] == ["zero", "one", "three", "one"]
    assert [found and found.best for found in matched(own, shorter)] == ["zero", None, "three", "one"]
    found = pooled(linear(), own, [longer, shorter, BeliefSequence.abstain(LABELS, "deaf")])
    assert found.best == own.best
    # Nobody else heard the second digit as one but the longer one.
    assert found.positions[1].probabilities == pytest.approx((0.02, 0.96, 0.02))
    assert pooled(linear(), own, []) == pooled(linear(), own, [own])


def test_the_best_matching_is_that_of_all_matchings():
    """Every way to match positions in order, written out."""
    rows = torch.softmax(torch.randn(7, 3, generator=generator(), dtype=torch.float64), -1).tolist()
    one, two = sequence(*rows[:3]), sequence(*rows[3:])

    def agreement(a, b):
        return sum(p * q for p, q in zip(a.probabilities, b.probabilities, strict=True))

    def best(i, j):
        if i == 3 or j == 4:
            return 0.0
        return max(best(i + 1, j), best(i, j + 1), agreement(one.positions[i], two.positions[j]) + best(i + 1, j + 1))

    found = matched(one, two)
    total = sum(agreement(a, b) for a, b in zip(one.positions, found, strict=True) if b is not None)
    assert total == pytest.approx(best(0, 0))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: BeliefSequence(LABELS, ()), "has positions, or abstains"),
        (lambda: BeliefSequence(LABELS, THREE.positions, abstention="deaf"), "not do both"),
        (lambda: BeliefSequence(("a", "b"), THREE.positions), "every position has a belief over a, b"),
        (lambda: BeliefSequence(LABELS, (Belief.abstain(LABELS, "deaf"),)), "got deaf"),
    ],
)
def test_what_is_no_belief_about_a_sequence_is_refused(make, sentence):
    with pytest.raises(BeliefError, match=sentence):
        make()


def test_an_abstention_says_no_answer(verbaliser):
    nothing = BeliefSequence.abstain(LABELS, "deaf")
    assert nothing.best is None
    for message in (verbaliser.cipher(nothing, sender="x"), verbaliser.text(nothing, sender="x")):
        assert message.text == "No answer."
        assert verbaliser.read_sequence(message, LABELS).abstention
