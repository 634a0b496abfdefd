"""CONTRIBUTING's page of extension points: every block is imported as it stands, named by its config, and plays."""

import asyncio
import re
import sys
import threading
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from agents import pretrained
from debate.config.load import validate
from evals.evaluation import evaluate

PAGE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text().partition("## All extension points")[2]
SECTION = re.compile(
    r"^### ([^\n\[]+?)(?: \[[^\n]*\])?\n.*?```python\n(.*?)```\n```(\w+)\n(.*?)```", re.MULTILINE | re.DOTALL
)
POINTS = {name: (code, kind, text) for name, code, kind, text in SECTION.findall(PAGE)}
BASE = {
    "backend": "mock",
    "model": "mock",
    "task": "arithmetic",
    "agents": {"ada": {}, "ben": {}, "cy": {}},
    "rounds": 2,
    "max_tokens": 40,
    "decision": "majority",
}


@pytest.fixture
def mine(request, monkeypatch, tmp_path):
    """Write the block as the module `mine`, and return the names of its functions that are called."""
    # A model that a transform of the page makes is not left in the user's cache.
    monkeypatch.setattr(pretrained, "cache_home", lambda: tmp_path / "home")
    file = tmp_path / "mine.py"
    file.write_text(POINTS[request.param][0])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    called = set()

    def note(frame, event, argument):
        if event == "call" and frame.f_code.co_filename == str(file):
            called.add(frame.f_code.co_name)

    threading.setprofile(note)
    sys.setprofile(note)
    yield called
    sys.setprofile(None)
    threading.setprofile(None)
    sys.modules.pop("mine", None)


def test_the_page_has_every_extension_point():
    assert set(POINTS) == {
        *(
            "Topology",
            "Protocol",
            "Stopping rule",
            "Decision",
            "Verifier",
            "Pool",
            "Encoder",
            "Backend",
            "Belief backend",
        ),
        *("Task", "Scorer", "Kind of agent", "Transform", "Attention", "Command"),
    }
    assert len(re.findall(r"^### ", PAGE, re.MULTILINE)) == len(POINTS)


@pytest.mark.parametrize(
    ("mine", "config"),
    [(name, yaml.safe_load(text)) for name, (_, kind, text) in POINTS.items() if kind == "yaml"],
    indirect=["mine"],
    ids=[name for name, (_, kind, _) in POINTS.items() if kind == "yaml"],
)
def test_an_extension_plays_as_the_page_writes_it(mine, config, tmp_path):
    found = validate({**BASE, **config}, source="CONTRIBUTING.md")
    (result,) = asyncio.run(evaluate(found, out=tmp_path / "run", methods=[found.message], limit=2))
    assert (result.total, result.failed) == (2, 0)
    defined = set(re.findall(r"def (\w+)", (tmp_path / "mine.py").read_text()))
    # An encoder is asked in one of two ways, by whether the machine compiles; a checkpoint is for whoever trains one.
    assert defined - mine <= {"weights", "mix", "save_pretrained"}
    assert not {"weights", "mix"} <= defined - mine


@pytest.mark.parametrize("mine", ["Command"], indirect=True)
def test_a_module_adds_a_command(mine):
    from debate.cli.app import app

    before = list(app.registered_commands)
    try:
        __import__("mine")
        said = CliRunner().invoke(app, ["hello", "--name", "you"])
    finally:
        app.registered_commands[:] = before
    assert (said.exit_code, said.output) == (0, "hello, you\n")
    assert 'entry-points."debate.commands"' in POINTS["Command"][2]
