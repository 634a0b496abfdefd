"""PaSST's scene embedding: its numbers, the nearest recordings by hand, recordings from tables, folders and zips."""

import json

import pytest
import torch
from support.contracts import small_passt, small_scenes
from support.official_passt import chirp, lively
from support.random_models import generator
from support.small_data import digits, wav

from agents.beliefs.cards import create_belief_backend, create_text_embedding
from agents.errors import BeliefError, ConfigError, ModelError, RequestError
from agents.models.passt.backend import PaSSTBackend
from agents.models.passt.official import from_official
from agents.models.passt.scenes import PaSSTEmbedding, PaSSTScenes
from agents.models.sounds.examples import read_examples
from agents.observation import Audio, Text
from agents.question import Question

# The first four of 64 numbers of github kkoutini/passt_hear21 @ 5f1cce6, `get_scene_embeddings` with mode="embed_only", on
# `lively` weights of 99 columns and `chirp`: 1, 3, 10 and 20 s.
PUBLISHED = (
    (1, (-0.28517, -1.31868, 0.92441, -0.18522)),
    (3, (-0.33513, -1.36932, 0.94649, -0.21398)),
    (10, (-0.40910, -1.34000, 0.86687, -0.25664)),
    (20, (-0.44163, -1.40662, 0.92106, -0.27536)),
)


def sound(seed, length=2000):
    return Audio(torch.randn(length, generator=generator(seed)), 8000)


@pytest.mark.parametrize(("seconds", "want"), PUBLISHED)
def test_a_scene_is_what_the_published_code_embeds(tmp_path, seconds, want):
    torch.save(lively(99), tmp_path / "x.pt")
    embedding = PaSSTEmbedding(PaSSTBackend(from_official(tmp_path / "x.pt")))
    (found,) = embedding.embed([Audio(chirp(seconds), 32_000)])
    assert len(found) == 64
    assert found[:4].tolist() == pytest.approx(want, abs=1e-4)


def test_the_nearest_recordings_speak(tmp_path):
    """Cosines around the mean of what is known, the three nearest, softmax at a temperature."""
    backend = create_belief_backend("passt_scenes", **small_scenes(tmp_path), temperature=0.2)
    known, asked = backend.vectors.double(), backend.embedding.embed([sound(7)])[0].double()
    centre = known.mean(0)
    cosines = torch.nn.functional.cosine_similarity(known - centre, (asked - centre)[None])
    order = cosines.argsort(descending=True)[:3].tolist()
    weights = (cosines[order] / 0.2).softmax(0).tolist()
    want = {"hiss": 0.0, "rush": 0.0}
    for place, weight in zip(order, weights, strict=True):
        want[("hiss", "rush")[place % 2]] += weight
    (belief,) = backend.believe([Question("case", "?", (sound(7),))])
    assert dict(zip(belief.labels, belief.probabilities, strict=True)) == pytest.approx(want, abs=1e-4)


def test_it_knows_recordings_that_it_is_given_and_says_what_they_are(tmp_path):
    data = digits(tmp_path)
    options = small_passt(tmp_path / "passt")
    backend = create_belief_backend("passt_scenes", **options, examples=str(data / "train.zip"), each=2, neighbours=1)
    assert len(backend.classes) == 20
    known = read_examples(data / "train.zip", each=2)
    assert [belief.best for belief in backend.believe([Question("case", "?", (clip,)) for _, clip in known])] == list(
        backend.classes
    )
    assert backend.labels(Question("case", "?"))[:3] == ("zero", "one", "two")


def test_recordings_are_read_from_tables_folders_and_zips(tmp_path):
    tone = wav((1000 * torch.ones(50)).short().numpy().tobytes())
    for name in ("dog_a.wav", "dog_b.wav", "cat_a.wav", "7_x.wav"):
        (tmp_path / name).write_bytes(tone)
    assert [name for name, _ in read_examples(tmp_path)] == ["seven", "cat", "dog", "dog"]
    assert [name for name, _ in read_examples(tmp_path, each=1)] == ["seven", "cat", "dog"]
    rows = [{"audio": "cat_a.wav", "answer": "lynx"}, {"audio": "dog_a.wav", "answer": "wolf"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "t.csv").write_text("audio,answer\ncat_a.wav,lynx\ndog_a.wav,wolf\n")
    for name in ("t.jsonl", "t.csv"):
        assert [label for label, _ in read_examples(tmp_path / name)] == ["lynx", "wolf"]
    (tmp_path / "empty").mkdir()
    for path, sentence in (
        ("none", "FileNotFound"),
        ("empty", "give a table with audio and answer"),
        ("t.zip", "No such file"),
    ):
        with pytest.raises(ModelError, match=sentence):
            read_examples(tmp_path / path)
    (tmp_path / "bad.csv").write_text("sound,answer\nx,y\n")
    with pytest.raises(ModelError, match="KeyError: 'audio'"):
        read_examples(tmp_path / "bad.csv")


def test_a_class_of_known_recordings_is_a_name_in_any_case(tmp_path):
    """A missing answer is no class of its own, nor are the same word's other spellings."""
    tone = wav((1000 * torch.ones(50)).short().numpy().tobytes())
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / name).write_bytes(tone)
    table = tmp_path / "t.csv"
    table.write_text("audio,answer\na.wav,Dog\nb.wav, dog\nc.wav,DOG \n")
    assert [name for name, _ in read_examples(table)] == ["Dog"] * 3
    assert len(read_examples(table, each=2)) == 2
    for text, sentence in (
        ("audio,answer\na.wav,dog\nb.wav\n", "line 3 has not 2 values, one a column"),
        ("audio,answer\na.wav,dog,cat\n", "line 2 has not 2 values, one a column"),
        ("audio,answer\na.wav,dog\nb.wav,\n", "line 3: the answer is the name of a class; got ''"),
        ("audio,answer,answer\na.wav,dog,cat\n", "two columns are called 'answer'; rename one"),
    ):
        table.write_text(text)
        with pytest.raises(ModelError, match=sentence):
            read_examples(table)
    for value, said in ((None, "None"), (["dog"], r"\['dog'\]")):
        (tmp_path / "t.jsonl").write_text("\n" + json.dumps({"audio": "a.wav", "answer": value}) + "\n")
        with pytest.raises(ModelError, match=f"line 2: the answer is the name of a class; got {said}"):
            read_examples(tmp_path / "t.jsonl")


def test_mistakes_are_sentences(tmp_path):
    with pytest.raises(ModelError, match=r"give options: \{examples: …\}"):
        create_belief_backend("passt_scenes", **small_passt(tmp_path / "p"))
    with pytest.raises(ModelError, match="ships no weights"):
        create_belief_backend("passt_scenes")
    with pytest.raises(BeliefError, match="between 1 and the 6 recordings known; got 7"):
        create_belief_backend("passt_scenes", **small_scenes(tmp_path / "s"), neighbours=7)
    with pytest.raises(BeliefError, match="a whole number between 1 and the 6 recordings known; got 1.5"):
        create_belief_backend("passt_scenes", checkpoint=str(tmp_path / "s"), neighbours=1.5)
    backend = create_belief_backend("passt_scenes", checkpoint=str(tmp_path / "s"))
    assert isinstance(backend, PaSSTScenes)
    with pytest.raises(RequestError, match="hears audio; got text"):
        backend.embedding.embed([Text("a")])
    with pytest.raises(ConfigError, match="passt embeds no texts"):
        create_text_embedding("passt", checkpoint=small_passt(tmp_path / "q")["checkpoint"])
