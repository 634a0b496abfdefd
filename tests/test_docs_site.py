"""The documentation site: every page has a place, every link leads somewhere, every public name is described, and it builds."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from support.pages import DOCS, PAGES, ROOT, anchors, links, name

from kernels.encoders import registry

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def in_nav(entries):
    for entry in entries:
        for found in entry.values():
            yield from in_nav(found) if isinstance(found, list) else [found]


def test_the_table_of_contents_has_every_page_once():
    assert sorted(in_nav(SITE["nav"])) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_mkdocstrings_is_the_only_plug_in():
    assert [next(iter(plugin)) for plugin in SITE["plugins"]] == ["mkdocstrings"]


def dead(page, found):
    """Return why a link of a page leads nowhere, or None."""
    if re.match(r"https?:", found):
        return None
    path, _, anchor = found.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"{found}: no such file"
    if DOCS in page.parents and DOCS not in target.parents:
        return f"{found}: outside docs/, so not on the site"
    if anchor and anchor not in anchors(target):
        return f"{found}: no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    assert [reason for link in links(page) if (reason := dead(page, link))] == []


def test_dead_links_are_found(tmp_path):
    page = DOCS / "glossary.md"
    assert dead(page, "results.md#in-short") is None
    assert dead(page, "https://zensical.org") is None
    assert dead(page, "nothing.md") == "nothing.md: no such file"
    assert dead(page, "results.md#nothing") == "results.md#nothing: no such heading"
    assert dead(page, "../README.md") == "../README.md: outside docs/, so not on the site"


def test_the_python_reference_has_every_public_name():
    listed = set(re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text(), re.MULTILINE))
    modules = {"kernels.encoders", "debate.Debater"}  # a package, described in docs/encoders.md, and an earlier name
    public = {
        f"{package}.{found}"
        for package in ("agents", "debate", "evals", "kernels")
        for found in import_module(package).__all__
    }
    assert listed == public - modules


def test_the_page_of_encoders_has_every_encoder():
    rows = re.findall(r"^\| (`.+?) \|", (DOCS / "encoders.md").read_text(), re.MULTILINE)
    assert {found for row in rows for found in re.findall(r"`([\w-]+)", row)} == set(registry.names())


@pytest.mark.skipif(find_spec("zensical") is None, reason="zensical is not installed (extra docs)")
def test_the_site_builds_without_a_warning(tmp_path):
    shutil.copytree(DOCS, tmp_path / "docs")
    config = tmp_path / "mkdocs.yml"
    config.write_text((ROOT / "mkdocs.yml").read_text(encoding="utf-8").replace("paths: [.]", f"paths: [{ROOT}]"))
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    reference = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert "engines are started once and held until it is closed" in reference
    assert Path(tmp_path / "site" / "tutorial" / "first-debate" / "index.html").is_file()


# An entry that begins so leans on the name before it.
LEANS = re.compile(r"(?:of|most|least|as|told|which|whose|only|at most|by|for|among|where|not)\b")


@cache
def entries(docstring):
    """Return name → description of a docstring's arguments, attributes and errors."""
    return dict(re.findall(r"^    (\w[\w, ]*): (.*)$", docstring or "", re.MULTILINE))


def public():
    """Yield every public function and class with its public methods."""
    for package in ("agents", "debate", "evals", "kernels"):
        for exported in import_module(package).__all__:
            thing = getattr(import_module(package), exported)
            yield f"{package}.{exported}", thing
            if inspect.isclass(thing):
                methods = [name for name in vars(thing) if name == "__call__" or not name.startswith("_")]
                yield from ((f"{package}.{exported}.{name}", getattr(thing, name)) for name in methods)


def test_docstrings_of_the_public_api_stand_alone():
    described = {path: entries(inspect.getdoc(thing)) for path, thing in public() if callable(thing)}
    assert sum(map(len, described.values())) > 100
    leaning = {
        f"{path}: {name}": said
        for path, found in described.items()
        for name, said in found.items()
        if LEANS.match(said)
    }
    assert leaning == {}
