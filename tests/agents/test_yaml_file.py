"""YAML from a stranger is read as written, or refused with the line and the reason, in bounded time and memory."""

import functools
import random
import time
from pathlib import Path

import pytest
import yaml
from fuzz.mutation import mutate
from support.growth import growth

from agents import yaml_file
from agents.errors import ConfigError
from agents.yaml_file import MAX_BYTES, SHORT, parse_yaml, read_yaml

needs_libyaml = pytest.mark.skipif(not hasattr(yaml, "CSafeLoader"), reason="PyYAML was built without libyaml")


@pytest.fixture(params=["libyaml", "Python"])
def parser(request, monkeypatch):
    """Read with libyaml's parser, and as where there is none."""
    if request.param == "libyaml":
        pytest.importorskip("yaml.cyaml")
    else:
        monkeypatch.setattr(yaml_file, "LIBYAML", None)


def verdict(text, monkeypatch, libyaml):
    """Return what a text is read as, or that it is refused, by libyaml's parser or by Python's."""
    with monkeypatch.context() as patch:
        if not libyaml:
            patch.setattr(yaml_file, "LIBYAML", None)
        try:
            return repr(parse_yaml(text, source="x"))
        except ConfigError:
            return "refused"


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
        ("n: " + "1:" * 40_000 + "1", "a number of too many digits: 80,001 characters, and 4,000 are allowed"),
        ("n: 0b" + "1" * 5000, "a number of too many digits"),
        ("a: =", "not YAML: could not determine a constructor"),
        ("a: <<", "not YAML: could not determine a constructor"),
        ("<<: 5", "line 1: `<<` takes a mapping or a list of mappings"),
        ("- [a\n- b", "not YAML"),
        ("--- a\n--- b", "not YAML: expected a single document but found another one"),
        ("a: *b", "not YAML: found undefined alias 'b'"),
        ("- &a 1\n- &a 2", "not YAML: found duplicate anchor 'a'"),
        ("- &a [1]\n- &a [2]", "not YAML: found duplicate anchor 'a'"),
        ("a: !!set {b}", "line 1: the tag tag:yaml.org,2002:set before a list or a mapping; leave it out"),
        ("a: !!seq {b: 1}", "line 1: the tag tag:yaml.org,2002:seq before a list or a mapping"),
        ("a: !mine b", "not YAML: could not determine a constructor"),
        ("a: \ud800", "not YAML"),
        ("a: !!python/object/apply:os.system [true]", "not YAML"),
        ("a: [1, 2", "not YAML"),
        ("a: \x00", "not YAML"),
    ],
)
def test_what_is_refused_says_where_and_why(parser, text, said):
    start = time.thread_time()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, source="here.yaml")
    assert str(caught.value).startswith("here.yaml: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.thread_time() - start < 5, "refusing must not cost what the text stands for"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("--- \n...", None),
        ("'1'", "1"),
        ("[1, 0x10, 1_000, 1:30, 1.5, 1e3, .5e+1]", [1, 16, 1000, 90, 1.5, "1e3", 5.0]),
        ("[yes, off, ~, null, '', '~']", [True, False, None, None, "", "~"]),
        ("a: |\n  b\n  c\nd: >-\n  e\n  f", {"a": "b\nc\n", "d": "e f"}),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("!!binary aGVsbG8=", b"hello"),
        ("!!map {a: !!seq [1]}", {"a": [1]}),
        ("? a\n: b\n? 1.5\n: 2", {"a": "b", 1.5: 2}),
        ("- &a x\n- *a", ["x", "x"]),
        ("'<<': 1", {"<<": 1}),
        ("a: 1\n<<: {a: 2, b: 3}\nc: 4", {"b": 3, "a": 1, "c": 4}),
        ("<<: [{a: 1}, {a: 2, b: 2}]\n<<: {b: 3}", {"a": 1, "b": 3}),
        ("- {<<: &b {<<: {t: 0}, t: 1}}\n- *b", [{"t": 1}, {"t": 1}]),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 'tab\there'", {"a": "tab\there"}),
    ],
)
def test_what_is_read_is_what_yaml_says(parser, text, value):
    found = parse_yaml(text, source="x")
    assert found == value
    assert repr(found) == repr(value if not isinstance(value, dict) else {key: value[key] for key in found})


