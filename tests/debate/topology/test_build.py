"""From a config to the graphs of its rounds: what an edge says, whose keys it asks for, when it holds."""

import pytest

from agents.errors import ConfigError, UnknownName
from agents.reduction import reduction
from agents.signing import SigningKey
from debate.config.topology import TopologyConfig
from debate.topology.build import build_topology
from debate.topology.edge import PLAIN, Edge

NAMES = ["ada", "ben", "cy"]


def built(*edges, rounds=3, **more):
    config = TopologyConfig.model_validate({"generator": "custom", "edges": edges, **more})
    return build_topology(config, NAMES, rounds=rounds)


def test_a_form_is_stated_where_an_edge_or_the_generator_writes_it():
    topology = built({"from": "ada", "to": "ben", "message": "text"}, {"from": "ben", "to": "ada"})
    assert [
        (edge.message, edge.is_stated)
        for edge in (topology.edge(1, *ends) for ends in (("ada", "ben"), ("ben", "ada")))
    ] == [
        ("text", True),
        ("cipher", False),
    ]
    for message in ("text", None):
        ring = build_topology(TopologyConfig(generator="ring", message=message), NAMES, rounds=1)
        assert ring.edge(1, "ada", "ben").is_stated == (message is not None)


def test_each_speaker_of_an_edge_is_asked_for_its_own_key():
    ada, ben = (SigningKey.generate().public for _ in range(2))
    edge = {"from": ["ada", "ben"], "to": "cy"}
    topology = built({**edge, "signed": {"ada": ada, "ben": ben}})
    assert [topology.edge(1, name, "cy").signed for name in ("ada", "ben")] == [ada, ben]
    assert [built({**edge, "signed": ada}).edge(1, name, "cy").signed for name in ("ada", "ben")] == [ada, ada]
    with pytest.raises(ConfigError, match=r"topology\.edges\.0\.signed: no key of ben, who speaks on this edge"):
        built({**edge, "signed": {"ada": ada}})
    with pytest.raises(UnknownName, match="unknown speaker 'cy'"):
        built({**edge, "signed": {"ada": ada, "ben": ben, "cy": ada}})


def test_an_edge_may_outlast_the_debate_and_not_begin_after_it():
    topology = built({"from": "ada", "to": "ben", "rounds": (3, 9)})
    assert [topology.graph(number).has_edge("ada", "ben") for number in (1, 2, 3)] == [False, False, True]
    with pytest.raises(ConfigError, match="begins in round 4, but the debate has 3 rounds"):
        built({"from": "ada", "to": "ben", "rounds": (4, None)})


def test_an_edge_has_an_encoder_of_its_own_where_it_carries_vectors():
    edge = {"from": "ada", "to": "ben", "encoder": "topk(k=2)"}
    assert built(edge).edge(1, "ada", "ben").encoder == "topk(k=2)"
    assert built({**edge, "message": "text"}).edge(1, "ada", "ben").encoder is None


def test_a_generator_holds_in_the_rounds_of_its_part_of_the_schedule():
    parts = [{"rounds": (2, 3), "generator": "chain"}, {"rounds": (4, None), "generator": "star"}]
    config = TopologyConfig.model_validate({"generator": "complete", "schedule": parts})
    topology = build_topology(config, NAMES, rounds=6)
    assert [topology.graph(number).number_of_edges() for number in range(1, 7)] == [6, 2, 2, 4, 4, 4]


def test_all_rounds_together_have_each_edge_as_it_is_heard_last():
    topology = built(
        {"from": "ada", "to": "ben"},
        {"from": "ada", "to": "ben", "message": "text", "rounds": (3, 3)},
        {"from": "ada", "to": "cy", "message": "text", "rounds": (2, 2)},
    )
    edges = topology.union().edges
    assert [edges["ada", hearer]["edge"].message for hearer in ("ben", "cy")] == ["text", "text"]
    assert topology.edge(1, "ada", "ben").message == "cipher"


@pytest.mark.parametrize("content", ["noise", "intact", None])
def test_what_a_control_puts_in_a_messages_place_is_not_reduced(content):
    edge = {"from": "ada", "to": "ben", "reduce": "drop(keep=0.5)", "content": content}
    if content == "noise":
        with pytest.raises(ConfigError, match=r"topology\.edges\.0\.reduce: .* and content: noise on one edge"):
            built(edge)
    else:
        assert built(edge).edge(1, "ada", "ben").reduce is not None


@pytest.mark.parametrize(
    ("generator", "redraw", "graphs"),
    [
        ("dynamic(degree=3)", None, 4),
        ("dynamic(degree=3)", False, 1),
        ("erdos_renyi(p=0.4)", None, 1),
        ("erdos_renyi(p=0.4)", True, 4),
        ("ring", True, 1),
    ],
)
def test_what_is_drawn_is_drawn_anew_each_round_where_that_is_said_or_its_kind(generator, redraw, graphs):
    topology = build_topology(TopologyConfig(generator=generator, redraw=redraw), list("abcdefghijkl"), rounds=4)
    assert len({frozenset(topology.graph(number).edges) for number in range(1, 5)}) == graphs


@pytest.mark.parametrize(("rounds", "heard"), [(1, 6), (2, 6), (3, 12)])
def test_messages_are_counted_from_the_second_round(rounds, heard):
    build_topology("complete", NAMES, rounds=rounds, most_heard=heard)
    with pytest.raises(ConfigError, match=f"over {rounds} rounds about {heard} messages would be heard"):
        build_topology("complete", NAMES, rounds=rounds, most_heard=heard - 1)


@pytest.mark.parametrize(
    ("generator", "edges"),
    [("complete", "999,000"), ("ring", "2,000"), ("sparse(k=3)", "3,000"), ("layered", "250,000")],
)
def test_the_edges_of_a_thousand_are_told_before_they_are_made(generator, edges):
    with pytest.raises(ConfigError, match=f"over 1,000 agents has some {edges} edges"):
        build_topology(generator, [str(number) for number in range(1000)], rounds=2, most_heard=1)


def test_an_edge_of_which_only_the_ends_are_said_is_a_plain_one():
    assert built({"from": "ada", "to": "ben"}).edge(1, "ada", "ben") == PLAIN


@pytest.mark.parametrize(
    ("says", "as_vectors", "heard"),
    [
        ({}, True, 40),
        ({"first_tokens": 10}, True, 10),
        ({"reduce": "drop(keep=0.5)"}, True, 20),
        ({"reduce": "drop(keep=0.5)"}, False, 40),
        ({"reduce": "drop(keep=0.5)", "seen": "answers"}, True, 40),
        ({"reduce": "drop(keep=0.5)", "message": "both"}, True, 40),
        ({"message": "both"}, True, 80),
    ],
)
def test_how_many_positions_of_forty_are_heard_at_most(says, as_vectors, heard):
    reduce = reduction(says.get("reduce", "none"))
    assert Edge(**{**says, "reduce": reduce}).most_heard(40, as_vectors=as_vectors) == heard
