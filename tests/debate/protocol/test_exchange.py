"""Who hears whom, in what form, when: read off the plan, without a model."""

import asyncio
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.errors import DebateError
from debate.build import build_debate
from debate.config.load import validate
from debate.preview.checks import check
from debate.protocol.exchange import build_exchange
from debate.protocol.protocol import Inbox
from debate.protocol.rules import PROTOCOLS
from debate.runtime.backends import Backends
from debate.topology.edge import PLAIN
from debate.topology.generators import TOPOLOGIES
from debate.transcript import TurnKey


def exchange_of(**keys):
    base = {"backend": "mock", "agents": {"a": {"count": 4}}}
    return build_exchange(validate({**base, **keys}, source="test"))


def debate_of(**keys):
    config = validate({"backend": "mock", "model": "mock", **keys}, source="test")
    return build_debate(config, Backends(config))


any_topology, any_protocol = st.sampled_from(sorted(TOPOLOGIES)), st.sampled_from(sorted(PROTOCOLS))


def order_of(planned):
    """Return the turns in an order in which a scheduler says them: each wave of ready turns, then the next."""
    spoken, waiting = {}, list(planned.opening())
    while waiting:
        turn = waiting.pop(0)
        spoken[turn] = len(spoken)
        waiting += planned.ready(spoken, turn)
    assert planned.is_over(spoken)
    return spoken


