"""Every generator under every protocol in text, CIPHER and mixed, played; every shipped config, played."""

import pytest
from support.plain_loops import on_mock

from agents.message import Message
from debate.config.schema import DebateConfig
from debate.config.shipped import configs_folder
from debate.protocol.rules import PROTOCOLS
from debate.topology.generators import TOPOLOGIES


def keys_of(form, topology):
    agents = {"a": {"count": 3, "temperature": [0.2, 0.8]}, "b": {"count": 2, "temperature": 0.5}}
    if form != "mixed":
        return {"agents": agents, "topology": topology, "message": form}
    agents["b"]["encoder"] = "none"
    edges = [
        {"from": "a1", "to": "b1", "message": "both"},
        {"from": "b1", "to": "a1", "message": "text"},
        {"from": "a2", "to": "a3", "message": "text"},
    ]
    return {"agents": agents, "topology": {"generator": topology, "edges": edges}}


@pytest.mark.parametrize("form", ["text", "cipher", "mixed"])
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("topology", sorted(TOPOLOGIES))
def test_plays(config, played, topology, protocol, form):
    debate, transcript, requests = played(config(**keys_of(form, topology), protocol=protocol, rounds=2))
    assert len(transcript.turns) == debate.protocol.num_turns == len(requests) == 10
    order = {turn.key: place for place, turn in enumerate(transcript.turns)}
    kinds = {turn.message.is_cipher for turn in transcript.turns}
    for turn in transcript.turns:
        inbox = debate.protocol.inbox(turn.key)
        assert turn.heard == inbox.heard
        assert all(order[heard] < order[turn.key] for heard in inbox.needed)
    if form != "mixed":
        assert kinds == {form == "cipher"}
    else:
        assert not any(turn.message.is_cipher for turn in transcript.turns if turn.key.agent.startswith("b"))


def slots(request):
    """Return what stands in the slots of a request's last turn: CIPHER or text messages, in order."""
    return [
        "cipher" if part.is_cipher else "text" for part in request.prompt.turns[-1].parts if isinstance(part, Message)
    ]


def test_an_edge_is_heard_in_its_own_form(config, played):
    edges = [
        {"from": "ada", "to": "ben", "message": "text"},
        {"from": "ada", "to": "cy", "message": "cipher"},
        {"from": "ada", "to": "dee", "message": "both"},
    ]
    agents = {name: {} for name in ("ada", "ben", "cy", "dee")}
    debate, transcript, _ = played(config(agents=agents, topology={"edges": edges}, rounds=2))
    said = {turn.key: turn for turn in transcript.turns}
    assert said[
        debate.protocol.inbox(next(k for k in said if k.round == 2 and k.agent == "cy")).heard[0]
    ].message.is_cipher

    def heard_by(name):
        key = next(key for key in said if key == type(key)(2, name))
        inbox = debate.protocol.inbox(key)
        return [heard.content for heard in debate.heard(inbox, debate.agents[name], said)]

    (reading,), (vectors,), ((both, words),) = heard_by("ben"), heard_by("cy"), heard_by("dee")
    original = transcript.turns[0].message
    assert vectors is original
    assert both is original
    assert reading == words
    assert not reading.is_cipher
    assert (reading.text, reading.token_ids) == (original.text, original.token_ids)


def test_answers_only_and_first_tokens(config, played):
    edges = [
        {"from": "ada", "to": "ben", "seen": "answers"},
        {"from": "ada", "to": "cy", "first_tokens": 5},
        {"from": "ada", "to": "dee", "first_tokens": 5, "message": "text"},
    ]
    agents = {name: {} for name in ("ada", "ben", "cy", "dee")}
    debate, transcript, _ = played(config(agents=agents, topology={"edges": edges}, rounds=2))
    said = {turn.key: turn for turn in transcript.turns}
    found = {}
    for key in said:
        if key.round == 2 and key.agent != "ada":
            inbox = debate.protocol.inbox(key)
            (heard,) = debate.heard(inbox, debate.agents[key.agent], said)
            found[key.agent] = heard.content
    original = transcript.turns[0].message
    assert found["ben"].startswith("Answer: ")
    assert found["cy"].cipher.vectors.equal(original.cipher.vectors[:5])
    assert found["cy"].text == found["dee"].text == original.text[:5]
    assert not found["dee"].is_cipher


def test_messages_are_stored_once_not_once_per_edge(config, played):
    debate, transcript, _ = played(config(agents={"a": {"count": 6}}, rounds=3))
    assert len({id(turn.message) for turn in transcript.turns}) == 18
    assert sum(len(turn.heard) for turn in transcript.turns) == 60
    said = {turn.key: turn for turn in transcript.turns}
    last = transcript.turns[-1].key
    heard = debate.heard(debate.protocol.inbox(last), debate.agents[last.agent], said)
    inbox = debate.protocol.inbox(last)
    assert [message.content for message in heard] == [said[key].message for key in inbox.heard]
    assert all(message.content is said[key].message for message, key in zip(heard, inbox.heard, strict=True))