def test_an_alias_is_the_value_that_it_names():
    one, other = parse_yaml("[&a {b: 1}, *a]", source="x")
    assert one is other


def test_dates_are_dates(parser):
    found = parse_yaml("- 2020-02-29\n- 2020-02-29 10:00:00", source="x")
    assert [str(one) for one in found] == ["2020-02-29", "2020-02-29 10:00:00"]


# What one of the two parsers takes and the other does not, or takes for something else.
DIFFERENT = [
    "a:\tb",
    "a: b\tc",
    "a:\n\t- b",
    "a: !!str\t5",
    "a: |\t\n  b",
    "a: |\n \t b",
    "a: |# b\n  c",
    "a: !",
    "[a?b]",
    "[a:b]",
    "{a:}",
    "{a :}",
    "{a:, b: 1}",
    "# a\n\ufeff# b\nc: d",
]


@pytest.mark.parametrize("text", DIFFERENT)
def test_a_short_text_that_parsers_read_differently_is_read_by_one_of_them_and_a_long_one_is_refused(text, monkeypatch):
    assert verdict(text, monkeypatch, libyaml=True) == verdict(text, monkeypatch, libyaml=False)
    long = text + "\n#" + "x" * SHORT
    assert verdict(long, monkeypatch, libyaml=True) == verdict(long, monkeypatch, libyaml=False) == "refused"


@needs_libyaml
def test_both_parsers_come_to_the_same(monkeypatch):
    sound = [
        b"a: &x [1, 2]\nb: *x\nc: {d: '1', <<: {e: 2}}\n",
        b"- 2020-01-01\n- 1e3\n- !!str 5\n- |\n  text\n- ? k\n  : v\n",
        b"agents:\n  ada: {temperature: 0.5}\n  ben: {count: 3}\ntopology:\n- {from: a, to: [b, 'c'], rounds: [2, 3]}\n",
    ]
    pieces = (
        b"\t",
        b": ",
        b"? ",
        b"- ",
        b"|\n",
        b"!",
        b"&a ",
        b"*a",
        b"{",
        b"}",
        b"[",
        b"]",
        b", ",
        b"#",
        b"'",
        b'"',
        b"\r",
    )
    chance, taken = random.Random(5), 0
    for _ in range(1500):
        blob = mutate(chance.choice(sound), chance.choice(sound), chance, pieces)
        text = blob.decode("utf-8", "replace")
        found = verdict(text, monkeypatch, libyaml=True)
        assert found == verdict(text, monkeypatch, libyaml=False), text
        taken += found != "refused"
    assert 300 < taken < 1400


@needs_libyaml
@pytest.mark.parametrize(
    ("text", "size"),
    [
        (lambda size: "edges:\n" + "".join(f"- {{from: a{n}, to: b{n}}}\n" for n in range(size)), 35_000),
        (lambda size: "".join(f"key{n}: 'a text'\n" for n in range(size)), 50_000),
        (lambda size: "[" + "1," * size + "1]", 499_000),
        (lambda size: "n: " + "1:" * size + "1", 490_000),
        (lambda size: 'a: "' + "\\x41" * size + '"', 240_000),
    ],
    ids=["edges", "keys", "numbers", "base 60", "escapes"],
)
def test_the_largest_file_takes_time_in_proportion_to_its_size(text, size):
    """Measured on a quiet core: 0.2 to 0.9 s."""
    assert len(text(size)) <= MAX_BYTES

    def work(of):
        return functools.partial(verdict, text(of), pytest.MonkeyPatch(), libyaml=True)

    assert growth(work, size) < 8


def test_aliases_and_merges_of_a_usual_size_are_read(parser):
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
    assert read_yaml(path, max_bytes=2 * MAX_BYTES) is None
    with pytest.raises(ConfigError, match=r"/dev/zero: larger than 1,000,000 bytes"):
        read_yaml(Path("/dev/zero"))
    path.write_bytes(b"a: b\r\nc: |\r\n  d\r\n")
    assert read_yaml(path) == {"a": "b", "c": "d\n"}
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
