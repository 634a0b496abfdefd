"""Configs: what is refused, and in which words."""

import pytest

from agents.errors import ConfigError, UnknownName
from debate.config.load import load_config, to_yaml, validate
from debate.config.shipped import configs_folder, find_config
from evals.methods import method_config, method_names

GOOD = {"agents": {"ada": {"temperature": 0.1}, "ben": {"temperature": 0.9}}, "backend": "mock", "model": "mock"}


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "c.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("agents: {a: {}}\nrouns: 3", r"c\.yaml: rouns: unknown key 'rouns'.*Did you mean 'rounds'"),
        ("agents: {a: {temprature: 1}}", r"c\.yaml: agents\.a\.temprature: unknown key.*Did you mean 'temperature'"),
        ("agents: {a: {temperature: -1}}", r"c\.yaml: agents\.a\.temperature: .*greater than or equal to 0; got -1"),
        ("agents: {a: {}}\nmessage: vectors", r"c\.yaml: message: .*'text' or 'cipher'; got 'vectors'"),
        ("agents: {}", r"c\.yaml: agents: .*at least 1"),
        ("rounds: 2", r"c\.yaml: agents: this key is needed"),
        ("agents: {'a b': {}}", r"agent name 'a b': use letters"),
        ("agents: [", r"c\.yaml: not YAML: .*line 1"),
        ("just words", r"c\.yaml: a config is a mapping.*this is a str"),
        ("", r"c\.yaml: a config is a mapping.*NoneType"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(write, text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config(write(text))


def test_every_mistake_is_listed_at_once(write):
    with pytest.raises(ConfigError) as caught:
        load_config(write("agents: {a: {}}\nrouns: 1\ntopologie: ring"))
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_lists_the_shipped_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"Shipped ones: .*smoke\.yaml"):
        load_config(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        load_config(tmp_path / "c.yaml")


def test_overrides(write):
    config = load_config(
        write("agents: {a: {temperature: 1}}"),
        ["agents.a.temperature=0.2", "rounds=5", "options.max_num_seqs=4", 'stop=["x"]'],
    )
    assert config.agents["a"].temperature == 0.2
    assert (config.rounds, config.options, config.stop) == (5, {"max_num_seqs": 4}, ("x",))
    for bad, sentence in (("rounds", "write key.path=value"), ("rounds.x=1", "not a mapping"), ("a=[", "not YAML")):
        with pytest.raises(ConfigError, match=sentence):
            load_config(write("agents: {a: {}}\nrounds: 3"), [bad])


def test_methods():
    config = validate({**GOOD, "methods": {"single": {}, "hot": {"agents": {"ben": {"temperature": 2.0}}}}}, source="x")
    assert method_names(config) == ("single", "hot")
    single = method_config(config, "single")
    assert (list(single.agents), single.rounds, single.message) == (["ada"], 1, "text")
    hot = method_config(config, "hot")
    assert hot.agents["ben"].temperature == 2.0
    assert hot.agents["ada"].temperature == 0.1
    assert method_names(validate(GOOD, source="x")) == ("single", "text", "cipher")
    with pytest.raises(UnknownName, match="unknown method 'ciper'.*Did you mean 'cipher'"):
        method_config(config, "ciper")
    broken = validate({**GOOD, "methods": {"x": {"round": 1}}}, source="x")
    with pytest.raises(ConfigError, match=r"methods\.x: round: unknown key"):
        method_config(broken, "x")


def test_a_config_reads_back_from_its_yaml(write):
    config = validate(GOOD, source="x")
    assert load_config(write(to_yaml(config))) == config


def test_configs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        validate(GOOD, source="x").rounds = 4  # type: ignore[misc]


@pytest.mark.parametrize("path", sorted(configs_folder().glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_is_sound(path):
    config = load_config(path)
    assert [method_config(config, name) for name in method_names(config)]
    assert find_config(path.relative_to(configs_folder().parent)).exists()
    assert find_config(path.relative_to(configs_folder()).with_suffix("")).exists()


def test_the_option_dtype_is_the_debates_dtype(write):
    config = load_config(
        write("agents: {a: {}, b: {options: {dtype: float16}}}\noptions: {dtype: float32, max_num_seqs: 4}")
    )
    assert (config.dtype, config.options) == ("float32", {"max_num_seqs": 4})
    assert [config.dtype_of(name) for name in config.agents] == ["float32", "float16"]
    same = load_config(write("agents: {a: {}}\ndtype: float32\noptions: {dtype: float32}"))
    assert (same.dtype, same.options) == ("float32", {})
    with pytest.raises(
        ConfigError, match=r"c\.yaml: dtype is 'bfloat16' and options\.dtype is 'float32'.*give dtype alone"
    ):
        load_config(write("agents: {a: {}}\ndtype: bfloat16\noptions: {dtype: float32}"))


def test_a_methods_option_dtype_is_its_dtype():
    config = validate({**GOOD, "dtype": "float32", "methods": {"half": {"options": {"dtype": "float16"}}}}, source="x")
    assert method_config(config, "half").dtype == "float16"
    both = validate({**GOOD, "methods": {"half": {"dtype": "float32", "options": {"dtype": "float16"}}}}, source="x")
    with pytest.raises(ConfigError, match=r"methods\.half: .*give dtype alone"):
        method_config(both, "half")


def test_every_engine_is_known():
    agents = {"a": {}, "b": {"model": "other"}, "c": {"options": {"dtype": "float16"}}, "d": {"backend": "vllm"}}
    config = validate({"agents": agents, "model": "m", "backend": "transformers"}, source="x")
    assert config.engines == (
        ("m", "bfloat16", "transformers"),
        ("other", "bfloat16", "transformers"),
        ("m", "float16", "transformers"),
        ("m", "bfloat16", "vllm"),
    )


def test_the_record_of_thousands_of_agents_is_read_again(write):
    config = validate({**GOOD, "agents": {"a": {"count": 3800}}}, source="c.yaml")
    recorded = to_yaml(config)
    # Larger than a config that somebody wrote may be.
    assert len(recorded) > 1_000_000
    path = write(recorded)
    assert load_config(path, is_record=True) == config
    with pytest.raises(ConfigError, match="larger than 1,000,000 bytes"):
        load_config(path)
