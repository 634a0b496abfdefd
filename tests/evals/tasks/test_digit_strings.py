"""Strings of spoken digits as questions: the same noise again, answers in words and numerals, parts of the mark."""

import zipfile

import pytest
import torch
from support.small_data import digits, wav

from agents.errors import TaskError
from agents.models.sounds.spoken_digits import DIGITS
from evals.task import create_task


def test_a_string_is_the_same_again_and_its_noise_too(tmp_path):
    digits(tmp_path)
    clean, noisy, again = (create_task(f"digit_strings{v}", data=tmp_path).samples(3) for v in ("", ":0", ":0"))
    for a, b, c in zip(clean, noisy, again, strict=True):
        assert (a.id, a.target) == (b.id, b.target)
        assert torch.equal(b.observations[0].samples, c.observations[0].samples)
        assert not torch.equal(a.observations[0].samples, b.observations[0].samples)
        assert set(a.target.split()) <= set(DIGITS)
        assert a.target not in a.question
    other = create_task("digit_strings", data=tmp_path, seed=1).samples(3)
    assert [each.target for each in other] != [each.target for each in clean]
    assert len(create_task("digit_strings", data=tmp_path).load(201).samples) == 201


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("Answer: five five two", "five five two"),
        ("Answer: 5 5 2.", "five five two"),
        ("I heard 3. Answer: 552", "five five two"),
        ("one, then Two", "one two"),
        ("Answer: fifteen", None),
        ("No answer.", None),
    ],
)
def test_answers_are_read_as_words(said, want):
    assert create_task("digit_strings").extract(said) == want


@pytest.mark.parametrize(
    ("answer", "value", "credit"),
    [("one two three four", "correct", 1.0), ("one three four", "incorrect", 0.75), ("nine " * 9, "incorrect", 0.0)],
)
def test_a_part_of_the_mark_is_for_digits_that_are_right(answer, value, credit):
    score = create_task("digit_strings").score(answer.strip(), "one two three four")
    assert (score.value, score.credit) == (value, credit)
    assert create_task("digit_strings").score(None, "one").value == "no answer"


def test_without_recordings_there_is_a_sentence(tmp_path):
    with pytest.raises(TaskError, match="digit_strings has no hub source"):
        create_task("digit_strings").samples()
    with pytest.raises(TaskError, match="the spoken digits are not there"):
        create_task("digit_strings", data=tmp_path).samples()


def test_clips_of_several_rates_are_not_strung_together(tmp_path):
    """At the first clip's rate the others would be heard at another pitch."""
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        for name, rate in (("0_ada_0", 8000), ("1_bob_0", 16_000), ("1_bob_1", 16_000)):
            archive.writestr(f"{name}.wav", wav(bytes(800), rate=rate))
    assert len(create_task("digit_strings", data=tmp_path).samples()) == 200
    with zipfile.ZipFile(tmp_path / "test.zip", "a") as archive:
        archive.writestr("2_bob_0.wav", wav(bytes(800)))
    with pytest.raises(TaskError, match="at one rate; 1_bob_0 has 16000 Hz and 2_bob_0 8000: resample them"):
        create_task("digit_strings", data=tmp_path).samples()
