"""Belief → message → belief, on real tokenizers; what receivers get, computed by hand."""

import math

import pytest
import torch

from agents.backend import Prompt, Request, Sampling
from agents.backends.mock import ByteTokenizer, MockBackend
from agents.beliefs.belief import Belief
from agents.beliefs.verbaliser import Verbaliser, read_words
from agents.errors import ConfigError
from agents.fingerprint import fingerprint
from agents.message import Message
from agents.message_file import from_bytes, to_bytes
from agents.registry import create_backend
from agents.rerender import rerender

LABELS = ("no", "yes", "maybe so", "yesterday")


def byte_verbaliser(template="Answer: {label}"):
    backend = MockBackend()
    return Verbaliser(backend.tokenizer, backend.fingerprint, template), backend


def gpt2_like(tiny):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny())
    return Verbaliser(tokenizer, fingerprint("tiny", torch.zeros(300, 4), tokenizer))


@pytest.fixture(params=["bytes", "tokenizers", "smollm2"])
def verbaliser(request, tiny):
    if request.param == "bytes":
        return byte_verbaliser()[0]
    if request.param == "tokenizers":
        return gpt2_like(tiny)
    from transformers import AutoTokenizer

    from agents.pretrained import locate

    tokenizer = AutoTokenizer.from_pretrained(locate(request.getfixturevalue("smollm2")))
    return Verbaliser(tokenizer, fingerprint("smollm2", torch.zeros(len(tokenizer), 4), tokenizer))


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("template", ["Answer: {label}", "I say {label}, surely.", "{label}"])
def test_a_certain_belief_reads_back_as_its_labels_text_exactly(verbaliser, label, template):
    verbaliser = Verbaliser(verbaliser.tokenizer, verbaliser.receiver, template)
    message = verbaliser.cipher(Belief.certain(LABELS, label), sender="test")
    want = template.replace("{label}", label)
    assert message.text == want
    assert verbaliser.tokenizer.decode(list(message.token_ids)) == want
    cipher = message.cipher
    heaviest = cipher.top_ids.gather(1, cipher.top_probabilities.argmax(1, keepdim=True))[:, 0]
    assert verbaliser.tokenizer.decode(heaviest.tolist()) == want
    assert torch.equal(cipher.max_probability, torch.ones(len(cipher)))
    assert float(cipher.entropy.max()) == 0
    assert verbaliser.read(message, LABELS).probabilities == pytest.approx(Belief.certain(LABELS, label).probabilities)


def test_a_belief_over_labels_that_begin_differently_is_read_back_exactly(verbaliser):
    labels = ("0", "1", "2")
    belief = Belief.of(labels, (0.2, 0.7, 0.1))
    found = verbaliser.read(verbaliser.cipher(belief, sender="test"), labels)
    assert found.probabilities == pytest.approx(belief.probabilities, abs=1e-6)
    assert read_words(
        verbaliser.text(belief, sender="test", with_shares=True).text, labels
    ).probabilities == pytest.approx(belief.probabilities, abs=1e-3)
    assert verbaliser.read(verbaliser.text(belief, sender="test"), labels, trust=0.8).probabilities == pytest.approx(
        (0.1, 0.8, 0.1)
    )


def test_a_belief_over_labels_of_many_lengths_is_read_back_where_it_can_be(verbaliser):
    labels = ("crackle", "crow", "dog bark", "door wood knock", "rain")
    for best in range(len(labels)):
        belief = Belief.of(labels, [3.0 if k == best else 1.0 + k / 4 for k in range(len(labels))])
        found = verbaliser.read(verbaliser.cipher(belief, sender="x"), labels)
        assert found.best == labels[best]
        assert found.probabilities == pytest.approx(belief.probabilities, abs=1e-6)


def test_a_label_that_ends_another_is_not_read_inside_it(verbaliser):
    labels = ("very low", "low", "high")
    for shares in ((0.5, 0.3, 0.2), (0.2, 0.5, 0.3), (0.3, 0.2, 0.5)):
        belief = Belief.of(labels, shares)
        for message in (
            verbaliser.cipher(belief, sender="x"),
            verbaliser.text(belief, sender="x", with_shares=True),
        ):
            assert verbaliser.read(message, labels).probabilities == pytest.approx(shares, abs=1e-3)