@given(any_topology, any_protocol, st.integers(1, 9), st.integers(1, 4), st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_every_turn_is_said_once_and_hears_only_what_was_said_along_edges(topology, protocol, count, rounds, seed):
    keys = {"topology": topology, "protocol": protocol, "rounds": rounds, "seed": seed}
    exchange = exchange_of(agents={"a": {"count": count}}, **keys)
    planned = exchange.planned
    spoken = order_of(planned)
    assert set(spoken) == set(planned.plan)
    assert {(t.round, t.agent) for t in spoken} == {(r, n) for r in range(1, rounds + 1) for n in planned.names}
    for turn, inbox in planned.plan.items():
        assert all(spoken[heard] < spoken[turn] for heard in inbox.needed)
        graph = exchange.topology.graph(turn.round)
        assert all(graph.has_edge(heard.agent, turn.agent) for heard in inbox.heard)
        assert turn.agent not in {heard.agent for heard in inbox.heard}
        assert len(inbox.edges) == len(inbox.heard)
        for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
            assert (turn, edge) in planned.hearers(heard)


@given(any_topology, st.integers(2, 9), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_simultaneous_rounds_in_degree_is_inbox_size_and_out_edges_hear(topology, count, seed):
    exchange = exchange_of(agents={"a": {"count": count}}, topology=topology, rounds=3, seed=seed)
    for turn, inbox in exchange.planned.plan.items():
        if turn.round > 1:
            assert len(inbox.heard) == exchange.topology.graph(turn.round).in_degree(turn.agent)
            assert inbox.own == TurnKey(turn.round - 1, turn.agent)
        if turn.round < 3:
            heard_by = {hearer.agent for hearer, _ in exchange.planned.hearers(turn)}
            assert heard_by == set(exchange.topology.graph(turn.round + 1).successors(turn.agent))


def test_dynamic_graphs_differ_by_round_and_reproduce():
    graphs = [exchange_of(agents={"a": {"count": 9}}, topology="dynamic", seed=s).topology.graphs for s in (3, 3, 4)]
    edges = [[set(graph.edges) for graph in found.values()] for found in graphs]
    assert edges[0] == edges[1] != edges[2]
    assert edges[0][0] != edges[0][1]


def test_redraw_and_schedule():
    topology = {
        "generator": "erdos_renyi(p=0.4)",
        "redraw": True,
        "schedule": [{"rounds": [3], "generator": "complete"}],
    }
    graphs = exchange_of(agents={"a": {"count": 6}}, topology=topology, rounds=4).topology.graphs
    assert set(graphs[1].edges) != set(graphs[2].edges)
    assert graphs[3] is graphs[4]
    assert graphs[4].number_of_edges() == 30


def test_a_static_topology_is_one_graph():
    assert len(set(exchange_of(topology="ring", rounds=9).topology.graphs.values())) == 1


def heard(exchange, round, agent):
    return [f"{key.agent}{key.round}" for key in exchange.planned.plan[TurnKey(round, agent)].heard]


EDGE = {"from": "ada", "to": "ben"}


@pytest.mark.parametrize(
    ("edge", "round", "expected"),
    [
        ({}, 3, ["ada2"]),
        ({"delay": 1}, 3, ["ada1"]),
        ({"delay": 1}, 2, []),
        ({"seen": "all"}, 4, ["ada1", "ada2", "ada3"]),
        ({"seen": "all", "delay": 1}, 4, ["ada1", "ada2"]),
        ({"rounds": [2, 3]}, 4, []),
        ({"rounds": [2, 3]}, 3, ["ada2"]),
        ({"rounds": 4}, 4, ["ada3"]),
        ({"rounds": [3]}, 2, []),
    ],
)
def test_edges_say_what_is_heard(edge, round, expected):
    topology = {"edges": [{**EDGE, **edge}]}
    assert heard(exchange_of(agents={"ada": {}, "ben": {}}, topology=topology, rounds=4), round, "ben") == expected


@pytest.mark.parametrize(
    ("protocol", "round", "agent", "expected"),
    [
        ("simultaneous", 2, "a2", ["a11", "a31", "a41"]),
        ("multi_party", 2, "a2", ["a11", "a31", "a41"]),
        ("one_by_one", 2, "a2", ["a12", "a31", "a41"]),
        ("memory", 2, "a2", ["a11", "a12", "a31", "a41"]),
        ("relay", 1, "a3", ["a21"]),
        ("relay", 2, "a1", ["a41"]),
        ("report", 1, "a1", ["a21", "a31", "a41"]),
        ("report", 2, "a3", ["a11"]),
        ("hierarchical", 1, "a4", ["a11", "a21", "a31"]),
        ("hierarchical", 2, "a2", ["a41"]),
        ("angel_devil_judge", 1, "a2", ["a11"]),
        ("angel_devil_judge", 1, "a4", ["a11", "a21", "a31"]),
        ("angel_devil_judge", 2, "a1", ["a21", "a31"]),
        ("feed_forward", 1, "a3", ["a11", "a21"]),
    ],
)
def test_protocols_say_whom_one_hears(protocol, round, agent, expected):
    assert heard(exchange_of(topology="complete", protocol=protocol), round, agent) == expected


def test_gossip_hears_so_many_peers_and_waits_for_no_round():
    exchange = exchange_of(agents={"a": {"count": 8}}, topology="complete", protocol="gossip(peers=2)", rounds=3)
    assert max(len(inbox.heard) for inbox in exchange.planned.plan.values()) == 2
    needed = {turn: {need.agent for need in inbox.needed} for turn, inbox in exchange.planned.plan.items()}
    # A second turn needs at most its own first and two others': nobody waits for the whole first round.
    assert max(len(agents) for turn, agents in needed.items() if turn.round == 2) == 3


RING = {"generator": "ring", "over": "a", "edges": [{"from": "a", "to": "judge", "message": "text"}]}
JUDGED = {"a": {"count": 4, "temperature": [0.1, 0.7]}, "judge": {"role": "judge"}}


def test_a_ring_with_a_judge_speaks_cipher_inside_and_text_to_the_judge():
    exchange = exchange_of(agents=JUDGED, topology=RING, decision="judge")
    plan = exchange.planned.plan
    assert [turn.agent for turn in plan][-1] == "judge"
    inbox = plan[TurnKey(3, "judge")]
    assert heard(exchange, 3, "judge") == ["a13", "a23", "a33", "a43"]
    assert {edge.message for edge in inbox.edges} == {"text"}
    assert {e for t, e in exchange.encoders.items() if t.agent != "judge"} == {"expectation"}
    assert exchange.encoders[TurnKey(3, "judge")] is None
    assert heard(exchange, 2, "a1") == ["a21", "a41"]


def test_whoever_is_only_heard_as_text_speaks_text():
    edges = [{"from": "ada", "to": "ben", "message": "text"}, {"from": "ben", "to": "ada", "message": "both"}]
    exchange = exchange_of(agents={"ada": {}, "ben": {}}, topology={"edges": edges})
    assert {turn.agent: encoder for turn, encoder in exchange.encoders.items()} == {"ada": None, "ben": "expectation"}


def test_edges_may_change_form_and_encoder_by_round():
    edges = [{**EDGE, "message": "text", "rounds": [1, 2]}, {**EDGE, "encoder": "topk(k=3)", "rounds": [3, 4]}]
    exchange = exchange_of(agents={"ada": {}, "ben": {}}, topology={"edges": edges}, rounds=4)
    assert [exchange.encoders[TurnKey(r, "ada")] for r in (1, 2, 3, 4)] == [None, "topk(k=3)", "topk(k=3)", "topk(k=3)"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"topology": {"edges": [{"from": "x", "to": "a1"}]}},
            r"topology.edges.0.from: unknown agent 'x'. Known: \*, a",
        ),
        ({"topology": {"edges": [{"from": "a1", "to": "a1"}]}}, "topology.edges.0: 'a1' to itself"),
        ({"topology": {"edges": [{"from": "a", "to": "a1", "rounds": 9}]}}, "begins in round 9, but the debate has 3"),
        (
            {"topology": {"edges": [{"from": "a", "to": "a1", "rounds": [3, 2]}]}},
            "topology.edges.0.rounds: .*rounds count",
        ),
        ({"topology": {"edges": [{"from": "a", "to": "a1", "mesage": "text"}]}}, "Did you mean 'message'"),
        ({"topology": {"edges": [{"from": "a"}]}}, "topology.edges.0.to: this key is needed"),
        ({"topology": {"generater": "ring"}}, "Did you mean 'generator'"),
        ({"topology": {"generator": "ring", "over": ["b"]}}, "topology.over: unknown agent 'b'"),
        ({"protocol": "relai"}, "unknown protocol 'relai'.*Did you mean 'relay'"),
        ({"protocol": "gossip(peer=1)"}, "It takes: peers"),
        ({"agents": {"a": {"count": 0}}}, "a.count: must be a whole number"),
        ({"agents": {"a": {"like": "bold"}}}, "a.like: unknown template 'bold'. Known: none"),
        ({"agents": {"a": {"count": 2}, "a1": {}}}, "two agents are called 'a1'"),
        ({"agents": {"a": {"count": 3, "temprature": 1}}}, "agents.a: unknown key|agents.a.temprature: unknown key"),
        (
            {"agents": {"ada": {"encoder": "none"}, "ben": {}}, "topology": {"edges": [{**EDGE, "message": "cipher"}]}},
            "ada to ben is cipher, but ada has encoder: none",
        ),
        (
            {
                "agents": {"ada": {}, "ben": {}, "cy": {}},
                "topology": {"edges": [{**EDGE, "encoder": "gumbel"}, {"from": "ada", "to": "cy"}]},
            },
            "in two encoders, gumbel for ben and expectation for cy",
        ),
    ],
)
def test_mistakes_are_sentences_with_their_place(keys, said):
    with pytest.raises(DebateError, match=said):
        exchange_of(**keys)


