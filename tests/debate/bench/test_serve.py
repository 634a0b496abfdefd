"""`debate bench serve` on small figures: the server is a process, and what is counted adds up."""

import json

from typer.testing import CliRunner

from debate.cli.app import app


def test_a_few_streams_and_the_speed_beside_an_evaluation(tmp_path):
    out = tmp_path / "figures.json"
    streams = ["--streams", "3", "--seconds", "2", "--turn-seconds", "0.3"]
    beside = ["--config", "smoke", "--questions", "4", "--concurrent", "2"]
    said = CliRunner().invoke(app, ["bench", "serve", *streams, *beside, "--out", str(out)])
    assert said.exit_code == 0, said.output
    found = json.loads(out.read_text())
    streams, beside = found["streams"], found["eval"]
    assert streams["errors"] == 0
    assert streams["turns"] == 6 * streams["debates"] > 0
    assert 0 <= streams["late_ms"]["p50"] <= streams["late_ms"]["p99"]
    assert streams["cpu_ms_per_turn"] > 0
    assert len(streams["memory_mib"]) == 4
    assert beside["share"] == beside["served_tokens_per_s"][0] / beside["eval_tokens_per_s"][0] > 0
