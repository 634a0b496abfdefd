"""The tutorial and the README, followed from top to bottom: every block runs, or says why not."""

import re
import shlex
import subprocess
import tomllib
from dataclasses import replace

import pytest
import yaml
from support.pages import DOCS, ROOT, blocks, name

TUTORIAL = sorted((DOCS / "tutorial").glob("*.md"))
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
# A command with its here-document, or one line.
STATEMENT = re.compile(r"[^\n]*<<'(?P<end>\w+)'\n.*?^(?P=end)$|[^\n]+", re.DOTALL | re.MULTILINE)
# What a reader sees on the way.
SEEN = {
    "first-debate": ["decision: 15", "cipher − text", "finished"],
    "own-topology": ["diameter: 2", "nothing is wrong with it", "decision: 15", "small_world"],
    "own-questions": ["number", "cipher", "Score it"],
    "python": ["15", " of 20", "20 paired questions"],
    "ray": ["replicas: 2"],
    "gpu": ["num_gpus: 1", "backend vllm"],
}


@pytest.fixture
def follow(cli, tmp_path, monkeypatch, capsys):
    """Return a function that does what a block says, in a folder of its own, and returns what is said."""
    monkeypatch.chdir(tmp_path)
    names = {}

    def statement(text):
        words = shlex.split(text.partition("\n")[0], comments=True)
        if words[0] == "debate":
            code, out, err = cli(*words[1:])
            assert code == 0, f"{text}\n{out}\n{err}"
            return out + err
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
        elif words[:2] == ["pip", "install"]:
            assert set(re.search(r"\[(.+)\]", words[2])[1].split(",")) <= EXTRAS
        else:
            subprocess.run(["bash", "-ec", text], check=True)
        return ""

    def run(block):
        if block.language == "python":
            exec(compile(block.text, "tutorial", "exec"), names)
            return capsys.readouterr().out
        if block.language == "yaml":
            assert yaml.safe_load(block.text)
            if block.title:
                (tmp_path / block.title).write_text(block.text)
            return ""
        assert block.language == "bash", block
        return "".join(statement(found[0]) for found in STATEMENT.finditer(block.text))

    return run


@pytest.mark.parametrize("page", TUTORIAL, ids=name)
def test_every_block_runs(page, follow):
    to_run = [block for block in blocks(page) if block.reason is None]
    said = "".join(follow(block) for block in to_run)
    assert [text for text in SEEN[page.stem] if text not in said] == []


def test_the_walk_of_the_readme_runs(follow):
    """On fewer questions, and one method."""
    two_commands, walk, result = blocks(ROOT / "README.md")
    targets = re.findall(r"^make (\w+)", two_commands.text, re.MULTILINE)
    assert targets == ["debate", "test"]
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)
    assert len(walk.text.splitlines()) == 10
    # The first debate is that of the tutorial's first page, played there.
    shorter = re.sub(r"^(debate run .*?)(--message text)?( +#)", r"\1 --dry-run\3", walk.text, flags=re.MULTILINE)
    shorter = shorter.replace("--limit 100", "--limit 1 --methods cipher")
    said = follow(
        replace(walk, text=shorter.replace("questions.jsonl  ", "questions.jsonl --limit 1 --methods cipher  "))
    )
    assert [text for text in ("cipher: 1/1 correct", "diameter", "runs/config") if text not in said] == []
    assert said.count("dry run: nothing was started") == 3
    assert result.text.startswith("debate eval configs/debaters/experts.yaml")


def test_the_result_of_the_readme_is_that_of_the_page():
    readme, page = (ROOT / "README.md").read_text(), (DOCS / "results.md").read_text()
    shares = re.findall(r"(\d+) % \((\d+ to \d+)\)", " ".join(readme.split()))
    assert len(shares) == 3
    published = [
        (f"{float(percent):.0f}", interval) for percent, interval in re.findall(r"(\d+\.\d) \((\d+ to \d+)\)", page)
    ]
    assert [share for share in shares if share not in published] == []
    command = r"debate eval \S+experts.yaml --limit 1000"
    assert re.findall(command, readme) == re.findall(command, page)


def test_what_is_not_run_has_a_reason_that_holds():
    left_out = [block for page in TUTORIAL for block in blocks(page) if block.reason]
    assert 0 < len(left_out) <= 6
    assert all(re.search(r"GPU|cluster|Ray|minute", block.reason) for block in left_out)
    # tests/test_docs_commands.py parses them.
    assert all(block.language == "bash" and "debate " in block.text for block in left_out)