def test_positions_are_mixed_by_probability_on_the_receivers_table():
    """By hand, in float64: at each position Σ p(label) E[its token], over the labels that have one there."""
    verbaliser, backend = byte_verbaliser("{label}!")
    belief = Belief.of(("ab", "cd", "c"), (0.5, 0.3, 0.2))
    vectors = rerender(verbaliser.cipher(belief, sender="x"), backend.table.weight, backend.fingerprint).double()
    table = backend.table.weight.double()
    a, b, c, d, end = (table[ord(char)] for char in "abcd!")
    want = torch.stack([0.5 * a + 0.5 * c, 0.5 * b + 0.3 * d + 0.2 * end, end])
    assert torch.allclose(vectors, want, atol=1e-6)


def test_a_shorter_heaviest_label_ends_the_positions():
    verbaliser, _ = byte_verbaliser("{label}.")
    message = verbaliser.cipher(Belief.of(("a", "bcd"), (0.6, 0.4)), sender="x")
    assert (len(message.cipher), message.text) == (2, "a.")


def test_one_message_goes_to_tables_of_any_width_and_survives_the_disk():
    verbaliser, _ = byte_verbaliser()
    message = verbaliser.cipher(Belief.of(("0", "1"), (0.25, 0.75)), sender="x", temperature=1.0)
    for width in (3, 64):
        receiver = MockBackend(width=width, seed=width)
        vectors = rerender(message, receiver.table.weight, receiver.fingerprint)
        rows = receiver.table.weight
        assert torch.allclose(vectors[-1], 0.25 * rows[ord("0")] + 0.75 * rows[ord("1")], atol=1e-6)
    again = from_bytes(to_bytes(message))
    assert again == message
    # Eight bytes an id and four a probability, of two labels a step.
    assert message.num_bytes == len(message.cipher) * 2 * 12


def test_entropy_is_the_beliefs():
    verbaliser, _ = byte_verbaliser()
    message = verbaliser.cipher(Belief.of(("0", "1"), (0.25, 0.75)), sender="x")
    want = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert float(message.cipher.entropy[-1]) == pytest.approx(want, abs=1e-6)
    assert float(message.cipher.entropy[:-1].max()) == 0


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Belief: 0 1.5%, 1 98.5%. Answer: 1", (0.015, 0.985)),
        ("Belief: 0 100.0%, 1 0.0%. Answer: 0", (1.0, 0.0)),
        ("It is 0, no: Answer: 1.", (0.1, 0.9)),
        ("Answer: 10", None),
        ("No answer.", None),
    ],
)
def test_words_are_read_as_beliefs(text, want):
    found = read_words(text, ("0", "1"))
    assert (found.abstention != "") == (want is None)
    assert want is None or found.probabilities == pytest.approx(want)


def test_an_abstention_says_no_answer_in_both_forms():
    verbaliser, _ = byte_verbaliser()
    nothing = Belief.abstain(("0", "1"), "no examples")
    for message in (verbaliser.cipher(nothing, sender="x"), verbaliser.text(nothing, sender="x")):
        assert message.text == "No answer."
        assert verbaliser.read(message, ("0", "1")).abstention


def test_a_template_without_a_place_for_the_label_is_refused():
    with pytest.raises(ConfigError, match="has {label} once"):
        Verbaliser(ByteTokenizer(), MockBackend().fingerprint, "Answer:")


@pytest.mark.parametrize("name", ["mock", "transformers"])
def test_a_language_model_hears_it(name, tiny, run):
    """Certain beliefs are heard as their text's tokens are; others change what is said."""

    async def play():
        options = {"model": str(tiny()), "dtype": "float32"} if name == "transformers" else {}
        backend = create_backend(name, **options)
        verbaliser = Verbaliser(backend.tokenizer, backend.fingerprint)
        labels = ("0", "1")
        certain = verbaliser.cipher(Belief.certain(labels, "1"), sender="x")
        doubtful = verbaliser.cipher(Belief.of(labels, (0.45, 0.55)), sender="x")
        in_words = Message(certain.text, backend.fingerprint, 1.0, certain.token_ids)
        sampling = Sampling(temperature=1.0, max_tokens=8, seed=1)
        said = [
            await backend.submit(Request(Prompt.of("She says: ", heard), sampling, encoder="expectation"))
            for heard in (certain, in_words, doubtful)
        ]
        await backend.close()
        return said

    certain, in_words, doubtful = run(play())
    assert certain.usage.prompt_tokens == in_words.usage.prompt_tokens == doubtful.usage.prompt_tokens
    same = (certain.message.cipher.vectors - in_words.message.cipher.vectors).abs().max()
    assert float(same) < 1e-7
    if name == "transformers":
        assert float((certain.message.cipher.vectors - doubtful.message.cipher.vectors).abs().max()) > 1e-5
