"""Pictures, pages and files that are derived from results may fail: results are there first, and a failure is a warning."""

import json
import sys
import warnings

import pytest

from debate.cli import main
from evals.analysis.derived import derived, warn_user


def debate(*arguments):
    """Return the exit code of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["debate", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
    return caught.value.code or 0


def fail(*_, **__):
    raise RuntimeError("no fonts here")


@pytest.mark.parametrize(
    ("broken", "missing"),
    [
        ("evals.outputs.write_page", "report.html"),
        ("evals.outputs.write_turns", "turns.parquet"),
        ("evals.outputs.write_lm_eval", "lm_eval"),
        ("evals.outputs.analyse", "report.html"),
    ],
)
def test_whatever_fails_behind_the_results_every_task_is_played_and_shown(
    tmp_path, monkeypatch, capsys, broken, missing
):
    monkeypatch.setattr(broken, fail)
    tasks = "arithmetic,arithmetic6"
    assert (
        debate("eval", "smoke", "--tasks", tasks, "--methods", "text", "--limit", "2", "--out", tmp_path / "runs") == 0
    )
    shown = capsys.readouterr()
    assert shown.err.count("RuntimeError: no fonts here") >= 2
    assert shown.out.count("text") >= 2
    for task in tasks.split(","):
        run = tmp_path / "runs" / task
        assert json.loads((run / "results.json").read_text())["methods"]["text"]["total"] == 2
        assert json.loads((run / "run.json").read_text())["status"] == "finished"
        assert not (run / missing).exists()
    monkeypatch.undo()
    assert debate("report", tmp_path / "runs" / "arithmetic") == 0
    assert (tmp_path / "runs" / "arithmetic" / missing).exists()


def test_a_place_that_cannot_be_written_is_a_warning_too(tmp_path, capsys):
    assert debate("eval", "smoke", "--methods", "text", "--limit", "1", "--out", tmp_path / "run") == 0
    for name in ("report.html", "turns.parquet"):
        (tmp_path / "run" / name).unlink()
        (tmp_path / "run" / name).mkdir()
    assert debate("eval", "smoke", "--methods", "text", "--limit", "1", "--out", tmp_path / "run") == 0
    # A terminal breaks lines where it likes.
    said = "".join(capsys.readouterr().err.split())
    assert "report.html:notmade(cannotwrite" in said
    assert "turns.parquet:notmade(cannotwrite" in said


def test_by_default_a_failure_warns_as_python_does():
    with (
        pytest.warns(UserWarning, match=r"^the page: not made \(RuntimeError: no fonts here\)"),
        derived("the page", warn_user),
    ):
        fail()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with derived("the page", warn_user):
            pass
