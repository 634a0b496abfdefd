"""The config reference, the schema, where values come from, and the starter: each is what the models say."""

import json
import re
import shutil

import jsonschema
import pytest
import yaml

from agents.errors import ConfigError, PromptError
from agents.prompts import Prompts
from debate.config.examples import EXAMPLES
from debate.config.flow import flow
from debate.config.load import load_config, to_yaml, validate
from debate.config.origins import load_sourced
from debate.config.reference import json_schema, reference_page, schema_text
from debate.config.shipped import ROOMS, configs_folder, prompts_folder
from debate.config.starter import write_starter
from debate.decision.rules import decision_rule
from debate.protocol.exchange import build_exchange

CONFIGS = sorted(path for room in ROOMS for path in (configs_folder() / room).glob("*.yaml"))
DOCS = configs_folder().parent / "docs"
GROUPED = """
model: mock
backend: mock
options: {dtype: float32}
templates:
  bold: {temperature: 1.5, top_k: 4}
agents:
  ada: {like: bold, temperature: 0.5}
  ben: {count: 2, temperature: [0.1, 0.3]}
stop: ["\\n", "a: b"]
"""


@pytest.fixture(scope="module")
def checked():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_page_and_the_schema_file_are_current():
    again = "make them again: debate config reference > docs/config.md; debate config schema > configs/schema.json"
    assert (DOCS / "config.md").read_text() == reference_page(), again
    assert (configs_folder() / "schema.json").read_text() == schema_text(), again


def test_every_key_has_a_meaning_and_an_example_that_the_schema_takes():
    schema = json_schema()
    for name in EXAMPLES:
        for key, found in (schema["$defs"][name] if name else schema)["properties"].items():
            assert found["description"].strip(), key
            jsonschema.validate(found["examples"][0], {**found, "$defs": schema["$defs"]})
    assert set(EXAMPLES) == {"", *schema["$defs"]} - {"Method"}