@pytest.mark.parametrize("topology", ["complete", "dynamic", "small_world", "teams(size=2)"])
@pytest.mark.parametrize("protocol", ["simultaneous", "gossip", "hierarchical"])
@pytest.mark.parametrize("order", ["fixed", "shuffled"])
def test_permuting_names_changes_nothing_but_names(config, played, topology, protocol, order):
    def play(names):
        agents = {name: {"temperature": 0.3 + place / 10} for place, name in enumerate(names)}
        _, transcript, _ = played(config(agents=agents, topology=topology, protocol=protocol, order=order))
        place = {name: number for number, name in enumerate(names)}
        return [
            (
                turn.key.round,
                place[turn.key.agent],
                turn.seed,
                turn.message.digest,
                [place[h.agent] for h in turn.heard],
            )
            for turn in transcript.turns
        ]

    assert play(["ada", "ben", "cy", "dee", "eve"]) == play(["zed", "amy", "Bob", "x-1", "a2"])


def test_order_of_solutions(config, played):
    def heard(order):
        _, transcript, _ = played(config(agents={"a": {"count": 5}}, order=order, rounds=2))
        return {turn.key.agent: [h.agent for h in turn.heard] for turn in transcript.turns if turn.key.round == 2}

    fixed, backwards, shuffled = heard("fixed"), heard("reversed"), heard("shuffled")
    assert fixed["a1"] == ["a2", "a3", "a4", "a5"]
    assert backwards["a1"] == fixed["a1"][::-1]
    assert shuffled != fixed
    assert {k: sorted(v) for k, v in shuffled.items()} == fixed
    assert shuffled == heard("shuffled")


def test_complete_gives_the_papers_prompts(config, played):
    _, transcript, requests = played(config(agents={"ada": {}, "ben": {}, "cy": {}}, topology="complete", rounds=2))
    said = [turn.message for turn in transcript.turns[:3]]
    asked = [request.prompt.turns[-1].parts for request in requests[3:]]
    messages = [[part for part in parts if isinstance(part, Message)] for parts in asked]
    # The others' solutions in order, then the agent's own.
    assert messages == [[said[1], said[2], said[0]], [said[0], said[2], said[1]], [said[0], said[1], said[2]]]
    texts = [[part for part in parts if isinstance(part, str)] for parts in asked]
    assert texts[0][0].endswith("Agent 1's solution: ")
    assert texts[0][1].strip() == "Agent 2's solution:"
    assert texts[0][2].strip() == "Your solution:"


FILES = sorted([*configs_folder().glob("*.yaml"), *configs_folder().glob("topologies/*.yaml")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_config_plays_on_mock(played, task, path):
    from debate.decision.decision import Poll
    from debate.decision.rules import decision_rule
    from debate.preview.checks import check
    from debate.protocol.exchange import build_exchange

    found = on_mock(path)
    debate, transcript, _ = played(DebateConfig.model_validate({**found.model_dump(by_alias=True), "max_tokens": 40}))
    assert 0 < len(transcript.turns) <= debate.protocol.num_turns
    decision = decision_rule(found.decision)(Poll(transcript, found.electorate, task.extract))
    assert decision.answer is not None, decision.reason
    assert [finding for finding in check(found, build_exchange(found)) if finding.kind == "error"] == []


def test_a_judge_is_asked_to_review_and_an_agreement_is_told(config, played):
    agents = {"a": {"count": 2}, "judge": {"role": "judge"}}
    _, _, requests = played(config(agents=agents, decision="judge", agreement=0.9, rounds=1))
    system, *_, last = requests[-1].prompt.turns
    assert system.parts[0].startswith("You are the judge")
    assert "agree with the other agents 90% of the time" in system.parts[0]
    assert "Decide which solution is right" in last.parts[-1]
    assert slots(requests[-1]) == ["cipher", "cipher"]


def test_an_unknown_role_is_a_sentence(config, played):
    from agents.errors import UnknownName

    with pytest.raises(UnknownName, match=r"unknown role 'juge'. Known: .*judge.*Did you mean 'judge'"):
        played(config(agents={"a": {"role": "juge"}}))


def test_an_unknown_encoder_on_an_edge_is_a_sentence_before_anything_is_said(config, played):
    from agents.errors import ConfigError

    topology = {"edges": [{"from": "ada", "to": "ben", "encoder": "topc"}]}
    with pytest.raises(ConfigError, match="agent 'ada': unknown encoder 'topc'"):
        played(config(agents={"ada": {}, "ben": {}}, topology=topology))
