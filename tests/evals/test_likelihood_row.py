"""The row that weighs the options, and what the table says of beliefs: read back from the run folder, without an engine."""

import asyncio
import json
import math

import pytest

from debate.config.load import validate
from evals.evaluation import evaluate
from evals.outputs import analyse_run, write_outputs

ROWS = [
    {"question": "Which animal lays eggs?", "choices": ["dog", "hen", "cow", "cat"], "answer": "B"},
    {"question": "Which animal gives milk to farms?", "choices": ["dog", "hen", "cow", "cat"], "answer": "C"},
]


@pytest.fixture
def played(tmp_path):
    """Return a finished run: options weighed, and a CIPHER debate that always ends in B."""
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    raw = {
        "backend": "mock",
        "model": "mock",
        "options": {"script": {".": "I think so. Answer: B"}},
        "task": "mmlu:formal_logic",
        "rounds": 2,
        "message": "cipher",
        "agents": {"ada": {"temperature": 0.5}, "ben": {"temperature": 1.0}},
    }
    out = tmp_path / "run"
    methods = ["likelihood", "likelihood:texts", "single", "cipher"]
    asyncio.run(evaluate(validate(raw, source="test"), out=out, methods=methods, data=questions))
    return out


def test_beliefs_are_read_back_and_scored(played):
    found = {summary.name: summary for summary in analyse_run(played).methods}
    assert found["single"].held is None
    weighed = found["likelihood"].held
    assert (weighed.count, weighed.exact, weighed.correct.count) == (2, 2, 1)
    # The mock weighs 0.7 to 0.1 to 0.1 to 0.1 after a reply that ends in B.
    assert weighed.probability == pytest.approx((0.7 + 0.1) / 2)
    assert weighed.nll == pytest.approx(-(math.log(0.7) + math.log(0.1)) / 2)
    assert weighed.calibration.error == pytest.approx(abs(0.7 - 0.5))
    assert found["likelihood"].budget.generated_tokens == 0
    assert found["likelihood"].accuracy.count == 1
    spoken = found["cipher"].held
    assert (spoken.count, spoken.correct.count) == (2, 1)
    # The mock doubts between bytes, so of what a spoken "B" holds A, C and D have a part.
    assert 0 < spoken.probability < 0.9


def test_page_and_parquet_have_them(played):
    write_outputs(played)
    assert "Beliefs over the options" in (played / "report.html").read_text()
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `evals` brings it")
    rows = parquet.read_table(played / "turns.parquet").to_pylist()
    weighed = [dict(row["belief"]) for row in rows if row["method"] == "likelihood"]
    assert weighed[0] == pytest.approx({"A": 0.1, "B": 0.7, "C": 0.1, "D": 0.1})
    assert all(row["belief"] is None for row in rows if row["method"] == "single")
