"""Configs that lie, escape or explode are refused in one sentence, before anything is played or written."""

import json
import time

import pytest

from agents.errors import ConfigError
from debate.cli.app import main
from debate.config.load import load_config, validate
from debate.config.topology_file import read_topology_file
from debate.protocol.exchange import build_exchange

BASE = """
backend: mock
model: mock
max_tokens: 16
agents:
  ada: {temperature: 0.1}
  debater: {count: 3}
"""


@pytest.fixture
def written(tmp_path):
    """Return a function: text → the file of a config with it."""

    def write(more="", base=BASE):
        path = tmp_path / "c.yaml"
        path.write_text(base + more)
        return path

    return write


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("agents.adda.temperature=0.5", "agents has no 'adda'. Known: ada, debater. Did you mean 'ada'?"),
        ("agents.debater2.temperature=0.5", "debater2 is one of the group debater; set agents.debater.…"),
        ("agents.zoe.role=critic", "To add one, set it whole: --set 'agents.zoe={…}'"),
        ("methods.ciphr.rounds=2", "methods has no 'ciphr'"),
        ("methods.cpiher.rounds=2", "methods has no 'cpiher'"),
    ],
)
def test_an_override_of_what_is_not_there_creates_nothing(written, override, said):
    with pytest.raises(ConfigError) as caught:
        load_config(written(), [override])
    assert said in str(caught.value)


def test_overrides_of_what_is_there(written):
    config = load_config(
        written(), ["agents.ada.temperature=0.5", "methods.text.rounds=2", "agents.zoe={role: critic}"]
    )
    assert config.agents["ada"].temperature == 0.5
    assert config.agents["zoe"].role == "critic"
    assert config.methods["text"] == {"rounds": 2}


def test_agents_of_a_topology_file_may_be_overridden(tmp_path, written):
    nodes = {"nodes": [{"id": "ada"}, {"id": "ben"}], "edges": [{"source": "ada", "target": "ben"}], "directed": True}
    (tmp_path / "g.json").write_text(json.dumps(nodes))
    path = written("topology: {file: g.json}\n", base="backend: mock\nmodel: mock\n")
    assert load_config(path, ["agents.ben.temperature=0.7"]).agents["ben"].temperature == 0.7
    with pytest.raises(ConfigError, match="agents has no 'bem'"):
        load_config(path, ["agents.bem.temperature=0.7"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("methods: {'..': {message: text}}", "a method cannot be called '..': it means a folder"),
        ("methods: {'': {message: text}}", "it is empty"),
        ('methods: {"a\\0b": {message: text}}', "cannot be printed"),
        ("methods: {'../../x': {message: text}}", "it has a slash"),
        ("stop: ['']", "stop: an empty text would end every message at once"),
        ("seed: 99999999999999999999999999", "seed: Input should be less than"),
        ("rounds: 1000000000", "rounds: Input should be less than or equal to 10000"),
        ("seed: 2001-09-09", "seed: Input should be a valid integer"),
        ("message: cipher\nmessage: text", "the key 'message' is already there, on line"),
    ],
)
def test_values_that_cannot_be_played(written, more, said):
    with pytest.raises(ConfigError) as caught:
        load_config(written(more))
    assert said in str(caught.value)


def test_temperatures_that_no_number_of_the_engine_holds(written):
    with pytest.raises(ConfigError, match=r"agents\.ada\.temperature"):
        load_config(written(), ["agents.ada.temperature=1.0e+308"])


def test_size_is_refused_before_it_is_built(written):
    with pytest.raises(
        ConfigError, match=r"debater\.count: at most 10,000, unless --allow-huge is given; got 1,000,000,000"
    ):
        load_config(written(base=BASE.replace("count: 3", "count: 1000000000")))
    huge = {"backend": "mock", "model": "mock", "agents": {"a": {"count": 10_001}}, "execution": {"allow_huge": True}}
    assert len(validate(huge, source="x").agents) == 10_001


