"""What a built wheel holds and resolves, installed outside the checkout: the editable install that other tests use hides it."""

import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("agents", "debate", "evals", "kernels")
ROOMS = (".", "debaters", "minds", "specialists", "topologies", "transforms")
# The weights of debaters are 28 MB of it, those of belief backends 1 MB, code 1.6 MB. More than a debater's on top is what nobody
# meant to ship.
LARGEST = 32_000_000
NOT_SHIPPED = ("bea", "hal")

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="compares the wheel with the files that git tracks"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


# In that environment: packages that are not to be found, as where no extra is installed.
CORE_ONLY = """
import os, sys
from importlib.machinery import PathFinder

WITHOUT = set(filter(None, os.environ.get("WITHOUT", "").split(",")))

class Core(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in WITHOUT else super().find_spec(name, path, target)

if WITHOUT:
    sys.meta_path[:] = [Core if finder is PathFinder else finder for finder in sys.meta_path]
"""
# What the extras bring and the core does without; sympy is torch's own.
EXTRAS = (
    *("accelerate", "gguf", "datasets", "math_verify", "matplotlib", "optuna", "pyarrow", "reasoning_gym", "scipy"),
    *("statsmodels", "peft", "sentence_transformers", "soundfile", "soxr", "sklearn", "vllm", "ray", "openai"),
    *("prometheus_client", "pandas", "pyte", "hypothesis", "IPython"),
)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the bin folder of an environment with the wheel, over the packages of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*pip, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    # Paths that a .pth names have no .pth files of their own read, so that the editable install stays out.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(others) + "\n")
    (site / "core_only.py").write_text(CORE_ONLY)
    (site / "core_only.pth").write_text("import core_only\n")
    return folder / "bin"


def ask(installed, folder, *command, code=0, **env):
    """Return what a command prints, run in an empty folder; of one that is refused its errors."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | {"COLUMNS": "200"}
    line = [str(installed / command[0]), *command[1:]]
    done = subprocess.run(line, cwd=folder, env=environment | env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def tracked():
    command = ["git", "ls-files", *PACKAGES, "configs"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def names_in(folder):
    return sorted(path.name for path in (ROOT / folder).iterdir() if path.name != "__pycache__")


def test_a_wheel_holds_every_file_of_the_packages_and_the_configs_and_little_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    meant = {re.sub("^configs/", "debate/shipped_configs/", name) for name in tracked()}
    # The viewer's sources are built into files beside them, which are there.
    folders = (*(f"agents/debaters/{one}/" for one in NOT_SHIPPED), "evals/viewer/web/")
    left_out = {name for name in meant if name.startswith(folders)}
    assert meant - held == left_out
    # No shipped config asks for what is not there.
    configs = [path.read_text() for path in (ROOT / "configs").rglob("*.yaml") if "training" not in path.parts]
    assert [name for name in NOT_SHIPPED if any(f"tiny/{name}" in text for text in configs)] == []
    assert "kernels/csrc/attention.cpp" in held
    assert {f"{package}/py.typed" for package in PACKAGES} <= held
    assert wheel.stat().st_size < LARGEST


FINDS = """
    import ast, importlib.metadata, importlib.util, json, re, sys
    from pathlib import Path

    from agents.backends.vllm import options
    from agents.beliefs.cards import create_belief_backend
    from agents.pretrained import DEBATERS, locate
    from agents.prompts import Prompts
    from agents.registry import names
    from debate.config.load import load_config
    from debate.config.shipped import configs_folder, find_config, prompts_folder, role_folder
    from kernels import native

    found = {"groups": {}, "configs": 0, "paths": {}}
    for group in ("debate.commands", "debate.backends", "debate.belief_backends", "debate.tasks"):
        found["groups"][group] = sorted(names(group))
        for point in importlib.metadata.entry_points(group=group):
            point.load()
    packages = [sys.modules[name] for name in ("agents", "debate", "evals", "kernels")]
    found["homes"] = sorted({str(Path(package.__file__).parent.parent) for package in packages})

    folder = configs_folder()
    for room in json.loads(sys.argv[1]):
        for path in (folder / room).glob("*.yaml"):
            load_config(path)
            assert find_config(path.relative_to(folder).with_suffix("")) == path
            found["configs"] += 1
    found["roles"] = sorted(path.name for path in prompts_folder("roles").iterdir())
    for file in (folder / "prompts").glob("*/initial.jinja"):
        Prompts(prompts_folder(file.parent.name), role=role_folder("judge"), shared=prompts_folder("shared")).check()
    found["debaters"] = sorted(path.name for path in DEBATERS.iterdir() if locate(f"tiny/{path.name}") == path)
    found["learner"] = create_belief_backend("discrete_functions", rule="learner").name
    found["sources"] = sorted(path.name for path in native._SOURCES.iterdir())

    workers = re.findall(r'"(agents[.][.\\w]+Worker)"', Path(options.__file__).read_text())
    for path in [*workers, *sys.argv[2:]]:
        module, name = path.rsplit(".", 1)
        origin = importlib.util.find_spec(module).origin
        assert name in {getattr(node, "name", "") for node in ast.parse(Path(origin).read_text()).body}, path
        found["paths"][path] = origin
    print(json.dumps(found))
