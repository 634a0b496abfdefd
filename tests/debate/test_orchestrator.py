"""Who speaks when, who hears whom, and what a debate comes to."""

import asyncio
from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.backend import Generation, Pending, Sampling, Usage
from agents.backends.mock import MockBackend
from agents.errors import ConfigError, UnknownName
from agents.message import Message
from agents.prompts import Prompts
from agents.question import Question
from agents.speakers.agent import Agent
from debate.build import build_debate
from debate.config.electorate import Electorate
from debate.config.load import validate
from debate.config.shipped import configs_folder
from debate.decision.decision import Poll
from debate.decision.rules import decision_rule
from debate.orchestrator import Debate, play
from debate.protocol.rules import SimultaneousRounds
from debate.runtime.backends import Backends
from debate.topology.generators import build_graph, complete
from debate.transcript import TurnKey
from evals.scoring.numbers import stated_number

QUESTION = Question("q", "What is the result of 1+2*3+4-5*6?")
PROMPTS = Prompts(configs_folder() / "prompts" / "arithmetic")
SAMPLING = Sampling(temperature=0.5, max_tokens=64)


def debate(names=("ada", "ben", "eve"), rounds=3, message="cipher", graph=None, backend=None):
    backend = backend or MockBackend()
    encoder = "expectation" if message == "cipher" else None
    agents = {
        name: Agent(name=name, backend=backend, prompts=PROMPTS, sampling=SAMPLING, encoder=encoder) for name in names
    }
    return Debate(agents, SimultaneousRounds(graph or complete(names), rounds), seed=0)


@pytest.mark.parametrize("message", ["text", "cipher"])
def test_everyone_hears_exactly_the_others_last_messages_and_their_own(run, message):
    requests, started = [], []

    class Recording(MockBackend):
        def submit(self, request):
            requests.append(request)
            return super().submit(request)

    play_it = debate(message=message, backend=Recording())
    transcript = run(play(play_it, QUESTION, on_start=lambda question, turn: started.append(turn)))
    said = {turn.key: turn.message for turn in transcript.turns}
    assert len(said) == 9
    asked = dict(zip(started, requests, strict=True))
    for turn in transcript.turns:
        parts = [part for chat in asked[turn.key].prompt.turns for part in chat.parts if isinstance(part, Message)]
        if turn.key.round == 1:
            assert parts == []
            continue
        others = [name for name in ("ada", "ben", "eve") if name != turn.key.agent]
        before = turn.key.round - 1
        assert parts == [said[TurnKey(before, name)] for name in (*others, turn.key.agent)]
        assert turn.heard == tuple(TurnKey(before, name) for name in others)


def test_one_agent_speaks_to_itself_without_others(run):
    transcript = run(play(debate(("ada",), rounds=2), QUESTION))
    assert [turn.key for turn in transcript.turns] == [TurnKey(1, "ada"), TurnKey(2, "ada")]
    assert transcript.turns[1].heard == ()


@given(st.integers(1, 6), st.integers(1, 4), st.randoms())
def test_protocol_invariants_on_any_graph(nodes, rounds, draw):
    """Whatever the graph and the order in which turns end: each turn once, nothing heard before it was said."""
    graph = nx.gnp_random_graph(nodes, 0.5, seed=draw.randrange(1000), directed=True)
    protocol = SimultaneousRounds(graph, rounds)
    ready, spoken = list(protocol.opening()), []
    while ready:
        turn = ready.pop(draw.randrange(len(ready)))
        assert turn not in spoken
        inbox = protocol.inbox(turn)
        assert all(needed in spoken for needed in inbox.needed)
        assert len(inbox.heard) == (0 if turn.round == 1 else graph.in_degree(turn.agent))
        spoken.append(turn)
        ready += protocol.ready(spoken, turn)
        assert protocol.is_over(spoken) == (len(spoken) == nodes * rounds)
    assert len(spoken) == nodes * rounds


def test_a_turn_starts_the_moment_its_inbox_is_complete(run):
    """A chain of hearers: the first can be two rounds ahead of the last, which is slow."""
    graph = nx.DiGraph([("ada", "ben"), ("ben", "eve")])
    order = []

    class Slow(MockBackend):
        def submit(self, request):
            pending, inner = Pending(), super().submit(request)

            async def later():
                generation = await inner
                for _ in range(200 if request.sampling.temperature == 0.9 else 1):
                    await asyncio.sleep(0)
                pending.finish(generation)

            self._tasks.add(asyncio.get_running_loop().create_task(later()))
            return pending

    play_it = debate(graph=graph, backend=Slow())
    slow = replace(play_it.agents["eve"], sampling=Sampling(temperature=0.9, max_tokens=64))
    play_it = replace(play_it, agents={**play_it.agents, "eve": slow})
    run(play(play_it, QUESTION, on_turn=lambda question, turn: order.append((turn.key.agent, turn.key.round))))
    assert order.index(("ada", 3)) < order.index(("eve", 1))
    assert order.index(("ben", 3)) < order.index(("eve", 2))


