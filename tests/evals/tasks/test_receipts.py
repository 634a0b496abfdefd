"""Questions about receipts: whole receipts in a split, lines in a drawn order, any line that states the value right."""

import asyncio
import json

import pytest
from support.small_data import receipts
from typer.testing import CliRunner

from agents.errors import TaskError
from agents.models.documents.receipts import read_receipts
from agents.observation import Document
from debate.cli.app import app
from debate.config.load import validate
from evals.datasets.observed import page_lines
from evals.evaluation import evaluate
from evals.sample import Sample
from evals.samples import read_shown, write_samples
from evals.task import create_task


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return receipts(tmp_path_factory.mktemp("receipts"))


def test_whole_receipts_are_asked_about_their_fields(folder):
    asked = {split: create_task("receipts", data=folder, split=split).load().samples for split in ("test", "train")}
    names = {split: {sample.metadata["receipt"] for sample in samples} for split, samples in asked.items()}
    assert names["test"] == {each.name for each in read_receipts(folder, "test")}
    assert not names["test"] & names["train"]
    assert len(asked["test"]) == 4 * len(names["test"])
    only = create_task("receipts:total", data=folder).load().samples
    assert [sample.id for sample in only] == [each.id for each in asked["test"] if each.id.endswith("-total")]


def test_the_order_of_lines_is_drawn_and_tells_nothing(folder):
    known = {each.name: each for each in read_receipts(folder, "test")}
    orders = set()
    for sample in create_task("receipts:total", data=folder).load().samples:
        (page,) = sample.observations
        receipt = known[sample.metadata["receipt"]]
        assert isinstance(page, Document)
        assert sorted(page.lines) == sorted(receipt.lines)
        order = tuple(receipt.lines.index(line) for line in page.lines)
        orders.add(order)
        # A box goes with its line, and options stand as lines do.
        assert all(page.boxes[place].equal(receipt.boxes[rank]) for place, rank in enumerate(order))
        assert sample.options == page.lines
        assert sample.question.split("\n- ")[1:] == list(sample.options)
    assert len(orders) > 1
    assert tuple(range(9)) not in orders


def test_any_line_that_states_the_value_is_right():
    task = create_task("receipts")
    options = ("TOTAL", "TOTAL: 7.70", "CASH 7.70", "7.70", "TEA  1")
    sample = Sample("s", "?", "7.70", options, {"right": ["TOTAL: 7.70", "7.70", "CASH 7.70"]})
    answers = {
        "Answer: cash 7.70": ("CASH 7.70", "correct"),
        "Answer: TOTAL": ("TOTAL", "incorrect"),
        "It is this.\nAnswer: TOTAL: 7.70\n": ("TOTAL: 7.70", "correct"),
        "Answer: the line TOTAL: 7.70 of them": ("TOTAL: 7.70", "correct"),
        "TEA 1": ("TEA  1", "incorrect"),
        "Answer: tea": ("TEA  1", "incorrect"),
        "Answer: e": (None, "no answer"),
        "": (None, "no answer"),
    }
    for response, (line, value) in answers.items():
        found = task.extract(response, options)
        assert (found, task.score_sample(found, sample).value) == (line, value), response
    assert task.extract("Answer: X  Y") == "x y"


def test_a_page_is_kept_with_its_boxes_and_shown(folder, tmp_path):
    samples = create_task("receipts", data=folder).samples(2)
    write_samples(tmp_path, samples)
    (first, picture), _ = read_shown(tmp_path)
    assert picture.startswith("iVBOR")
    lines = page_lines(first.metadata)
    assert len(lines) == 9
    assert lines[0].endswith(f"  {samples[0].options[0]}")
    assert [float(edge) for edge in lines[0].split()[:4]] == pytest.approx(
        samples[0].observations[0].boxes[0].tolist(), abs=1e-3
    )
    for damaged in ({}, {"page": 3}, {"page": [["a", 1, 2, 3]]}, {"page": [["a", 1, 2, 3, "x"]]}):
        assert page_lines(damaged) == []


def test_debate_show_lists_the_lines_and_no_command_to_the_terminal(folder, tmp_path):
    run = tmp_path / "run"
    agents = {"rules": {"backend": "document_rules"}}
    config = {"backend": "mock", "model": "mock", "task": "receipts", "rounds": 1, "agents": agents}
    asyncio.run(evaluate(validate(config, source="test"), out=run, methods=["cipher"], data=folder, limit=1))
    path = run / "samples.jsonl"
    row = json.loads(path.read_text())
    row["metadata"]["page"][0][0] = "\x1b[31mTOTAL [bold]"
    path.write_text(json.dumps(row) + "\n")
    shown = CliRunner().invoke(app, ["show", str(run), "--limit", "1"]).output
    assert "page: left top right bottom" in shown
    assert "TOTAL [bold]" in shown
    assert "\x1b" not in shown
    found = json.loads(CliRunner().invoke(app, ["show", str(run), "--json"]).output)["debates"][0]["looked_at"]
    assert len(found["page"]) == 9


def test_pages_have_their_pictures_where_they_are_there(tmp_path):
    pytest.importorskip("PIL")
    sample = create_task("receipts", data=receipts(tmp_path, pictures=True)).samples(1)[0]
    # Lines take up 5 to 95 across, and 10 to 94 down.
    assert sample.observations[0].image.pixels.shape == (3, 84, 90)


def test_what_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(TaskError, match="receipts has no hub source: give a folder with box_and_key.zip with --data"):
        create_task("receipts").samples()
    with pytest.raises(TaskError, match="the receipts are not there"):
        create_task("receipts", data=tmp_path).samples()