"""
# What other processes import by its path; vLLM's two workers are named in our own sources.
ELSEWHERE = (
    "debate.runtime.ray.actor.EngineActor",
    "debate.runtime.ray.runner.RunnerActor",
    "evals.scoring.worker.main",
)


def test_every_name_resolves_from_the_wheel(installed, tmp_path):
    command = ("python", "-c", textwrap.dedent(FINDS), json.dumps(ROOMS), *ELSEWHERE)
    found = json.loads(ask(installed, tmp_path, *command).splitlines()[-1])
    (home,) = found["homes"]
    assert home.startswith(str(installed.parent))
    assert all(origin.startswith(home) for origin in found["paths"].values())
    assert len(found["paths"]) == 2 + len(ELSEWHERE)
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert found["groups"] == {group: sorted(points[group]) for group in found["groups"]}
    assert found["configs"] == sum(len(list((ROOT / "configs" / room).glob("*.yaml"))) for room in ROOMS)
    assert found["roles"] == names_in("configs/prompts/roles")
    assert found["debaters"] == [name for name in names_in("agents/debaters") if name not in NOT_SHIPPED]
    assert found["learner"] == "discrete_functions (learner)"
    assert found["sources"] == names_in("kernels/csrc")


def test_the_commands_run_from_the_wheel(installed, tmp_path):
    table = ask(installed, tmp_path, "debate", "eval", "smoke", "--limit", "2", "--out", "run")
    assert "cipher" in table
    assert (tmp_path / "run" / "results.json").is_file()
    said = ask(installed, tmp_path, "python", "-m", "debate", "run", "What is 3+4*5?", "--config", "smoke")
    assert "ada" in said


def test_the_core_alone_debates_and_evaluates_with_the_shipped_debaters(installed, tmp_path):
    core = {"WITHOUT": ",".join(EXTRAS)}
    said = ask(installed, tmp_path, "debate", "run", "What is the result of 3+4*5+6-2*7?", **core)
    assert "decision: 15" in said
    table = ask(
        installed, tmp_path, "debate", "eval", "debaters/experts", "--limit", "2", "--methods", "text,cipher", **core
    )
    assert "2 questions" in table
    assert "cipher" in table
    assert (tmp_path / "runs" / "experts" / "results.json").is_file()
    refused = ask(installed, tmp_path, "debate", "search", "smoke", "--trials", "2", code=2, **core)
    assert refused.count("pip install 'cipher-debate[evals]'") == 1
    assert "Traceback" not in refused


def test_completion_installs_itself(installed, tmp_path):
    # Which shell is meant is read from the processes above.
    ask(installed, tmp_path, "debate", "--help", HOME=str(tmp_path))
    line = ["bash", "-c", f"{installed / 'debate'} --install-completion; exit $?"]
    done = subprocess.run(
        line, cwd=tmp_path, env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bash completion installed" in done.stdout
    assert "debate" in (tmp_path / ".bashrc").read_text()
