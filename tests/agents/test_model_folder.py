"""Nothing reads a model's folder in a way that could run its code."""

import ast
import json
from pathlib import Path

import pytest

import agents
from agents.errors import ModelError
from agents.model_folder import origin_of, read_config, transform_record
from agents.transforms.counted import kept_share

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


RECORD = {"base": "b", "base_weights": "w", "digest": "d", "recipe": ["svd(ratio=2.0)"]}
COUNTS = {"map_macs": 50, "map_macs_used": 40, "map_macs_before": 100}


@pytest.mark.parametrize(
    "lie",
    [
        {"recipe": 5},
        {"recipe": [5]},
        {"base": None},
        {"steps": "svd"},
        {"steps": [5]},
        {"steps": [{"macs_kept": "half"}]},
        {"steps": [{"macs_kept": float("nan")}]},
        {"steps": [{"macs_kept": -1}]},
        {"whole": []},
        {"whole": {}},
        {"whole": {**COUNTS, "map_macs": 1.5}},
        {"whole": {**COUNTS, "map_macs_before": 10**400}},
        {"base_made_by": {**RECORD, "steps": 5}},
        {"base_made_by": "somebody"},
    ],
    ids=str,
)
def test_a_record_of_transforms_that_lies_is_none(tmp_path, lie):
    (tmp_path / "transform.json").write_text(json.dumps({**RECORD, "whole": COUNTS, **lie}))
    assert transform_record(tmp_path) is None
    assert origin_of(tmp_path) == ""


def test_a_record_of_transforms_is_read(tmp_path):
    for record in (RECORD, {**RECORD, "steps": [{"macs_kept": 0.5}, {}], "whole": COUNTS, "base_made_by": RECORD}):
        (tmp_path / "transform.json").write_text(json.dumps(record))
        assert transform_record(tmp_path) == record
    assert kept_share({**RECORD, "steps": [{"macs_kept": 0.5}, {}], "whole": COUNTS}) == 0.5