@pytest.mark.parametrize("topology", ["complete", {"edges": [{"from": "*", "to": "*"}]}])
def test_a_topology_says_its_cost_before_it_is_built(topology):
    keys = {"backend": "mock", "model": "mock", "agents": {"a": {"count": 2000}}, "topology": topology}
    with pytest.raises(
        ConfigError, match=r"over 2,000 agents has some (3,998|4,000),000 edges.* GB .*pass --allow-huge"
    ):
        build_exchange(validate(keys, source="x"))
    few = {**keys, "agents": {"a": {"count": 100}}, "rounds": 500}
    with pytest.raises(ConfigError, match=r"over 100 agents has some (9,900|10,000) edges; over 500 rounds about 4,9"):
        build_exchange(validate(few, source="x"))
    assert build_exchange(validate({**few, "topology": "ring"}, source="x")).planned.num_turns == 50_000
    sparse = validate({**keys, "topology": "sparse(k=3)"}, source="x")
    assert build_exchange(sparse).planned.num_turns == 6000


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("b.json", "[1, 2]", "node-link JSON is a mapping with nodes and edges"),
        ("c.json", '{"nodes": [{"id": "a"}]}', "neither edges nor links"),
        ("d.json", '{"nodes": [], "edges": [], "links": []}', "both edges and links"),
        ("e.json", '{"nodes": [{"id": 1}, {"id": "1"}], "edges": []}', "two nodes have the same name"),
        ("f.json", '{"nodes": [{"id": "a", "role": "judge", "role": "critic"}], "edges": []}', "'role' stands twice"),
        ("g.json", '{"nodes": [], "edges": []}', "needs at least one node"),
        ("h.json", '{"nodes": 3, "edges": []}', "not a json graph"),
        ("i.json", '{"nodes": [{"id": "a"}], "edges": [{"source": "a"}]}', "not a json graph"),
        ("j.graphml", "<!DOCTYPE x [<!ENTITY a 'aaaa'>]><graphml/>", "no use for a DOCTYPE"),
        ("k.graphml", "<graphml", "not a graphml graph"),
        ("l.graphml", "<graphml></graphml>", "not a graphml graph"),
        ("m.yaml", "agents: {a: {}, a: {}}", "the key 'a' is already there"),
        ("n.yaml", "agents: [a, b]", "agents is a mapping"),
        ("o.txt", "", "ends in .graphml, .json"),
        ("p.yaml", "agents: {a: {}}\nedges: {from: a}", "edges a list"),
    ],
)
def test_topology_files_that_cannot_be_read(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_topology_file(tmp_path / name)
    assert said in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("before", ["", "<!-- " + "x" * 100_000 + " -->\n", "\n" * 70_000])
def test_a_doctype_is_found_in_any_encoding_and_however_late_it_comes(tmp_path, encoding, before):
    path = tmp_path / "g.graphml"
    graph = '<graph edgedefault="directed"><node id="a"/></graph>'
    graph = f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{graph}</graphml>'
    head = f'<?xml version="1.0" encoding="{encoding}"?>' if before != "\n" * 70_000 else ""
    path.write_bytes(f"{head}{before}<!DOCTYPE x [<!ENTITY a 'aaaa'>]>{graph}".encode(encoding))
    with pytest.raises(ConfigError, match="no use for a DOCTYPE"):
        read_topology_file(path)
    # Behind the first element it is no declaration, and in a comment it is a word.
    path.write_bytes(f"{head}<!-- <!DOCTYPE x> -->{graph}".encode(encoding))
    assert read_topology_file(path)[0] == {"a": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"nodes": [], "edges": [], ' + ", ".join(f'"k{n}": 1' for n in range(200_000)) + ', "k199999": 1}',
            "stands twice",
        ),
        (
            json.dumps({"nodes": [{"id": n} for n in range(60_000)], "edges": [{"source": 0, "target": -1}]}),
            "names '-1'",
        ),
    ],
    ids=["keys", "nodes"],
)
def test_a_long_file_is_refused_as_quickly_as_it_is_read(tmp_path, text, said):
    path = tmp_path / "g.json"
    path.write_text(text)
    start = time.thread_time()
    with pytest.raises(ConfigError, match=said):
        read_topology_file(path)
    assert time.thread_time() - start < 5


