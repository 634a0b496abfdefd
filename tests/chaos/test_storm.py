"""A short storm; `make chaos` has the long ones."""

import pytest
from chaos.storm import problems, storm


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_bytes(tmp_path):
    killed, wrong = storm(tmp_path, kills=5, limit=150, seed=3)
    assert killed >= 3
    assert wrong == []
    # The comparison can fail: a message that nobody named, and another answer.
    (next((tmp_path / "disturbed" / "messages").iterdir()) / ("0" * 64 + ".safetensors")).write_bytes(b"")
    results = tmp_path / "disturbed" / "results.json"
    results.write_text(results.read_text().replace('"correct": ', '"correct": 1'))
    assert "results differs" in problems(tmp_path / "disturbed", tmp_path / "undisturbed")
    assert any("named by nobody" in problem for problem in problems(tmp_path / "disturbed", tmp_path / "undisturbed"))
