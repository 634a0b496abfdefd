"""What a help text costs: nothing heavy is imported for it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAVY = (
    *("torch", "transformers", "numpy", "networkx", "pydantic", "yaml", "jinja2", "safetensors", "huggingface_hub"),
    *("datasets", "matplotlib", "optuna", "pyarrow", "ray", "scipy", "statsmodels", "sympy", "vllm", "openai"),
)
HELPS = """
import contextlib, io, json, sys
from debate.cli import app as home, main

def ask(*command):
    sys.argv = ["debate", *command]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
    return [name for name in json.loads(HEAVY) if name in sys.modules]

HEAVY = sys.argv[1]
found = {"--help": ask("--help"), "--version": ask("--version")}
for info in home.app.registered_commands:
    name = info.name or info.callback.__name__.replace("_", "-")
    found[name] = ask(name, "--help")
for group in home.app.registered_groups:
    for info in group.typer_instance.registered_commands:
        name = info.name or info.callback.__name__.replace("_", "-")
        found[f"{group.name} {name}"] = ask(group.name, name, "--help")
print(json.dumps(found))
"""


def test_no_help_imports_anything_heavy():
    script = HELPS.replace(
        "from debate.cli import app as home, main", "import debate.cli.app as home\nfrom debate.cli import main"
    )
    command = [sys.executable, "-c", script, json.dumps(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) > 25
    assert found.pop("--help") == found.pop("--version") == []
    # The command line's library reads the values of options by pydantic.
    assert {name: heavy for name, heavy in found.items() if set(heavy) - {"pydantic"}} == {}


COUNT = """
import contextlib, io, sys
from debate.cli import main

with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(len(sys.modules))
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_it_imports_little(option):
    """A start is as long as what it imports, whatever the machine is busy with: 302 modules, 0.2 to 0.4 s of CPU."""
    done = subprocess.run([sys.executable, "-c", COUNT, option], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < 360


def test_an_option_of_several_commands_is_declared_once():
    declared = {}
    for path in sorted([*(ROOT / "debate/cli").glob("*.py"), *(ROOT / "evals/cli").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Annotated":
                declared.setdefault(ast.unparse(node), []).append(path.name)
    # Arguments and options that are the same to the letter.
    assert {text: files for text, files in declared.items() if len(files) > 1} == {}
