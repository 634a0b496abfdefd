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
@pytest.mark.long
def test_five_hundred_questions_cost_the_harness_less_than_ten_seconds(tmp_path, monkeypatch):
    """Processor time outside the engine: playing, scoring, writing, analysis, report and its libraries' imports."""
    from agents.backends import mock

    engine = 0.0
    message = mock.MockBackend._message

    def timed(self, request, ids):
        nonlocal engine
        start = time.process_time()
        try:
            return message(self, request, ids)
        finally:
            engine += time.process_time() - start

    monkeypatch.setattr(mock.MockBackend, "_message", timed)
    config = load_config(configs_folder() / "smoke.yaml")
    start = time.process_time()
    rows = asyncio.run(evaluate(config, out=tmp_path / "run", limit=500))
    write_outputs(tmp_path / "run")
    harness = time.process_time() - start - engine
    assert [row.total for row in rows] == [500, 500, 500]
    assert harness < 10
