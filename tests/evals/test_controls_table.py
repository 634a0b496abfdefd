"""The small table of docs/results.md on content controls comes out again, count by count."""

import asyncio
import re
from pathlib import Path

import pytest

from evals.analysis.run_hash import run_hash
from evals.analysis.run_record import read_run
from evals.evaluation import evaluate
from evals.experiment import experiment_config, load_experiment

RESULTS = Path(__file__).parents[2] / "docs" / "results.md"
QUESTIONS = 8


def printed():
    """Return row → right answers, and the hash, as the page has them."""
    text = RESULTS.read_text(encoding="utf-8")
    (found,) = re.findall(rf"Of the\s+first {QUESTIONS} questions alone \(run ([0-9a-f]{{12}})\): ([^.]*)\.", text)
    counts = {name: int(count) for name, count in re.findall(r"`([\w-]+)` (\d+)", found[1])}
    return counts, found[0]


@pytest.mark.filterwarnings("default")
def test_the_small_table_of_controls(tmp_path):
    counts, hash_ = printed()
    assert set(counts) == {"cipher", "top1", "swapped", "silence"}
    config = experiment_config(load_experiment("controls"), "arithmetic:held_out", {})
    rows = asyncio.run(evaluate(config, out=tmp_path / "run", methods=list(counts), limit=QUESTIONS))
    assert {row.method: row.correct for row in rows} == counts
    # Another kind of processor rounds otherwise, which may change an answer on the way: the hash is no promise between machines.
    assert len(hash_) == len(run_hash(read_run(tmp_path / "run")))
