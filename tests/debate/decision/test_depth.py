"""Depth against its definition, and the test's size and power."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.messages import MODEL, cipher, text
from support.small_text_models import small_kalm, small_langsamp, small_matryoshka, small_sentence_transformer

from agents.backend import Usage
from agents.backends.mock import MockBackend
from agents.beliefs.cards import create_text_embedding
from agents.errors import ConfigError, DebateError
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.observation import Text
from agents.question import Question
from debate.config.electorate import Electorate
from debate.decision.decision import Poll
from debate.decision.depth import depths, drift, embed, outliers, text_points
from debate.decision.rules import decision_rule
from debate.transcript import Transcript, Turn, TurnKey

PREPARED = {
    "kalm": small_kalm,
    "langsamp": small_langsamp,
    "matryoshka_2d": small_matryoshka,
    "sentence_transformers": small_sentence_transformer,
}


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain_depths(points, reference=None):
    """Return depths by the definition: 2 minus the mean cosine distance, a point itself left out of its own cloud."""
    cloud = points if reference is None else reference
    found = []
    for place, point in enumerate(points):
        others = [y for other, y in enumerate(cloud) if reference is not None or other != place]
        found.append(2 - np.mean([1 - point @ y for y in others]))
    return np.array(found)


@given(st.integers(2, 9), st.integers(1, 9), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_depth_is_its_definition(count, others, width, seed):
    draw = np.random.default_rng(seed)
    points, reference = units(draw.normal(size=(count, width))), units(draw.normal(size=(others, width)))
    assert np.allclose(depths(points), plain_depths(points))
    assert np.allclose(depths(points, reference), plain_depths(points, reference))


def test_one_point_is_as_deep_as_can_be():
    assert depths(np.array([[1.0, 0.0]])).tolist() == [2.0]


def test_outliers_are_far_below_the_median_and_never_of_three():
    draw = np.random.default_rng(0)
    cloud = units(np.array([1.0, 0, 0, 0]) + 0.05 * draw.normal(size=(9, 4)))
    points = np.concatenate([cloud, [[0, 0, 0, 1.0]]])
    assert outliers(depths(points)) == [9]
    assert outliers(depths(points[-3:])) == []
    assert outliers(depths(np.ones((5, 1)))) == []


def clouds(draw, shift, count, width=16):
    base = np.zeros(width)
    base[0] = 2.0
    moved = base.copy()
    moved[1] = shift
    return units(base + 0.5 * draw.normal(size=(count, width))), units(moved + 0.5 * draw.normal(size=(count, width)))


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.0, 0.12), (2.0, 0.95, 1.0)])
def test_drift_keeps_its_level_and_finds_a_shift(shift, low, high):
    draw = np.random.default_rng(1)
    found = [drift(*clouds(draw, shift, 40)) for _ in range(200)]
    assert low <= np.mean([one.p < 0.05 for one in found]) <= high
    if shift:
        assert np.mean([one.q for one in found]) < 0.4


def test_drift_of_equal_points_says_nothing():
    same = np.ones((5, 1))
    assert drift(same, same).p == 1.0
    assert drift(same, same).q == 0.5


def said(*texts):
    model = ModelFingerprint("m", "t", "k", 100, 4)
    return [Message(text, model, 1.0, tuple(range(len(text.split())))) for text in texts]


@pytest.mark.parametrize("name", ["matryoshka_2d", "kalm", "langsamp", "sentence_transformers"])
def test_depth_goes_by_transformer_embeddings_of_what_messages_read_as(tmp_path, name):
    """Of any backend that embeds texts; against the definition on that backend's own vectors."""
    if name == "sentence_transformers":
        pytest.importorskip("sentence_transformers")
    options = PREPARED[name](tmp_path)
    embedding = create_text_embedding(name, checkpoint=options["checkpoint"])
    texts = ("the dog barks", "a cat that sleeps", "the dog", "who sleeps?")
    points = text_points(said(*texts), embedding)
    vectors = units(embedding.embed([Text(text) for text in texts]).double().numpy())
    assert np.allclose(points, vectors, atol=1e-6)
    assert np.allclose(depths(points), plain_depths(vectors), atol=1e-6)
    call = f"depth(embeddings={name!r}, checkpoint={options['checkpoint']!r})"
    turns = [Turn(TurnKey(1, str(n)), message, (), 0, Usage(0, 0, 1), "stop") for n, message in enumerate(said(*texts))]
    names = tuple(map(str, range(4)))
    electorate = Electorate(names, dict.fromkeys(names, 0.1))
    decision = decision_rule(call)(Poll(Transcript(Question("q", "?"), tuple(turns)), electorate, lambda text: text))
    assert decision.answer == texts[int(np.argmax(plain_depths(vectors)))]
    assert f"the deepest message by {name}" in decision.reason


