"""From a config to the graphs of its rounds: what an edge says, whose keys it asks for, when it holds."""

import pytest

from agents.errors import ConfigError, UnknownName
from agents.signing import SigningKey
from debate.config.topology import TopologyConfig
from debate.topology.build import build_topology

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
