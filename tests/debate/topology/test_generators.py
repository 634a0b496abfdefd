"""Generators: order, degrees, seeds, and that names decide nothing."""

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.errors import ConfigError, UnknownName
from debate.topology.build import build_topology
from debate.topology.generators import TOPOLOGIES, build_graph, is_drawn

NAMES = sorted(TOPOLOGIES)


def names(count):
    return [f"n{place}" for place in range(count)]


@given(st.sampled_from(NAMES), st.integers(1, 14), st.integers(0, 50))
@settings(max_examples=150, deadline=None)
def test_every_generator_keeps_the_names_in_order_and_has_no_loops(topology, count, seed):
    graph = build_graph(topology, names(count), seed=seed)
    assert list(graph.nodes) == names(count)
    assert nx.number_of_selfloops(graph) == 0


@given(st.sampled_from(NAMES), st.integers(1, 10), st.integers(0, 20), st.randoms())
@settings(max_examples=100, deadline=None)
def test_names_decide_nothing(topology, count, seed, random):
    one = names(count)
    other = [f"x{place}" for place in range(count)]
    random.shuffle(other)
    renamed = nx.relabel_nodes(build_graph(topology, one, seed=seed), dict(zip(one, other, strict=True)))
    assert set(renamed.edges) == set(build_graph(topology, other, seed=seed).edges)


@pytest.mark.parametrize("topology", [name for name in NAMES if is_drawn(name)])
def test_drawn_graphs_reproduce_under_the_seed_and_differ_without(topology):
    graphs = [set(build_graph(topology, names(20), seed=seed).edges) for seed in (1, 1, 2)]
    assert graphs[0] == graphs[1] != graphs[2]
    assert set(build_graph(topology, names(20)).edges) == set(build_graph(topology, names(20), seed=0).edges)


@pytest.mark.parametrize(
    ("topology", "degrees", "diameter"),
    [
        ("complete", {5}, 1),
        ("ring", {2}, 3),
        ("ring(hops=2)", {4}, 2),
        ("ring(both=False)", {1}, 5),
        ("chain(both=True)", {1, 2}, 5),
        ("star", {1, 5}, 2),
        ("tree", {1, 2, 3}, 4),
        ("sparse(k=3)", {3}, 2),
        ("grid(columns=3)", {2, 3}, 3),
        # Round a side of two there is no other way.
        ("grid(columns=3, periodic=True)", {2, 3}, 3),
        ("teams(size=3)", {2, 3}, 3),
        ("small_world(k=2, p=0.0)", {2}, 3),
    ],
)
def test_degrees_and_diameter_of_six(topology, degrees, diameter):
    graph = build_graph(topology, names(6))
    assert {degree for _, degree in graph.in_degree()} == degrees
    assert nx.diameter(graph) == diameter


@pytest.mark.parametrize(
    ("topology", "edges"),
    [
        ("ring(both=False)", "01 12 23 34 45 50"),
        ("layered(layers=3)", "02 03 12 13 24 25 34 35"),
        ("chain", "01 12 23 34 45"),
    ],
)
def test_who_hears_whom_of_six(topology, edges):
    assert sorted(build_graph(topology, names(6)).edges) == [(f"n{s}", f"n{h}") for s, h in edges.split()]


@pytest.mark.parametrize(
    "spelled",
    [
        "ring(hops=1, both=True)", "chain(both=False)", "tree(branching=2, both=True)", "sparse(k=2)", "layered(layers=2)",
        "small_world(k=4, p=0.1)", "erdos_renyi(p=0.5)", "scale_free(m=2)", "grid(columns=0, periodic=False)",
        "bipartite(judges=1, both=False)", "teams(size=3, bridges=1)", "dynamic(degree=2)",
    ],
)  # fmt: skip
def test_what_is_not_said_of_a_topology_is_the_same_in_every_version(spelled):
    name = spelled.partition("(")[0]
    assert set(build_graph(name, names(12), seed=3).edges) == set(build_graph(spelled, names(12), seed=3).edges)


def test_a_topologys_own_seed_comes_before_the_debates():
    own = build_graph("erdos_renyi(p=0.4, seed=7)", names(9), seed=1)
    assert set(own.edges) == set(build_graph("erdos_renyi(p=0.4)", names(9), seed=7).edges)


def test_complete_lists_edges_as_the_paper_reads_them():
    assert list(build_graph("complete", ["a", "b"]).edges) == [("a", "b"), ("b", "a")]


@pytest.mark.parametrize("topology", ["layered(layers=3)", "bipartite(judges=2)", "chain", "tree(both=False)"])
def test_feed_forward_graphs_have_no_cycles(topology):
    assert nx.is_directed_acyclic_graph(build_graph(topology, names(9)))