def findings(**keys):
    base = {"backend": "mock", "agents": {"a": {"count": 4}}}
    config = validate({**base, **keys}, source="test")
    return [(finding.kind, finding.text) for finding in check(config, build_exchange(config))]


@pytest.mark.parametrize(
    ("keys", "kind", "said"),
    [
        ({"decision": "judge"}, "error", "no agent of role judge"),
        ({"decision": "judge(agent='zed')"}, "error", "no agent 'zed'"),
        (
            {"agents": JUDGED, "topology": {"generator": "ring"}, "decision": "judge"},
            "error",
            "judge decides but hears",
        ),
        ({"topology": "custom"}, "warning", "isolated"),
        ({"topology": {"edges": [{"from": "a1", "to": "a2"}, {"from": "a3", "to": "a4"}]}}, "warning", "2 debates"),
        ({"topology": "chain", "agents": {"a": {"count": 3, "temperature": [0.1, 1]}}}, "warning", "hears nobody"),
        ({"topology": "complete", "protocol": "relay"}, "warning", "never carry a message"),
        ({"agents": {"ada": {}, "ben": {"model": "other"}}}, "note", "is said when both are loaded"),
    ],
)
def test_check_says_what_is_wrong_and_what_to_do(keys, kind, said):
    found = findings(**keys)
    assert any(k == kind and said.removeprefix("no ") in text for k, text in found), found


def test_a_sound_topology_has_no_findings():
    assert findings(topology="complete") == []
    assert findings(agents=JUDGED, topology=RING, decision="judge") == []


def test_a_debate_warns_once_and_refuses_errors():
    said = []

    async def build(**keys):
        config = validate({"backend": "mock", "model": "mock", "agents": {"a": {"count": 4}}, **keys}, source="test")
        backends = Backends(config, said.append)
        for _ in range(2):
            build_debate(config, backends)

    asyncio.run(build(topology="custom"))
    assert len([sentence for sentence in said if "isolated" in sentence]) == 1
    with pytest.raises(DebateError, match="topology: decision judge"):
        asyncio.run(build(decision="judge"))


