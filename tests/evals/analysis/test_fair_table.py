"""The fair table as a user has it: on the real model, and what the harness itself costs."""

import asyncio
import json
import time

import pytest

from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.evaluation import evaluate
from evals.outputs import write_outputs


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.slow
def test_on_smollm2_with_votes_at_equal_budget_and_continued(tmp_path, smollm2):
    settings = [f"model={smollm2}", "max_tokens=16", "rounds=2", "dtype=float32"]
    config = load_config(configs_folder() / "cipher_vs_text.yaml", settings)
    rows = {row.method: row for row in asyncio.run(evaluate(config, out=tmp_path / "run", limit=2))}
    assert list(rows) == ["single", "self-consistency@tokens", "self-consistency@time", "text", "cipher"]
    assert {row.total for row in rows.values()} == {2}
    chosen = json.loads((tmp_path / "run" / "budgets.json").read_text())
    # Two agents of two turns for the price of about four single answers.
    assert 3 <= chosen["self-consistency@tokens"]["k"] <= 5
    (analysis,) = write_outputs(tmp_path / "run")
    assert len(analysis.comparisons) == 7
    assert all("2 paired questions: not distinguishable" in found.sentence for found in analysis.comparisons)
    cipher = next(found for found in analysis.methods if found.name == "cipher")
    assert len(cipher.entropy) == 16
    assert 0 < cipher.calibration.error <= 1
    journal = (tmp_path / "run" / "journal.log").read_text()
    again = asyncio.run(evaluate(config, out=tmp_path / "run", limit=2))
    assert [row.generated_tokens for row in again] == [rows[row.method].generated_tokens for row in again]
    assert (tmp_path / "run" / "journal.log").read_text().count('"kind": "turn"') == journal.count('"kind": "turn"')


@pytest.mark.slow
def test_what_the_harness_computes_grows_with_the_questions_and_not_with_their_square(tmp_path):
    """Processor time of playing on the mock engine, scoring, writing, analysis and report."""
    config = load_config(configs_folder() / "smoke.yaml")

    def spent(limit: int, name: str) -> float:
        start = time.process_time()
        rows = asyncio.run(evaluate(config, out=tmp_path / name, limit=limit))
        write_outputs(tmp_path / name)
        assert [row.total for row in rows] == [limit] * 3
        return time.process_time() - start

    spent(8, "imports")
    # Four times the questions: sixteen times as long would be their square.
    assert spent(200, "many") <= 8 * spent(50, "few")
