"""YAML from a stranger is read as written, or refused with the line and the reason, in bounded time and memory."""

import time

import pytest

from agents.errors import ConfigError
from agents.yaml_file import MAX_BYTES, parse_yaml, read_yaml


def bomb(kind):
    """Ten lines of aliases that stand for 10^9 values."""
    lines = ["a0: &a0 [x]" if kind == "list" else "a0: &a0 {x: y}"]
    for n in range(1, 10):
        inside = ", ".join(f"*a{n - 1}" if kind == "list" else f"k{i}: *a{n - 1}" for i in range(10))
        lines.append(f"a{n}: &a{n} " + (f"[{inside}]" if kind == "list" else f"{{{inside}}}"))
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is already there, on line 1; keep one"),
        ("x: {p: 1, q: 2, p: 3}", "line 1: the key 'p' is already there, on line 1"),
        ("- {k: 1}\n- k: 1\n  'k': 2", "line 3: the key 'k' is already there, on line 2"),
        ("1: a\n0x1: b", "line 2: the key 1 is already there"),
        ("a: &o {b: *o}", "line 1: the alias *o stands inside what it names"),
        ("a: &o [[*o]]", "line 1: the alias *o stands inside what it names"),
        (bomb("list"), "aliases stand for more than 10,000 values"),
        (bomb("map"), "aliases stand for more than 10,000 values"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ("{a: " * 5000, "nested deeper than 64 levels"),
        ("? {a: 1}\n: b", "line 1: a key is a name or a number, not a dict"),
        ("day: 2001-99-99", "a date that does not exist, or a number of too many digits: month must be in 1..12"),
        ("n: " + "9" * 5000, "a date that does not exist, or a number of too many digits"),
        ("a: !!python/object/apply:os.system [true]", "not YAML"),
        ("a: [1, 2", "not YAML"),
        ("a: \x00", "not YAML"),
    ],
)
def test_what_is_refused_says_where_and_why(text, said):
    start = time.thread_time()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, source="here.yaml")
    assert str(caught.value).startswith("here.yaml: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.thread_time() - start < 5, "refusing must not cost what the text stands for"


def test_aliases_and_merges_of_a_usual_size_are_read():
    text = "base: &b {t: 1, u: 2}\none: {<<: *b, t: 3}\nmany: [" + ", ".join(["*b"] * 100) + "]"
    found = parse_yaml(text, source="x")
    assert found["one"] == {"t": 3, "u": 2}
    assert len(found["many"]) == 100
    assert parse_yaml("[" * 64 + "]" * 64, source="x") is not None
    assert len(parse_yaml("a: [" + "1, " * 20_000 + "]", source="x")["a"]) == 20_000


def test_files_are_bounded_and_named(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_text("# " + "x" * MAX_BYTES)
    with pytest.raises(ConfigError, match=r"big\.yaml: larger than 1,000,000 bytes"):
        read_yaml(path)
    assert read_yaml(path, max_nodes=None) is None
    path.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"big\.yaml is no text in UTF-8"):
        read_yaml(path)
    with pytest.raises(ConfigError, match="is a folder; give a file in it"):
        read_yaml(tmp_path)


@pytest.mark.parametrize(
    "text", ["a: !!map 5", "!!bool maybe", "!!timestamp x", "!!int ''", "!!seq 5", "!!float x", "!!set [1]"]
)
def test_a_tag_before_a_value_of_another_form_is_refused(text):
    with pytest.raises(ConfigError, match="^a file: "):
        parse_yaml(text, source="a file")
