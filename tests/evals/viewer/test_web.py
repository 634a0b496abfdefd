"""The viewer's front end: built from the sources that lie beside it, with licences, types checked, its data layer tested."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "evals" / "viewer" / "web"
STATIC = WEB.parent / "static"


def test_what_is_built_is_built_from_these_sources():
    digest = hashlib.sha256()
    for name in ["package-lock.json", *sorted(f"src/{path.name}" for path in (WEB / "src").iterdir())]:
        digest.update(f"{name}\0".encode() + (WEB / name).read_bytes() + b"\0")
    assert (STATIC / "SOURCES.sha256").read_text().strip() == digest.hexdigest(), (
        "evals/viewer/static is older than evals/viewer/web: run `npm ci && npm run build` there"
    )


def test_every_library_in_it_has_its_licence_and_its_version_locked():
    wanted = json.loads((WEB / "package.json").read_text())["dependencies"]
    locked = json.loads((WEB / "package-lock.json").read_text())["packages"]
    notices = (STATIC / "LICENSES.txt").read_text()
    for name, version in wanted.items():
        found = locked[f"node_modules/{name}"]
        assert found["version"] == version
        assert found["integrity"].startswith("sha512-")
        assert f"{name} {version} ({found['license']})" in notices


def node(*arguments):
    if shutil.which("node") is None:
        pytest.skip("the data layer's own tests need Node.js, which is not here")
    return subprocess.run(["node", *arguments], cwd=WEB, capture_output=True, text=True, timeout=120)


def test_the_data_layers_own_tests_pass():
    done = node("--test", *sorted(str(path) for path in (WEB / "test").glob("*.test.js")))
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_types_fit():
    compiler = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.is_file():
        pytest.skip("types are checked where `npm ci` was run in evals/viewer/web")
    done = node(str(compiler), "-p", ".")
    assert done.returncode == 0, done.stdout[-3000:]
