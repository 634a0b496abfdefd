"""Grades of a voice: people of the test are nobody else's, a channel may be left out, and a grade is read out of words."""

import pytest
import torch
from support.small_data import voices

from agents.errors import TaskError
from agents.models.fusion.voice import CHANNELS, CONFIG
from evals.task import create_task


def test_every_fifth_person_is_asked_about_and_shown_in_columns(tmp_path):
    test, train = (
        create_task("voice_severity", data=voices(tmp_path), split=split).samples() for split in ("test", "train")
    )
    assert {sample.metadata["person"] for sample in test} == {5, 10, 15, 20}
    assert len({sample.metadata["person"] for sample in train}) == 16
    sample = test[0]
    (series,) = sample.observations
    assert series.names == CONFIG.columns
    assert sample.target == str(sample.metadata["person"] % 4 + 1)
    assert f"Jitter(%) {float(series.values[0, 0]):.4g}, " in sample.question
    assert sample.question.endswith("or 4 (36 or more)? Not for clinical use.")


def test_a_channel_may_be_left_out(tmp_path):
    whole = create_task("voice_severity", data=voices(tmp_path)).samples()
    without = create_task("voice_severity:without-loudness", data=tmp_path).samples()
    assert [sample.id for sample in whole] == [sample.id for sample in without]
    (one,), (other,) = whole[0].observations, without[0].observations
    assert not set(other.names) & set(CHANNELS["loudness"])
    kept = [one.names.index(name) for name in other.names]
    assert torch.equal(one.values[:, kept], other.values)
    assert "Shimmer" not in without[0].question


def test_a_grade_is_read(tmp_path):
    task = create_task("voice_severity", data=voices(tmp_path))
    assert task.labels(task.samples(1)[0]) == ("1", "2", "3", "4")
    read = task.extract
    assert (read("Answer: 3"), read("Not for clinical use. Answer: 2."), read("It is 4"), read("1 or 2")) == (
        "3",
        "2",
        "4",
        None,
    )
    assert read("Answer: 3.5") is None
    with pytest.raises(TaskError, match="give a folder with parkinsons_updrs.csv"):
        create_task("voice_severity").samples()
    with pytest.raises(TaskError, match="is not there"):
        create_task("voice_severity", data=tmp_path / "nowhere").samples()
