"""A small table of the witnesses, played again from the shipped models by the command that makes the large one: exact counts."""

import json
import shutil

import pytest
import torch
from typer.testing import CliRunner

from agents.errors import RunError
from debate.cli.app import app
from evals.task import create_task
from evals.tasks.optima import optima
from evals.witnesses.reading import read_world
from evals.witnesses.table import tabulate

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WORLD, QUESTIONS = "eight_mid", 40
# Right of the first test questions in float32, on a processor with AVX-512.
RIGHT = {
    "bayes": 20,
    "single": 4,
    "text": 12,
    "shares": 5,
    "shares-read": 20,
    "trained": 18,
    "trained-top1": 9,
    "trained-exact": 18,
    "cipher-belief": 14,
    "trained-belief": 18,
}
# Elsewhere another rounding may turn an answer or two.
BAND = 3


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("witnesses")


@pytest.fixture(scope="module")
def found(out):
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
    assert stated["error"] < 0.01
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


def test_worlds_of_files_have_the_file_s_name_and_two_of_one_name_are_refused(tmp_path):
    for name, noise in (("near", "[[1], [2]]"), ("far", "[[5], [6]]")):
        world = tmp_path / f"{name}.yaml"
        world.write_text(f"{{symbols: 4, length: 4, glimpses: 2, noise: {noise}}}\n")
        run = tmp_path / "seed-1" / name
        arguments = [
            "--task",
            "witnesses",
            "--data",
            str(world),
            "--methods",
            "single",
            "--limit",
            "2",
            "--out",
            str(run),
        ]
        result = CliRunner().invoke(app, ["eval", "configs/debaters/witnesses.yaml", *arguments])
        assert result.exit_code == 0, result.output
        assert read_world(run).name == name
    assert [table.name for table in tabulate(tmp_path).worlds] == ["far", "near"]
    shutil.copytree(tmp_path / "seed-1" / "near", tmp_path / "seed-1" / "again")
    with pytest.raises(
        RunError, match=r"again and .*near are both runs of the world near by seed 1; leave one of them"
    ):
        tabulate(tmp_path)
