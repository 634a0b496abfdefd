"""Topology files, and the commands over them."""

import sys

import networkx as nx
import pytest

from agents.errors import ConfigError
from debate.config.load import load_config, to_yaml
from debate.preview.export import write_topology_file
from debate.protocol.exchange import build_exchange
from evals.methods import method_config


def edges(config):
    whole = build_exchange(config).topology.union()
    return {(s, h, data["edge"].message, data["edge"].delay) for s, h, data in whole.edges(data=True)}


def test_graphml_and_node_link_files_are_topologies(tmp_path):
    graph = nx.DiGraph()
    graph.add_node("ada", temperature=0.2)
    graph.add_node("ben", temperature=0.9, model="other")
    graph.add_edge("ada", "ben", message="text", delay=1)
    graph.add_edge("ben", "ada", message="cipher")
    nx.write_graphml(graph, tmp_path / "g.graphml")
    import json

    (tmp_path / "g.json").write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    (tmp_path / "g.yaml").write_text(
        "agents: {ada: {temperature: 0.2}, ben: {temperature: 0.9, model: other}}\n"
        "edges: [{from: ada, to: ben, message: text, delay: 1}, {from: ben, to: ada, message: cipher}]\n"
    )
    found = []
    for name in ("g.graphml", "g.json", "g.yaml"):
        (tmp_path / "c.yaml").write_text(
            f"backend: mock\ntopology: {{file: {name}}}\nagents: {{ada: {{role: critic}}}}\n"
        )
        config = load_config(tmp_path / "c.yaml")
        assert (config.agents["ben"].model, config.agents["ada"].temperature) == ("other", 0.2)
        assert config.agents["ada"].role == "critic"
        found.append(edges(config))
    assert found == [{("ada", "ben", "text", 1), ("ben", "ada", "cipher", 0)}] * 3


def test_undirected_files_are_heard_both_ways(tmp_path):
    nx.write_graphml(nx.relabel_nodes(nx.path_graph(3), {0: "a", 1: "b", 2: "c"}), tmp_path / "g.graphml")
    (tmp_path / "c.yaml").write_text("backend: mock\ntopology: {file: g.graphml}\n")
    assert {(s, h) for s, h, *_ in edges(load_config(tmp_path / "c.yaml"))} == {
        ("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("g.graphml", "<graphml", "not a graphml graph"),
        ("g.json", "{}", "node-link JSON is a mapping with nodes and edges"),
        ("g.json", "[", "not a json graph"),
        ("g.yaml", "nodes: []", "has the keys agents and edges"),
        ("g.txt", "", "ends in .graphml, .json"),
        ("g.json", None, "cannot read the topology"),
    ],
)
def test_a_bad_file_is_a_sentence(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_text(content)
    (tmp_path / "c.yaml").write_text(f"backend: mock\ntopology: {{file: {name}}}\nagents: {{a: {{}}}}\n")
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path / "c.yaml")


def test_a_resolved_config_reads_back_equal(tmp_path):
    for name in ("teams", "dynamic", "layers"):
        config = load_config(_shipped(name))
        (tmp_path / "c.yaml").write_text(to_yaml(config))
        assert load_config(tmp_path / "c.yaml") == config


def test_the_text_method_of_a_mixed_debate_is_all_text():
    found = method_config(load_config(_shipped("layers")), "text")
    assert {message for _, _, message, _ in edges(found)} == {"text"}
    assert set(build_exchange(found).encoders.values()) == {None}


def _shipped(name):
    from debate.config.shipped import configs_folder

    return configs_folder() / "topologies" / f"{name}.yaml"


def test_list_names_everything(cli):
    code, out, _ = cli("topology", "list")
    assert code == 0
    for name in (
        "small_world(",
        "gossip(peers=1)",
        "gate",
        "belief_average",
        "devils_advocate",
        "topologies/teams.yaml",
    ):
        assert name in out


def test_show_and_sketch(cli):
    code, out, _ = cli("topology", "show", "topologies/ring_with_judge")
    assert code == 0
    rows = [line.split()[2:] for line in out.splitlines() if line.startswith(("debater1", "judge"))]
    assert rows == [["\\", "C", "·", "C", "·"], ["t", "t", "t", "t", "\\"]]
    assert "a debate: 13 messages said, 20 heard" in out
    assert "diameter: 2" in out
    assert cli("topology", "draw", "ring", "--agents", "30")[1].count("←") == 30


