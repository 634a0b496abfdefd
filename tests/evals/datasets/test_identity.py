"""Questions with the same words about other pictures or sounds are other questions, wherever questions are compared."""

import io
import json

import pytest
import torch
from support.small_data import digits, things, wav

from agents.errors import TaskError
from agents.observation import Audio, Document, Image, Text
from debate.config.load import validate
from evals.evaluation import Selection
from evals.identity import identity, observed_digest
from evals.sample import Loaded, Sample
from evals.samples import load_selected
from evals.search.questions import divide
from evals.selection import without
from evals.task import Shot, create_task

CONFIG = validate({"backend": "mock", "model": "mock", "agents": {"ada": {}, "ben": {}}}, source="test")


def image(value):
    return Image(torch.full((3, 2, 2), float(value)))


def digest(*observations):
    return observed_digest(Shot("What?", "x", observations))


def picture(colour):
    pillow = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    pillow.new("RGB", (20, 30), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def asked_the_same(tmp_path):
    """Return a folder whose two splits ask one thing about other pictures, but for one that is in both."""
    for colour in ("red", "blue", "green", "black"):
        (tmp_path / f"{colour}.png").write_bytes(picture(colour))
    for split, colours in (("train", ["red"]), ("test", ["blue", "red", "green", "black"])):
        rows = [{"question": "What?", "answer": "cat", "image": f"{colour}.png"} for colour in colours]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_a_question_in_words_is_its_words():
    assert identity(Sample("a", " What  is\n1+1? ", "2")) == "What is 1+1?" == identity(Shot("What is 1+1?", "2"))
    # A text that is looked at and stands in the words is no more than these, however it is spaced.
    assert identity(Sample("a", "Which word? A  b", "c", observations=(Text("A\nb", "eng"),))) == "Which word? A b"
    assert observed_digest(Shot("Which word?", "", (Text("A b"),))) != ""


def test_what_is_observed_is_told_apart_by_its_values():
    sound = torch.zeros(4)
    boxes = torch.zeros(1, 4)
    seen = [
        (image(0),),
        (image(1),),
        (Image(torch.zeros(1, 2, 6)),),
        (Audio(sound, 8000),),
        (Audio(sound, 16000),),
        (image(0), Audio(sound, 8000)),
        (Text("z"),),
        (Text("z", "b"),),
        (Text("z", None, "b"),),
        (Document(("a",), boxes),),
        (Document(("a",), boxes, image(0)),),
    ]
    assert len({digest(*each) for each in seen}) == len(seen)
    assert digest(image(0)) == digest(image(0))
    # Not in the same place of memory, nor in one piece.
    whole = torch.arange(24).reshape(3, 2, 4).float() / 24
    assert digest(Image(whole[:, :, ::2])) == digest(Image(whole[:, :, ::2].clone()))


def test_a_worked_example_takes_out_its_own_picture_alone(asked_the_same):
    task = create_task("file:text", data=asked_the_same, num_fewshot=1)
    samples, loaded = load_selected(task, shown=task.shots())
    assert [sample.metadata["image"] for sample in samples] == ["blue.png", "green.png", "black.png"]
    assert dict(loaded.removed) == {"few-shot example": 1}


def test_what_a_prompt_shows_is_left_out_by_picture():
    loaded = Loaded(tuple(Sample(str(n), "What?", "x", observations=(image(n / 4),)) for n in range(3)), 3)
    left = without(loaded, [Shot("What?", "x", (image(0.25),)), Shot("What?", "x")], "shown")
    assert [sample.id for sample in left.samples] == ["0", "2"]
    assert dict(left.removed) == {"shown": 1}


def test_a_search_keeps_the_questions_about_other_pictures(asked_the_same, tmp_path):
    found = divide(CONFIG.model_copy(update={"task": "file:text"}), Selection(data=asked_the_same))
    assert (len(found.validation), len(found.test)) == (1, 3)
    assert "1 test questions left out" in found.how


def test_one_split_of_the_same_words_has_two_halves(tmp_path):
    rows = [{"question": "What?", "answer": "low", "audio": f"{n}.wav"} for n in range(24)]
    (tmp_path / "sounds.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for n in range(24):
        (tmp_path / f"{n}.wav").write_bytes(wav(bytes([n, n]) * 8))
    found = divide(CONFIG.model_copy(update={"task": "sounds"}), Selection(data=tmp_path))
    assert min(len(found.validation), len(found.test)) > 4
    assert len(found.validation) + len(found.test) == 24


@pytest.mark.parametrize(("task", "write"), [("cifar10", things), ("spoken_digits", digits)])
def test_a_numbered_picture_or_recording_is_not_that_of_another_split(task, write, tmp_path):
    if task == "cifar10":
        pytest.importorskip("PIL.Image")
    found = divide(CONFIG.model_copy(update={"task": task}), Selection(data=write(tmp_path)))
    assert {sample.question for sample in found.test} <= {sample.question for sample in found.validation}
    assert (len(found.validation), len(found.test)) == (30, 10)


def test_no_more_pictures_are_read_than_are_asked(asked_the_same):
    """The rows after them name what is no picture, and count all the same; asked for, they are an error."""
    (asked_the_same / "green.png").write_bytes(b"none")
    task = create_task("file:text", data=asked_the_same)
    samples, loaded = load_selected(task, limit=2)
    assert [len(sample.observations) for sample in samples] == [1, 1]
    assert [len(sample.observations) for sample in loaded.samples] == [1, 1, 0, 0]
    assert (loaded.rows_in, loaded.duplicates) == (4, 0)
    # A worked example is left out before rows are counted.
    task = create_task("file:text", data=asked_the_same, num_fewshot=1)
    assert [len(sample.observations) for sample in load_selected(task, limit=1, shown=task.shots())[0]] == [1]
    for whole in ({}, {"limit": 3}, {"shuffle": True}, {"sample_ids": ["file-0003"]}):
        with pytest.raises(TaskError, match=r"test\.jsonl:3: .*green\.png: not a picture"):
            load_selected(create_task("file:text", data=asked_the_same), **whole)


def test_of_a_shuffled_set_and_of_ids_the_chosen_pictures_are_read_alone(asked_the_same):
    """They are those that are drawn where all are read, in the same order."""
    whole = load_selected(create_task("file:text", data=asked_the_same), shuffle=True, seed=4)[0]
    assert [len(sample.observations) for sample in whole] == [1] * 4
    for number in range(4):
        task = create_task("file:text", data=asked_the_same)
        samples, loaded = load_selected(task, shuffle=True, seed=4, limit=number)
        assert [sample.id for sample in samples] == [sample.id for sample in whole[:number]]
        assert [len(sample.observations) for sample in samples] == [1] * number
        assert sum(len(sample.observations) for sample in loaded.samples) == number
    (sample,), loaded = load_selected(create_task("file:text", data=asked_the_same), sample_ids=["file-0002"])
    assert (sample.metadata["image"], len(sample.observations)) == ("red.png", 1)
    assert sum(len(sample.observations) for sample in loaded.samples) == 1
    for name in ("blue", "green", "black"):
        (asked_the_same / f"{name}.png").write_bytes(b"none")
    assert load_selected(create_task("file:text", data=asked_the_same), sample_ids=["file-0002"])[0] == [sample]


def test_a_worked_example_is_left_out_before_questions_are_drawn(asked_the_same):
    def drawn(**asked):
        task = create_task("file:text", data=asked_the_same, num_fewshot=1)
        return load_selected(task, shown=task.shots(), shuffle=True, **asked)

    for seed in range(3):
        whole = [sample.id for sample in drawn(seed=seed)[0]]
        assert sorted(whole) == ["file-0001", "file-0003", "file-0004"]
        samples, loaded = drawn(seed=seed, limit=2)
        assert [sample.id for sample in samples] == whole[:2]
        assert dict(loaded.removed) == {"few-shot example": 1}
    # The same where it is the prompt alone that shows a question.
    shown = [Shot("What?", "cat", create_task("file:text", data=asked_the_same).samples(1)[0].observations)]
    samples, loaded = load_selected(
        create_task("file:text", data=asked_the_same), shown=shown, shuffle=True, limit=3, seed=1
    )
    assert sorted(sample.id for sample in samples) == ["file-0002", "file-0003", "file-0004"]
    assert dict(loaded.removed) == {"shown in the prompt": 1}


def test_no_more_sounds_are_read_than_are_asked(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(b"\0\x40"))
    (tmp_path / "b.wav").write_bytes(b"none")
    (sample,) = create_task("sounds", data=tmp_path).samples(1)
    assert len(sample.observations) == 1
    with pytest.raises(TaskError, match=r"b\.wav"):
        create_task("sounds", data=tmp_path).samples()


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (["a", "a"], r":2: the id 'a' is that of .*:1 already"),
        (["a", None], ":2: id is empty"),
        (["a\nb", "c"], ":1: an id is one line of at most 200 characters"),
        (["x" * 201, "c"], ":1: an id is one line of at most 200 characters"),
    ],
)
def test_recordings_have_ids_of_their_own(ids, sentence, tmp_path):
    """Turns are kept by the id of their question: of two that share one, the second would be given the first's."""
    (tmp_path / "a.wav").write_bytes(wav(b"\0\x40"))
    rows = [{"audio": "a.wav", "answer": "low", "id": name} for name in ids]
    (tmp_path / "sounds.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(TaskError, match=sentence):
        create_task("sounds", data=tmp_path).load(1)


def test_a_row_that_moves_up_is_looked_at_too(asked_the_same):
    rows = [{"question": "In words?", "answer": "cat"}] + [
        {"question": "What?", "answer": "cat", "image": f"{colour}.png"} for colour in ("red", "blue", "green")
    ]
    (asked_the_same / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    samples, loaded = load_selected(create_task("file:text", data=asked_the_same), limit=2, shown=["In  words?"])
    assert [sample.metadata["image"] for sample in samples] == ["red.png", "blue.png"]
    assert [len(sample.observations) for sample in samples] == [1, 1]
    assert dict(loaded.removed) == {"shown in the prompt": 1}