@pytest.mark.parametrize("key", ["edges", "links"])
@pytest.mark.parametrize("ids", [(0, 1), ("ada", "ben")])
def test_node_link_json_of_old_and_new_networkx_with_any_ids(tmp_path, key, ids):
    (first, second), path = ids, tmp_path / "g.json"
    nodes = [{"id": first, "temperature": 0.5}, {"id": second}]
    path.write_text(json.dumps({"nodes": nodes, key: [{"source": first, "target": second}], "directed": True}))
    agents, edges = read_topology_file(path)
    assert agents == {str(first): {"temperature": 0.5}, str(second): {}}
    assert edges == [{"from": str(first), "to": str(second)}]
    path.write_text(json.dumps({"nodes": nodes, key: [{"source": first, "target": second}]}))
    assert len(read_topology_file(path)[1]) == 2, "what does not say directed is heard both ways"
    path.write_text(json.dumps({"nodes": nodes, key: [{"source": first, "target": second}] * 2}))
    assert len(read_topology_file(path)[1]) == 2, "what does not say multigraph has one edge between two"


def test_the_command_line_says_one_sentence(cli, written, tmp_path):
    code, _, err = cli("eval", written("methods: {'..': {}}"), "--limit", 1, "--out", tmp_path / "run")
    assert code == 2
    assert "a method cannot be called '..'" in err
    assert not (tmp_path / "run").exists()
    code, _, err = cli("run", "", "--config", "smoke")
    assert code == 2
    assert "the question is empty" in err
    assert cli("topology", "check", "complete", "--agents", 3000)[0] == 2


def test_a_method_of_any_printable_name_is_drawn(cli, written, tmp_path):
    pytest.importorskip("matplotlib")
    names = "methods: {'$\\x$': {message: text}, '<script>alert(1)': {message: cipher}}"
    path = written(names.replace("\\", ""))
    assert cli("eval", path, "--limit", 2, "--out", tmp_path / "run")[0] == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{limit: .nan}", "options.limit: a finite number is needed; got nan"),
        ("{limits: [1, -.inf]}", r"options.limits.1: a finite number is needed; got -inf"),
        (
            "{since: 2020-01-01}",
            "options.since: '2020-01-01' is a date, which no key takes; for a text, put it into quotes",
        ),
        ("{table: !!binary aGk=}", "options.table: .* is of the type bytes"),
    ],
)
def test_what_a_run_folder_would_hold_as_something_else_is_refused(tmp_path, options, said):
    path = tmp_path / "c.yaml"
    path.write_text(f"backend: mock\nmodel: mock\nagents: {{ada: {{}}}}\noptions: {options}\n")
    with pytest.raises(ConfigError, match=said):
        load_config(path)


def test_a_topology_file_is_named_in_a_config_file_alone():
    with pytest.raises(ConfigError, match="`file` is read where a config file is loaded"):
        validate({"backend": "mock", "model": "mock", "topology": {"file": "g.json"}}, source="x")


TOKEN = "ghp_" + "a1" * 18


@pytest.mark.parametrize(
    "override",
    [
        "prompts={}",
        "agents.ada.prompts=./{}",
        "agents.ada.role={}",
        "agents.ada.checkpoint={}",
        "model={}",
        "backend={}",
        "decoding={}",
        "rounds={}",
        "format={}",
        "topology={{file: {}.json}}",
        "topology={}.json",
        "agents.{}.temperature=0.5",
        "{}=1",
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_repeated_nowhere(written, capsys, monkeypatch, override):
    monkeypatch.setattr("sys.argv", ["debate", "eval", str(written()), "--set", override.format(TOKEN)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.err.startswith("debate: ")
    assert TOKEN not in said.err + said.out


@pytest.mark.parametrize("key", ["prompts", "role", "model", "decoding", "rounds"])
def test_a_key_in_a_config_is_not_repeated_in_the_error_itself(written, key):
    with pytest.raises(ConfigError, match="a key has no place in a config") as refused:
        load_config(written(f"{key}: {TOKEN}\n", base=BASE.replace("model: mock\n", "")))
    assert TOKEN not in str(refused.value)


def test_a_key_in_a_topology_file_is_not_repeated(written, tmp_path):
    (tmp_path / "t.yaml").write_text(f"agents: {{zoe: {{prompts: ./{TOKEN}}}}}\n")
    with pytest.raises(ConfigError, match="a key has no place in a config") as refused:
        load_config(written("topology: {file: t.yaml}\n"))
    assert TOKEN not in str(refused.value)


def test_the_home_of_a_user_that_is_not_there_is_a_sentence(written):
    with pytest.raises(ConfigError, match=r"cannot read the topology ~nobody-of-that-name/x\.yaml: no such file"):
        load_config(written("topology: {file: ~nobody-of-that-name/x.yaml}\n"))
