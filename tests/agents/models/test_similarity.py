"""A belief over options by similarity, on an embedding that can be computed by hand."""

import math

import pytest
import torch

from agents.beliefs.belief_backend import EmbeddingBackend, Similarity
from agents.errors import BeliefError, RequestError
from agents.question import Question


class Letters(EmbeddingBackend):
    """How often each letter of the alphabet occurs."""

    modality = "text"
    name = "letters"

    def embed(self, observations):
        return torch.tensor([[float(each.text.lower().count(chr(97 + i))) for i in range(26)] for each in observations])


def test_it_is_the_softmax_of_cosines():
    case = Question("case", "aab", labels=("A", "B"), options=("a", "b"))
    (belief,) = Similarity(Letters(), temperature=0.5).believe([case])
    cosines = [2 / math.sqrt(5), 1 / math.sqrt(5)]
    weights = [math.exp(cosine / 0.5) for cosine in cosines]
    assert belief.labels == ("A", "B")
    assert belief.probabilities == pytest.approx([w / sum(weights) for w in weights], abs=1e-6)


def test_labels_are_compared_where_there_are_no_options_and_nothing_is_an_abstention():
    by_label, nothing, empty = Similarity(Letters()).believe(
        [
            Question("case", "dddg", labels=("dog", "cat")),
            Question("case", "dog"),
            Question("case", " ", labels=("dog",)),
        ]
    )
    assert by_label.best == "dog"
    assert nothing.abstention == "the case has no options to compare"
    assert empty.abstention == "the text is empty"


def test_it_is_the_same_in_any_company():
    cases = [Question("case", text, labels=("dog", "cat")) for text in ("god", "act", "tag")]
    backend = Similarity(Letters())
    assert backend.believe(cases) == [backend.believe([case])[0] for case in cases]


def test_mistakes_are_sentences(tmp_path):
    with pytest.raises(BeliefError, match="temperature must be finite and above 0"):
        Similarity(Letters(), temperature=0.0)
    with pytest.raises(RequestError, match="has no checkpoint of its own"):
        Similarity(Letters()).save_pretrained(tmp_path)
