"""A small table of the witnesses, played again from the shipped models by the command that makes the large one: exact counts."""

import json

import pytest
import torch
from typer.testing import CliRunner

from debate.cli.app import app
from evals.task import create_task
from evals.tasks.optima import optima

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WORLD, QUESTIONS = "eight_mid", 40
# Right of the first test questions in float32, on a processor with AVX-512.
RIGHT = {
    "bayes": 20,
    "single": 4,
    "text": 12,
    "shares": 5,
    "shares-read": 19,
    "trained": 18,
    "trained-top1": 9,
    "trained-exact": 18,
    "cipher-belief": 14,
    "trained-belief": 18,
}
# Elsewhere another rounding may turn an answer or two.
BAND = 3


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("witnesses")
    played = [name for name in RIGHT if name not in ("bayes", "shares-read")]
    arguments = ["--shipped", "--worlds", WORLD, "--limit", str(QUESTIONS), "--methods", ",".join(played)]
    result = CliRunner().invoke(app, ["witnesses", "--out", str(out), *arguments])
    assert result.exit_code == 0, result.output
    # The same table again, from the run folders alone.
    again = CliRunner().invoke(app, ["witnesses", "--out", str(out), "--table"])
    assert again.exit_code == 0, again.output
    figures = json.loads((out / "witnesses.json").read_text())
    assert figures["digest"] in again.output
    assert figures["digest"] in result.output
    return figures["worlds"][0], (out / "witnesses.md").read_text()


def test_counts_are_exact(found):
    table, _ = found
    counts = {name: cell["counts"][0] for name, cell in table["cells"].items()}
    assert set(counts) == set(RIGHT)
    exact = torch.backends.cpu.get_cpu_capability() == "AVX512"
    for name, right in RIGHT.items():
        assert abs(counts[name] - right) <= (0 if exact or name == "bayes" else BAND), counts


def test_what_is_exact_stands_beside_it(found):
    table, page = found
    exact = optima(create_task(f"witnesses:{WORLD}").world)
    assert table["optima"]["bayes"] == exact.bayes
    assert f"{100 * exact.strings()['text']:.1f} (exact)" in page
    assert table["cells"]["bayes"]["gain"] == 1
    assert table["cells"]["single"]["gain"] == 0


def test_the_listener_gains_what_text_cannot_carry_and_top1_loses_it(found):
    gain = {name: cell["gain"] for name, cell in found[0]["cells"].items()}
    assert gain["trained"] > gain["text"] + 0.1
    assert gain["trained"] > gain["trained-top1"] + 0.3


def test_shares_are_stated_rightly(found):
    """Who reads them gets what shares can carry; the tokens are kim's forty, her stop and the hearer's five."""
    table, page = found
    stated = table["stated"]["shares"]
    assert stated["readable"] == 1
    assert stated["exact"] > 0.98
    assert stated["error"] < 0.06
    assert table["cells"]["shares-read"]["tokens"] == table["cells"]["shares"]["tokens"] == 46
    assert table["cells"]["shares-read"]["gain"] > table["cells"]["text"]["gain"] + 0.1
    assert f"{100 * stated['exact']:.1f} % of their digits are the exact ones" in page


def test_the_reader_is_calibrated_and_the_listener_weighs_more_than_who_never_heard_a_vector(found):
    distance, error = found[0]["reader"]
    assert distance < 0.1
    # Of 160 places in ten bins, chance alone leaves some.
    assert error < 0.15
    hearers = found[0]["hearers"]
    assert hearers["trained-belief"]["slope"] > hearers["cipher-belief"]["slope"] + 0.1
    assert hearers["trained-belief"]["distance"] < hearers["cipher-belief"]["distance"] / 2
