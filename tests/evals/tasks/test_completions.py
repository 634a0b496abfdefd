"""Completions of pictures as questions: what is hidden, which is true, and what stands in the others."""

import pytest
import torch
from support.small_data import things
from support.small_picture_models import THINGS

from agents.errors import TaskError, UnknownName
from agents.models.vision.cifar10 import read_cifar10
from evals.task import create_task

pytest.importorskip("PIL")


def test_one_of_four_completions_is_the_picture(tmp_path):
    task = create_task("completions", data=things(tmp_path))
    samples = task.samples()
    pictures = {each.name: each.image.pixels for each in read_cifar10(tmp_path, "test")}
    assert len(samples) == len(THINGS)
    for sample in samples:
        (image,) = sample.observations
        own, hidden = pictures[sample.metadata["image"]], image.hidden[:, :32]
        assert int(hidden.sum()) == 16**2
        panels = image.pixels.split(32, 2)
        assert torch.equal(image.hidden, hidden.repeat(1, 4))
        for letter, panel, source in zip("ABCD", panels, sample.metadata["fillings"], strict=True):
            assert torch.equal(panel, own) is (letter == sample.target)
            assert torch.equal(panel[:, ~hidden], own[:, ~hidden])
            assert torch.equal(panel[:, hidden], pictures[source][:, hidden])
    again = create_task("completions", data=tmp_path).samples()
    assert [sample.target for sample in again] == [sample.target for sample in samples]
    assert len({sample.target for sample in samples}) > 1
    wide = create_task("completions:hidden-0.5", data=tmp_path).samples(1)[0]
    assert int(wide.observations[0].hidden.sum()) == 4 * 23**2
    assert task.labels(samples[0]) == ("A", "B", "C", "D")
    assert (task.extract("Answer: B"), task.extract_strict("Answer: B"), task.extract("none")) == ("B", "B", None)


def test_what_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(TaskError, match="give a folder with train.zip and test.zip"):
        create_task("completions").samples()
    with pytest.raises(TaskError, match="the pictures are not there"):
        create_task("completions", data=tmp_path).samples()
    with pytest.raises(UnknownName, match="variant of task .completions. .hidden.. Known: hidden-0.5"):
        create_task("completions:hidden", data=tmp_path)


def test_a_picture_with_a_hidden_part_says_which(tmp_path):
    for sample in create_task("cifar10:hidden-0.5", data=things(tmp_path)).samples(3):
        (image,) = sample.observations
        assert int(image.hidden.sum()) == 23**2
        assert (image.pixels[:, image.hidden] == 0.5).all()
        assert image.modality == "image"