def test_templates_and_groups_make_fifty_agents_of_a_line():
    config = validate(
        {
            "templates": {"bold": {"temperature": 1.2, "role": "persona_bold"}},
            "agents": {"lead": {"like": "bold", "temperature": 0.1}, "a": {"count": 49, "temperature": [0.5, 1.5]}},
        },
        source="test",
    )
    assert len(config.agents) == 50
    assert config.agents["lead"].role == "persona_bold"
    assert config.deciding_agent == "lead"
    assert [config.agents[n].temperature for n in ("a1", "a25", "a49")] == [0.5, 1.0, 1.5]
    assert config.groups == {"a": tuple(f"a{n}" for n in range(1, 50))}


@pytest.mark.parametrize("topology", ["sparse(k=4)", "small_world(k=4)", "dynamic(degree=4)", "teams(size=5)"])
def test_a_thousand_agents_are_built_checked_and_scheduled_in_half_a_second_a_round(topology):
    rounds = 3
    raw = {"backend": "mock", "model": "mock", "agents": {"a": {"count": 1000}}, "topology": topology, "rounds": rounds}

    async def build():
        config = validate(raw, source="test")
        return build_debate(config, Backends(config))

    begin = time.process_time()
    debate = asyncio.run(build())
    spoken = order_of(debate.protocol)
    seconds = time.process_time() - begin
    assert len(spoken) == 1000 * rounds
    assert seconds < 0.5 * rounds, f"{seconds:.2f} s of the processor for {rounds} rounds"


KEYS = ["generator", "over", "edges", "from", "to", "message", "rounds", "schedule", "delay", "count", "like", "x"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.sampled_from(["ring", "a", "*", "text", "x", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["topology", "agents", "protocol", "stopping", "templates"]), anything, max_size=3)
)
@settings(max_examples=300, deadline=None)
def test_any_config_is_an_exchange_that_can_be_played_or_a_sentence_that_names_a_key(keys):
    refusal, planned = None, None
    try:
        planned = exchange_of(**keys).planned
    except DebateError as error:
        refusal = str(error)
    if planned is not None:
        assert set(order_of(planned)) == set(planned.plan)
    else:
        assert any(key.removesuffix("s") in refusal for key in keys), refusal


# Of each key what may stand there, and what is refused, with the reason; None is what nobody has to mend.
GROUPS = [
    ({"a": {"count": 3}}, None),
    ({"ada": {}, "a": {"count": 2, "temperature": [0.1, 0.9]}}, None),
    ({"a": {"count": 0}}, "a.count: must be a whole number"),
    ({"a": {"count": 2}, "a1": {}}, "two agents are called 'a1'"),
    ({}, "agents: .*at least 1"),
]
EXCHANGES = [
    ("ring(hops=2)", None),
    ({"generator": "sparse(k=1)", "edges": [{"from": "a1", "to": "*", "message": "both"}]}, None),
    ({"schedule": [{"rounds": [2], "generator": "complete"}]}, None),
    ("rng", "unknown topology 'rng'.*Did you mean 'ring'"),
    ("ring(hop=2)", "It takes: hops"),
    ({"edges": [{"from": "a1", "to": "zed"}]}, "topology.edges.0.to: unknown agent 'zed'"),
    ({"edges": [{"from": "a1", "to": "a2", "rounds": [9]}]}, "begins in round 9"),
]
ORDERS = [
    ("feed_forward", None),
    ("gossip(peers=2)", None),
    ("gosip", "unknown protocol 'gosip'"),
    ("relay(peers=1)", "protocol 'relay' has no parameter 'peers'"),
]
ENDS = [
    ("fixed", None),
    ("budget(tokens=9)", None),
    ("budget", "needs tokens or seconds"),
    ("share(off=1)", "stopping rule 'share' has no parameter 'off'"),
]


@pytest.mark.parametrize(("stopping", "unending"), ENDS, ids=lambda given: str(given)[:20])
@pytest.mark.parametrize(("protocol", "disorder"), ORDERS, ids=lambda given: str(given)[:20])
def test_a_combination_is_refused_for_the_reason_of_a_part_and_else_not(protocol, disorder, stopping, unending):
    for (agents, ungrouped), (topology, unheard) in itertools.product(GROUPS, EXCHANGES):
        keys = {"agents": agents, "topology": topology, "protocol": protocol, "stopping": stopping}
        reasons = [reason for reason in (ungrouped, unheard, disorder, unending) if reason]
        if reasons:
            with pytest.raises(DebateError, match="|".join(reasons)):
                debate_of(**keys)
        else:
            assert debate_of(**keys).protocol.num_turns == 9


def test_an_inbox_of_no_stated_edges_is_heard_by_plain_ones():
    inbox = Inbox(None, (TurnKey(1, "ada"), TurnKey(1, "ben")))
    assert inbox.edges == (PLAIN, PLAIN)
