"""What is written about the code: paths and names that exist, sentences that end, examples that run."""

import ast
import doctest
import re
import subprocess
from functools import cache
from itertools import pairwise

import pytest
from support.pages import PAGES, ROOT, blocks, name

import debate.ask
import evals.evaluation
from debate.config.schema import AgentConfig

PACKAGES = ("agents", "debate", "evals", "kernels")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
OURS = "|".join((*PACKAGES, "configs", "docs", "tests"))
# Paths of ours, with a file's ending or as a folder with its slash; words in capitals, as in tasks/NAME.py, stand for any name.
PATH = re.compile(rf"(?<![\w./-])((?:{OURS})/(?:[\w-]+/)*(?:[\w-]+\.[a-z]+)?)(?![\w/])")
FILE = re.compile(r"(?<![\w./-])(\w+\.py)\b")
DOTTED = re.compile(rf"(?<![\w./-])((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?![\w(]*/)")
FILES = {path.name for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]}


@cache
def prose(path):
    """Return a page, or the docstrings and comments of a source."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
    return "\n\n".join([*docstrings, *re.findall(r"^\s*# (.*)", text, re.MULTILINE)])


@pytest.mark.parametrize("paths", [PAGES, SOURCES], ids=["pages", "sources"])
def test_every_path_and_dotted_name_exists(paths):
    assert {name(path): found for path in paths if (found := missing(prose(path)))} == {}


def missing(text):
    """Return the paths, files and dotted names of ours in a text that are not there."""
    paths = [found for found in PATH.findall(text) if not re.search(r"\b[A-Z]{2,}\b", found)]
    lost = [found for found in paths if not (ROOT / found).exists()]
    lost += [found for found in FILE.findall(text) if found not in FILES]
    return [*lost, *(found for found in DOTTED.findall(text) if not is_there(found))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_test_that_a_page_names_exists(page):
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", prose(page))
    assert [f"{path}::{test}" for path, test in named if f"def {test}(" not in (ROOT / path).read_text()] == []


def test_what_is_missing_is_found():
    assert missing("see debate/ray_runtime/actor.py, `evals.no_such.thing`, docs/glossary.md and run_folder.py") == [
        "debate/ray_runtime/actor.py",
        "run_folder.py",
        "evals.no_such.thing",
    ]


def is_there(dotted):
    """Whether a dotted name is a module, a name in one, or an entry-point group of ours; or a key of an agent's config."""
    parts = dotted.split(".")
    if len(parts) < 3 or (parts[0] == "agents" and parts[2] in AgentConfig.model_fields):
        # Two parts may be a key of a config, or a file of prompts.
        return True
    for count in range(len(parts), 1, -1):
        module = ROOT.joinpath(*parts[:count])
        file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if file.is_file():
            return all(re.search(rf"\b{part}\b", file.read_text(encoding="utf-8")) for part in parts[count:])
    return False


# The last word of a line that another one has to follow, and a next line that begins a sentence of its own.
GOES_ON = "and|or|the|a|an|of|to|with|in|for|by|from|that|which"
BEGINS = "Where|When|The|An|It|If|In|On|This|That|There|With|For|So"
BROKEN_OFF = re.compile(rf"\b(?:{GOES_ON}) *\n(?:{BEGINS})\b")


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_sentence_breaks_off(path):
    text = re.sub(r"```.*?```", "    code", prose(path), flags=re.DOTALL)
    assert BROKEN_OFF.findall(text) == []
    parts = [part for part in text.split("\n\n") if part.strip()]
    # Before a table or an indented block a sentence may stop short.
    unfinished = [
        part
        for part, following in pairwise([*parts, "."])
        if re.match(r"[A-Z*]", part) and not following.startswith((" ", "|")) and "|" not in part.splitlines()[-1]
    ]
    assert [part for part in unfinished if not re.search(r"[.:;!?)*`]\s*$", part)] == []


def test_the_glossary_explains_each_word_once_where_it_lives():
    rows = re.findall(r"^\| ([a-z ]+) \| (.+) \| (.+) \|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    words = [word for word, _, _ in rows if word != "word"]
    asked = (
        "belief reading table encoder message turn round edge speaker debater judge chair control specialist chooser "
        "topology protocol decision task sample question scorer method run journal engine backend model"
    )
    assert {*asked.split(), "stopping rule", "message store"} <= set(words)
    assert len(set(words)) == len(words)
    for word, meaning, where in rows:
        assert word == "word" or (meaning.endswith(".") and PATH.search(where)), word


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("module", [debate.ask, evals.evaluation], ids=lambda module: module.__name__)
def test_examples_in_docstrings_run(module, elsewhere):
    found = doctest.testmod(module)
    assert found.attempted >= 3
    assert found.failed == 0


def test_examples_of_the_page_on_evaluation_run(elsewhere, capsys):
    examples = [block.text for block in blocks(ROOT / "docs" / "evaluation.md") if block.language == "python"]
    assert len(examples) == 2
    for example in examples:
        # The same pair of debaters without weights.
        exec(compile(example.replace("first_debate", "smoke"), "evaluation.md", "exec"), {})
    said = capsys.readouterr().out
    assert re.search(r"^15$", said, re.MULTILINE)
    assert "20 paired questions" in said


def test_the_tree_on_the_page_is_the_tree():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    folders = {path.split("/")[0] for path in tracked if "/" in path}
    tree = re.search(r"## The tree\n\n```\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]
    assert set(re.findall(r"^(\w+)/", tree, re.MULTILINE)) == {
        folder for folder in folders if not folder.startswith(".")
    }