def test_names_decide_nothing(run):
    """Permuting names changes names only: seeds follow places."""
    one = run(play(debate(("ada", "ben", "eve")), QUESTION))
    two = run(play(debate(("x", "y", "z")), QUESTION))
    assert [turn.message for turn in one.turns] == [turn.message for turn in two.turns]
    assert [turn.seed for turn in one.turns] == [turn.seed for turn in two.turns]


def test_turn_seeds_differ_by_question_agent_round_and_run():
    play_it = debate()
    seeds = {
        replace(play_it, seed=seed).turn_seed(Question(q, ""), TurnKey(number, agent))
        for seed in (0, 1)
        for q in ("q", "r")
        for number in (1, 2)
        for agent in play_it.agents
    }
    assert len(seeds) == 24
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_failing_turn_ends_the_debate_with_its_error_and_leaves_nothing_behind(run):
    def reply(read, request):
        raise ValueError("no idea")

    async def scenario():
        with pytest.raises(ValueError, match="no idea"):
            await play(debate(backend=MockBackend(reply=reply)), QUESTION)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(scenario()) == 1


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1))
def test_complete_is_everyone_but_oneself(names):
    graph = complete(names)
    for name in names:
        assert set(graph.predecessors(name)) == set(names) - {name}


def test_unknown_names_list_the_known():
    with pytest.raises(UnknownName, match=r"unknown topology 'complet'.*Did you mean 'complete'"):
        build_graph("complet", ["a"])
    with pytest.raises(UnknownName, match=r"unknown decision 'majorty'.*Did you mean 'majority'"):
        decision_rule("majorty")


def transcript_of(answers):
    from debate.transcript import Transcript, Turn

    model = MockBackend().fingerprint
    usage = Usage(1, 0, 1)
    turns = [
        Turn(TurnKey(1, name), Message(text, model, 0.5, tuple(text.encode())), (), 0, usage, "stop")
        for name, text in answers.items()
    ]
    return Transcript(QUESTION, tuple(turns))


@pytest.mark.parametrize(
    ("rule", "answers", "expected", "reason"),
    [
        ("lowest_temperature", {"ada": "Answer: 1", "ben": "Answer: 2"}, "2", "ben has the lowest temperature"),
        ("lowest_temperature", {"ada": "Answer: 1", "ben": "hm"}, None, "gave no answer"),
        ("majority", {"ada": "Answer: 1", "ben": "Answer: 2", "eve": "Answer: 1"}, "1", "2 of 3 agents"),
        ("majority", {"ada": "Answer: 1", "ben": "Answer: 2"}, "2", "a tie of 2 answers, broken by .*ben"),
        ("majority", {"ada": "hm", "ben": "Answer: 7"}, "7", "1 of 2 agents"),
        ("majority", {"ada": "hm", "ben": "hm"}, None, "nobody gave an answer"),
    ],
)
def test_decisions(rule, answers, expected, reason):
    import re

    temperatures = {"ada": 0.9, "ben": 0.1, "eve": 0.5}
    decision = decision_rule(rule)(
        Poll(transcript_of(answers), Electorate(tuple(temperatures), temperatures), stated_number)
    )
    assert decision.answer == expected
    assert re.search(reason, decision.reason)
    assert set(decision.answers) == set(answers)


def test_agents_of_one_model_share_one_engine():
    config = validate(
        {"agents": {"a": {}, "b": {}, "c": {"model": "third"}}, "backend": "mock", "model": "m"}, source="x"
    )
    backends = Backends(config)
    built = build_debate(config, backends)
    assert built.agents["a"].backend is built.agents["b"].backend
    assert built.agents["c"].backend is not built.agents["a"].backend
    assert len(backends.started) == 2


def test_an_agent_whose_backend_cannot_send_vectors_is_refused():
    class TextOnly(MockBackend):
        capabilities = MockBackend.capabilities.fget(MockBackend()).__class__(text=True)

    with pytest.raises(ConfigError, match="agent 'ada': its backend cannot send vectors: give it encoder: none"):
        Agent(name="ada", backend=TextOnly(), prompts=PROMPTS, encoder="expectation")


def test_generation_is_a_value():
    model = MockBackend().fingerprint
    one, two = (Generation(Message("x", model, 0.5, (120,)), Usage(1, 0, 1), "stop") for _ in range(2))
    assert one == two
