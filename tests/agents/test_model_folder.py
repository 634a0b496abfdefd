"""Nothing reads a model's folder in a way that could run its code."""

import ast
from pathlib import Path

import pytest

import agents
from agents.errors import ModelError
from agents.model_folder import read_config

ROOT = Path(agents.__file__).resolve().parent.parent
SOURCES = sorted(path for room in ("agents", "debate", "evals") for path in (ROOT / room).rglob("*.py"))


def loads(path):
    """Yield the calls of a source file that load something of transformers' from a folder."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained":
            yield getattr(node.func.value, "id", ""), {keyword.arg for keyword in node.keywords}


def test_whoever_lets_transformers_choose_a_class_says_that_no_code_is_run_and_nothing_fetched():
    found, careless = set(), []
    for path in SOURCES:
        for name, keywords in loads(path):
            if name.startswith("Auto"):
                found.add(path.name)
                # None is the `**where` of the conversion of GGUF files, which hold no code.
                if not ({"trust_remote_code", "local_files_only"} <= keywords or None in keywords):
                    careless.append(path.relative_to(ROOT).as_posix())
    assert careless == []
    assert {"model_folder.py", "whole_model.py"} <= found


@pytest.mark.parametrize("depth", [100, 600, 900, 100_000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_json_of_any_depth_is_a_sentence(tmp_path, depth, name):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / name).write_text('{"model_type": "llama", "x": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(ModelError, match="nested"):
        read_config(tmp_path)