@pytest.mark.parametrize(
    ("topology", "said"),
    [
        ("rng", "Did you mean 'ring'"),
        ("ring(hop=2)", "It takes: hops, both"),
        ("ring(hops='two')", "must be of type int"),
        ("ring(hops=0)", "'ring': hops must be at least 1; got 0"),
        ("tree(branching=0)", "'tree': branching must be at least 1; got 0"),
        ("sparse(k=0)", "'sparse': k must be at least 1; got 0"),
        ("layered(layers=0)", "'layered': layers must be at least 1; got 0"),
        ("small_world(k=1)", "'small_world': k must be at least 2; got 1"),
        ("small_world(p=1.5)", "'small_world': p must be between 0 and 1; got 1.5"),
        ("scale_free(m=0)", "'scale_free': m must be at least 1; got 0"),
        ("grid(columns=-1)", "'grid': columns must be at least 0; got -1"),
        ("bipartite(judges=0)", "'bipartite': judges must be at least 1; got 0"),
        ("teams(size=0)", "'teams': size must be at least 1; got 0"),
        ("teams(bridges=-1)", "'teams': bridges must be at least 0; got -1"),
        ("dynamic(degree=0)", "'dynamic': degree must be at least 1; got 0"),
        ("erdos_renyi(p=2.0)", "'erdos_renyi': p must be between 0 and 1; got 2.0"),
        ("ring(2)", "name\\(parameter=value"),
        ("ring(hops=", "name\\(parameter=value"),
        ("no.such:function", "unknown topology"),
    ],
)
def test_mistakes_are_sentences(topology, said):
    with pytest.raises((ConfigError, UnknownName), match=said):
        build_graph(topology, names(4))


def backwards(names, *, step: int = 1):
    graph = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from((names[place], names[place - step]) for place in range(step, len(names)))
    return graph


def test_a_generator_of_ones_own_is_found_by_its_path(monkeypatch):
    import sys
    import types

    module = types.ModuleType("own_topologies")
    module.backwards = backwards
    monkeypatch.setitem(sys.modules, "own_topologies", module)
    assert list(build_graph("own_topologies.backwards(step=2)", names(3)).edges) == [("n2", "n0")]


def test_what_is_drawn_once_is_drawn_from_the_debates_own_seed():
    drawn = [
        sorted(build_topology("erdos_renyi(p=0.4)", names(9), rounds=2, seed=seed).graph(1).edges) for seed in (5, 6)
    ]
    assert drawn == [sorted(build_graph("erdos_renyi(p=0.4)", names(9), seed=seed).edges) for seed in (5, 6)]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    ("huge", "same"),
    [
        ("ring(hops={})", "ring(hops=8)"),
        ("grid(columns={})", "grid(columns=9)"),
        ("sparse(k={})", "complete"),
        ("tree(branching={})", "star"),
        ("dynamic(degree={})", "complete"),
        ("teams(size={})", "complete"),
    ],
)
def test_a_number_beyond_the_agents_costs_no_more_than_their_number(huge, same):
    assert set(build_graph(huge.format(10**12), names(9)).edges) == set(build_graph(same, names(9)).edges)


def test_a_periodic_grid_has_no_border():
    assert {degree for _, degree in build_graph("grid(columns=3, periodic=True)", names(9)).in_degree()} == {4}
    assert {degree for _, degree in build_graph("grid(columns=3)", names(9)).in_degree()} == {2, 3, 4}


def to_itself(names):
    graph = nx.DiGraph()
    graph.add_edges_from((name, name) for name in names)
    return graph


def test_nobody_hears_itself_by_a_generator_of_ones_own(monkeypatch):
    import sys
    import types

    module = types.ModuleType("own_topologies")
    module.to_itself = to_itself
    monkeypatch.setitem(sys.modules, "own_topologies", module)
    with pytest.raises(ConfigError, match="has an edge from 'n0' to itself"):
        build_graph("own_topologies.to_itself", names(2))


def test_directions_are_drawn_one_by_one():
    graph = build_graph("erdos_renyi(p=0.4)", names(20), seed=3)
    assert 0.2 < nx.reciprocity(graph) < 0.6
    assert 100 < graph.number_of_edges() < 200


def test_layers_and_teams_are_said_of_each_agent():
    assert dict(build_graph("layered(layers=3)", names(6)).nodes("layer")) == {f"n{n}": n // 2 for n in range(6)}
    assert dict(build_graph("teams(size=4)", names(6)).nodes("team")) == {f"n{n}": n // 4 for n in range(6)}


def reordered(names):
    graph = nx.DiGraph()
    graph.add_nodes_from(reversed(names))
    return graph


def undirected(names):
    graph = nx.Graph()
    graph.add_nodes_from(names)
    return graph


@pytest.mark.parametrize("made", [reordered, undirected])
def test_a_generator_of_ones_own_returns_a_directed_graph_of_the_names_in_order(monkeypatch, made):
    import sys
    import types

    module = types.ModuleType("own_topologies")
    module.made = made
    monkeypatch.setitem(sys.modules, "own_topologies", module)
    with pytest.raises(ConfigError, match=r"must return a networkx\.DiGraph whose nodes are the names in order"):
        build_graph("own_topologies.made", names(3))


def test_attachment_by_one_edge_each_is_a_tree():
    graph = build_graph("scale_free(m=1)", names(9), seed=1)
    assert nx.is_tree(graph.to_undirected())
    assert graph.number_of_edges() == 2 * 8


def test_half_of_all_pairs_are_drawn_where_no_probability_is_said():
    assert 150 < build_graph("erdos_renyi", names(20), seed=1).number_of_edges() < 230