@pytest.mark.parametrize("ending", ["svg", "png", "graphml", "json"])
def test_draw_writes_a_picture_or_a_graph(cli, tmp_path, ending):
    if ending in ("svg", "png"):
        pytest.importorskip("matplotlib")
    out = tmp_path / f"teams.{ending}"
    code, said, _ = cli("topology", "draw", "topologies/teams", "--out", out)
    assert (code, f"wrote {out}" in said.replace("\n", "")) == (0, True)
    again = tmp_path / f"again.{ending}"
    cli("topology", "draw", "topologies/teams", "--out", again)
    assert out.read_bytes() == again.read_bytes()
    if ending == "svg":
        assert all(name in out.read_text() for name in ("red1", "green3", "CIPHER", "judge"))


@pytest.mark.parametrize("name", ["complete", "layered(layers=3)", "teams(size=4)", "star", "grid", "scale_free"])
def test_every_layout_draws(cli, tmp_path, name):
    pytest.importorskip("matplotlib")
    assert cli("topology", "draw", name, "--agents", 12, "--out", tmp_path / "x.png")[0] == 0


def test_a_picture_of_another_kind_is_a_sentence(cli, tmp_path):
    code, _, err = cli("topology", "draw", "ring", "--out", tmp_path / "x.gif")
    assert code == 2
    assert "ends in .svg, .png, .pdf" in err.replace("\n", " ")


def test_written_graphs_read_back(tmp_path):
    whole = build_exchange(load_config(_shipped("teams"))).topology.union()
    for name in ("g.graphml", "g.json"):
        write_topology_file(tmp_path / name, whole)
        (tmp_path / "c.yaml").write_text(f"backend: mock\ntopology: {{file: {name}}}\n")
        assert edges(load_config(tmp_path / "c.yaml")) == edges(load_config(_shipped("teams")))


def test_check_refuses_with_exit_code_two(cli):
    good, out, _ = cli("topology", "check", "topologies/teams")
    assert (good, "nothing is wrong" in out) == (0, True)
    bad, out, _ = cli("topology", "check", "topologies/teams", "--set", "decision=judge(agent='nobody')")
    assert bad == 2
    assert "error: decision judge" in out
    unknown, _, err = cli("topology", "check", "rng")
    assert unknown == 2
    assert "Did you mean 'ring'" in err.replace("\n", " ")


def test_a_ring_with_a_judge_is_five_lines_and_plays(cli):
    assert len(_shipped("ring_with_judge").read_text().strip().splitlines()) == 5
    settings = ("--set", "backend=mock", "--set", "model=mock")
    code, out, _ = cli("run", "--config", "topologies/ring_with_judge", "--task", "arithmetic", *settings)
    assert code == 0
    assert "judge, who judges, said so" in out.replace("\n", " ")


@pytest.mark.parametrize("command", ["list", "show", "draw", "check", "map"])
def test_help_teaches_with_an_example(cli, command):
    code, out, _ = cli("topology", command, "--help")
    assert code == 0
    assert f"debate topology {command}" in out.split("Options:")[0].replace(f"Usage: debate topology {command}", "", 1)


def test_map_reports_vocabulary_text_and_messages(cli, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("naïve café: 6*7=42")
    run = tmp_path / "run"
    settings = ("--set", "backend=mock", "--set", "model=mock", "--out", run)
    assert cli("run", "--config", "first_debate", "--task", "arithmetic", *settings)[0] == 0
    code, out, _ = cli("topology", "map", "bytes", "bytes", "--text", text, "--run", run)
    assert code == 0
    assert "vocabulary: 100.0% of 256 tokens" in out
    assert "spelled back exactly" in out
    assert "messages: 2, which keep 1.000" in out


def test_map_of_a_run_without_vectors_is_a_sentence(cli, tmp_path):
    code, _, err = cli("topology", "map", "bytes", "bytes", "--run", tmp_path)
    assert code == 2
    assert "holds no CIPHER messages" in err.replace("\n", " ")


def test_without_matplotlib_the_install_line_is_said(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = cli("topology", "draw", "ring", "--out", tmp_path / "x.svg")
    assert code == 2
    assert "pip install 'cipher-debate[viz]'" in err.replace("\n", " ")