def test_examples_of_a_debate_can_be_played_as_written():
    examples = {key: value for key, value in EXAMPLES[""].items() if key not in ("options", "model", "agents")}
    config = validate({"agents": {"ada": {}, "ben": {}, "cy": {}}, **examples}, source="examples")
    build_exchange(config)
    decision_rule(config.decision)
    agents = {"templates": {"bold": {"temperature": 1}}, "agents": {"ada": EXAMPLES["AgentConfig"]}}
    assert len(validate(agents, source="examples").agents) == EXAMPLES["AgentConfig"]["count"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_fit_the_schema_and_name_it(path, checked):
    text = path.read_text(encoding="utf-8")
    checked.validate(yaml.safe_load(text))
    (named,) = re.findall(r"\A# yaml-language-server: \$schema=(\S+)\n", text)
    assert (path.parent / named).resolve() == (configs_folder() / "schema.json").resolve()


@pytest.mark.parametrize(
    "raw",
    [
        {"agents": {"ada": {}}, "rouns": 3},
        {"agents": {"ada": {"temprature": 1}}},
        {"rounds": 3},
        {"agents": {}},
        {"agents": {"ada": {"temperature": -1}}},
        {"agents": {"ada": {}}, "message": "vectors"},
        {"agents": {"ada": {}}, "topology": {"edges": [{"from": "ada"}]}},
        {"agents": {"ada": {}}, "execution": {"engines": {"m": {"replicas": 0}}}},
        {"agents": {"ada": {}}, "methods": {"text": {"rouns": 3}}},
    ],
)
def test_the_schema_refuses_what_a_config_may_not_hold(raw, checked):
    assert not checked.is_valid(raw)


@pytest.mark.parametrize(
    "raw",
    [
        yaml.safe_load(GROUPED),
        {"topology": {"file": "graph.graphml"}},
        {"agents": {"a": {}, "b": {}}, "topology": {"schedule": [{"rounds": 3, "generator": "star"}]}},
        {"agents": {"a": {}, "b": {}}, "topology": {"edges": [{"from": "a", "to": ["b"], "rounds": [2]}]}},
        {"agents": {"a": {}, "b": {}}, "methods": {"alone": {"agents": {"b": None}}}},
    ],
)
def test_the_schema_takes_what_a_file_may_hold(raw, checked):
    checked.validate(raw)
    if "file" not in raw.get("topology", {}):
        validate(raw, source="x")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_is_shown_of_a_config_is_the_config(path):
    shown = load_sourced(path).text()
    assert to_yaml(validate(yaml.safe_load(shown), source="shown")) == to_yaml(load_config(path))


def test_each_value_says_where_it_comes_from(tmp_path):
    (tmp_path / "c.yaml").write_text(GROUPED)
    found = load_sourced(tmp_path / "c.yaml", ["rounds=2", "agents.ben.top_k=3"])
    assert found.source("model") == "c.yaml:2"
    assert found.source("dtype") == "c.yaml:4"
    assert found.source("agents", "ada", "temperature") == "c.yaml:8"
    assert found.source("agents", "ada", "top_k") == "c.yaml:6, template bold"
    assert found.source("agents", "ben2", "temperature") == "c.yaml:9, group ben"
    assert found.source("agents", "ben1", "top_k") == "command line, agents.ben.top_k, group ben"
    assert found.source("agents", "ben1", "group") == "c.yaml:9, group ben"
    assert found.source("agents", "ada", "role") == "default"
    assert found.source("rounds") == "command line, rounds"
    assert found.config.agents["ben1"].top_k == 3


def test_what_an_override_replaces_whole_is_no_longer_of_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("agents: {ada: {temperature: 0.5, top_k: 2}}\nbackend: mock\n")
    found = load_sourced(tmp_path / "c.yaml", ["agents.ada={top_k: 7}"])
    assert found.source("agents", "ada", "top_k") == "command line, agents.ada"
    assert found.source("agents", "ada", "temperature") == "default"


def test_agents_and_edges_of_a_topology_file_say_so(tmp_path):
    (tmp_path / "g.yaml").write_text("agents: {ada: {temperature: 0.5}, ben: {}}\nedges: [{from: ada, to: ben}]\n")
    (tmp_path / "c.yaml").write_text("agents: {ben: {top_k: 4}}\ntopology: {file: g.yaml}\n")
    found = load_sourced(tmp_path / "c.yaml")
    assert found.source("agents", "ada", "temperature") == "g.yaml"
    assert found.source("agents", "ben", "top_k") == "c.yaml:1"
    assert found.source("topology", "edges") == "g.yaml"


@pytest.mark.parametrize(
    "value", ["a", "a b", "1e-05", "null", "\n", "x: y", "'\"", "é\u2028😀", 1e-05, 2**70, [1, "#"]]
)
def test_a_value_on_one_line_reads_back(value):
    text = flow({"key": value})
    assert "\n" not in text
    assert yaml.safe_load(text) == {"key": value}


def test_the_starter_runs_as_it_is(tmp_path, monkeypatch, cli):
    code, out, _ = cli("init", tmp_path / "my debate")
    assert code == 0
    assert f"cd '{tmp_path}/my debate' && debate eval config.yaml --data questions.jsonl" in out
    monkeypatch.chdir(tmp_path / "my debate")
    code, out, err = cli("eval", "config.yaml", "--data", "questions.jsonl", "--limit", 2, "--methods", "cipher")
    assert code == 0, err
    assert "2 questions" in out
    (row,) = [line for line in out.splitlines() if "cipher" in line and "/2" in line]
    assert int(re.search(r"(\d)/2", row)[1]) > 0


def test_the_starter_is_commented_and_fits_its_own_schema(tmp_path):
    write_starter(tmp_path / "s")
    schema = json.loads((tmp_path / "s" / "schema.json").read_text())
    jsonschema.validate(yaml.safe_load((tmp_path / "s" / "config.yaml").read_text()), schema)
    for name in ("config.yaml", "topology.yaml", "prompts/initial.jinja", "prompts/debate.jinja"):
        assert "#" in (tmp_path / "s" / name).read_text().splitlines()[0]


def test_the_comments_of_the_starters_prompts_are_no_part_of_them(tmp_path):
    write_starter(tmp_path / "s")
    ours, theirs = Prompts(tmp_path / "s" / "prompts", "plain"), Prompts(prompts_folder("tiny"), "plain")
    assert ours.initial("1+1?") == theirs.initial("1+1?")
    assert ours.debate("1+1?", "2", ["3", "4"]) == theirs.debate("1+1?", "2", ["3", "4"])


def test_a_starter_overwrites_nothing(tmp_path, cli):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty; nothing was written"):
        write_starter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    shutil.copy(tmp_path / "mine.txt", tmp_path / "file")
    code, _, err = cli("init", tmp_path / "file")
    assert (code, "nothing was written" in err) == (2, True)


def test_the_command_prints_a_config_the_schema_and_the_page(cli):
    code, out, _ = cli("config", "show", "smoke", "--set", "agents.ada.temperature=0.3", "--seed", 5)
    assert code == 0
    assert re.search(r"temperature: 0\.3 +# command line, agents\.ada\.temperature", out)
    assert yaml.safe_load(out)["seed"] == 5
    assert cli("config", "schema")[1] == schema_text()
    assert cli("config", "reference")[1] == reference_page()
    code, _, err = cli("config", "show", "smok")
    assert (code, "Did you mean 'smoke'?" in err) == (2, True)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("debaters/expert", "debaters/experts"),
        ("experts", "debaters/experts"),
        ("configs/topologies/team.yaml", "topologies/teams"),
        ("smokee", "smoke"),
    ],
)
def test_a_misspelt_config_in_a_folder_is_recognised(given, meant):
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        load_config(given)


def test_a_misspelt_file_of_ones_own_is_recognised(tmp_path):
    (tmp_path / "mine.yaml").write_text("agents: {a: {}}\n")
    with pytest.raises(ConfigError, match=r"Did you mean '.*/mine\.yaml'"):
        load_config(tmp_path / "mien.yaml")


def test_a_misspelt_prompt_set_is_recognised():
    with pytest.raises(PromptError, match="Did you mean 'tiny'"):
        Prompts(prompts_folder("tinny"))