def test_a_message_without_words_is_near_to_nothing(tmp_path):
    embedding = create_text_embedding("matryoshka_2d", **small_matryoshka(tmp_path))
    points = text_points(said("the dog", " ", "a cat"), embedding)
    assert points[1].tolist() == [0.0] * 16
    assert not text_points(said("", ""), embedding).any()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("depth(checkpoint='x')", r"a checkpoint is of embeddings=\"BACKEND\""),
        ("depth(embeddings='kaln')", "unknown belief backend 'kaln'.*Did you mean 'kalm'"),
        ("depth(embeddings=3)", "embeddings must be of type str"),
    ],
)
def test_mistakes_in_a_decision_by_depth_are_sentences(call, sentence):
    with pytest.raises(DebateError, match=sentence):
        decision_rule(call)


def test_what_embeds_no_texts_is_refused():
    with pytest.raises(ConfigError, match="discrete_functions embeds no texts: take kalm"):
        create_text_embedding("discrete_functions")


def test_an_outlier_is_three_robust_deviations_below_the_median():
    # Half of them lie within 0.1 of the median: the robust deviation is 0.148, and three of them 0.445.
    near = [1.0, 0.9, 1.1, 0.9, 1.1, 1.0, 1.0, 1.1, 0.9]
    assert outliers(np.array([*near, 0.5])) == [9]
    assert outliers(np.array([*near, 0.6])) == []
    assert outliers(np.array([*near, 0.6]), threshold=2.0) == [9]
    # Above the median nobody is an outlier, and of three nobody is.
    assert outliers(np.array([*near, 1.9])) == []
    assert outliers(np.array([1.0, 1.0, 0.0])) == []
    assert outliers(np.array([1.0, 1.0, 1.0, 0.0])) == [3]


def test_messages_lie_by_their_words_where_the_tokens_of_one_are_unknown():
    model = MockBackend().fingerprint
    known, other = (Message(text, model, 0.0, tuple(text.encode())) for text in ("one two", "one three"))
    unknown = Message("one two", model, 0.0)
    by_tokens = embed([known, other])
    assert by_tokens[0] @ by_tokens[1] > 0.6, "most of their bytes are the same"
    by_words = embed([unknown, other])
    assert by_words[0] @ by_words[1] == pytest.approx(0.5), "one of two words is the same"
    assert embed([known, unknown])[0] @ embed([known, unknown])[1] == pytest.approx(1.0)


def test_cipher_messages_of_one_table_lie_at_the_mean_of_their_vectors():
    def pointing(*vectors, model=MODEL):
        rows = torch.tensor(vectors)
        said = cipher("two words", steps=[{7: 1.0}] * len(rows))
        return replace(said, model=model, cipher=replace(said.cipher, vectors=rows))

    one, other = pointing([2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]), pointing([0.0, 3.0, 0.0, 0.0])
    assert np.allclose(embed([one, other]), [[0.5**0.5, 0.5**0.5, 0, 0], [0, 1, 0, 0]])
    # Where one is text, or on another table, they lie by what both have: here the same tokens.
    for beside in (text("two words"), pointing([0.0, 3.0, 0.0, 0.0], model=replace(MODEL, table="u"))):
        assert embed([one, replace(beside, token_ids=one.token_ids) if beside.cipher is None else beside]).shape[1] < 4


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
def test_drift_is_a_rank_sum_test(shift):
    """Liu and Singh's is Wilcoxon's of the depths, as scipy has it by the normal approximation, ties taken into account."""
    scipy = pytest.importorskip("scipy.stats")
    earlier, later = clouds(np.random.default_rng(2), shift, 6)
    later[1] = later[0]
    within, across = depths(earlier), depths(later, earlier)
    theirs = scipy.mannwhitneyu(within, across, alternative="greater", use_continuity=False, method="asymptotic")
    assert drift(earlier, later).p == pytest.approx(theirs.pvalue, rel=1e-9)
