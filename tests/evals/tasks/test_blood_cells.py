"""The task of blood cells: as many questions of each kind, slides by their lists, harm, and answers in words."""

import asyncio

import pytest
import torch
from support.small_data import smears
from support.small_picture_models import small_pluto
from typer.testing import CliRunner

from agents.errors import TaskError
from agents.models.fusion.config import NOT_CLINICAL
from agents.models.pluto.bccd import LABELS
from debate.cli.app import app
from debate.config.load import validate
from evals.evaluation import evaluate
from evals.task import create_task
from evals.viewer.run_view import RunView

pytest.importorskip("PIL")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smears(tmp_path_factory.mktemp("smears"))


def test_each_kind_of_cell_is_asked_about_as_often(folder):
    task = create_task("blood_cells", data=folder)
    samples = task.samples()
    assert sorted(sample.target for sample in samples) == sorted(2 * LABELS)
    assert all(task.labels(sample) == LABELS for sample in samples)
    assert {sample.observations[0].pixels.shape for sample in samples} == {(3, 128, 128)}
    assert samples[0].question.startswith(
        "Picture 1: which cell is in its middle? red cell, white cell, platelet. Not for"
    )
    assert len({sample.id for sample in samples}) == len(samples)
    assert [s.id for s in samples] == [s.id for s in create_task("blood_cells", data=folder).samples()]
    train = create_task("blood_cells", data=folder, split="train").samples()
    slides = [{sample.metadata["image"][:16] for sample in each} for each in (samples, train)]
    assert not slides[0] & slides[1]


def test_whole_smears_are_asked_about_platelets(folder):
    task = create_task("blood_cells:slide", data=folder)
    samples = task.samples()
    assert sorted(sample.target for sample in samples) == ["no", "yes", "yes"]
    assert samples[0].observations[0].pixels.shape == (3, 192, 200)
    assert task.labels(samples[0]) == ("yes", "no")


def test_pictures_are_harmed_the_same_in_every_run(folder):
    plain = {s.id: s.observations[0].pixels for s in create_task("blood_cells", data=folder).samples()}
    for variant in ("noise-0.2", "grey"):
        once, again = (
            {s.id: s.observations[0].pixels for s in create_task(f"blood_cells:{variant}", data=folder).samples()}
            for _ in range(2)
        )
        assert all(torch.equal(once[name], again[name]) for name in plain)
        assert not any(torch.equal(once[name], plain[name]) for name in plain)
        if variant == "grey":
            assert all(torch.equal(pixels[0], pixels[2]) for pixels in once.values())
    assert create_task("blood_cells:slide-noise-0.05", data=folder).samples()[0].metadata["harm"] == "noise-0.05"


@pytest.mark.parametrize(
    ("name", "said", "want"),
    [
        ("blood_cells", "Not for clinical use. Answer: white cell", "white cell"),
        ("blood_cells", "It is a platelet.", "platelet"),
        ("blood_cells", "red cell or platelet", None),
        ("blood_cells", "a red cell? no. Answer: a white cell, not a red one", "white cell"),
        ("blood_cells", "Answer: yes", None),
        ("blood_cells:slide", "Answer: Yes.", "yes"),
        ("blood_cells:slide", "there are no platelets", "no"),
        ("blood_cells:slide", "Answer: platelets", None),
    ],
)
def test_an_answer_is_one_of_the_words(name, said, want, folder):
    assert create_task(name, data=folder).extract(said) == want


def test_a_smear_is_debated_and_shown(folder, tmp_path):
    """Two agents with half of the tiles each; the debate is shown with its picture, and every answer with its warning."""
    checkpoint = small_pluto(tmp_path / "pluto", labels=LABELS)["checkpoint"]
    agents = {
        name: {
            "backend": "pluto",
            "checkpoint": checkpoint,
            "pool": "linear",
            "options": {"about": "slide", "share": share},
        }
        for name, share in (("even", [0, 2]), ("odd", [1, 2]))
    }
    config = validate(
        {"backend": "mock", "model": "mock", "task": "blood_cells:slide", "rounds": 2, "agents": agents}, source="test"
    )
    asyncio.run(evaluate(config, out=tmp_path / "run", methods=["cipher"], data=folder, limit=1))
    view = RunView(tmp_path / "run")
    (question,) = view.index.questions()
    debate = view.debate("cipher", question)
    assert debate["question"]["picture"].startswith("data:image/png;base64,")
    assert all(NOT_CLINICAL in turn["text"] for turn in debate["turns"])
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "run")]).output
    assert "image: BloodImage_" in shown
    assert NOT_CLINICAL in shown


def test_other_files_are_sentences(tmp_path):
    with pytest.raises(TaskError, match=r"give a folder with BCCD's images\.zip"):
        create_task("blood_cells").samples()
    with pytest.raises(TaskError, match="the slides are not there"):
        create_task("blood_cells", data=tmp_path).samples()


def test_the_real_smears_are_read(benchmark):
    folder = benchmark("bccd/images.zip").parent
    samples = create_task("blood_cells", data=folder).samples()
    assert {label: sum(sample.target == label for sample in samples) for label in LABELS} == dict.fromkeys(LABELS, 69)
