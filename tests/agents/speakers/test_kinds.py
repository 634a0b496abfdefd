"""A kind of agent is one class: what it is built from, what is asked of it, and how a config names one of its own."""

import inspect

import pytest

from agents.backend import Capabilities, Generation, Pending, Usage
from agents.backends.mock import MockBackend
from agents.errors import ConfigError, DebateError, UnknownName
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.question import Question
from agents.speakers.chooser import Chooser
from agents.speakers.controls import Control
from agents.speakers.kinds import KINDS
from agents.speakers.speaker import Speaker
from debate.build import build_debate
from debate.config.load import validate
from debate.orchestrator import play
from debate.protocol import exchange
from debate.runtime.backends import Backends


class Parrot(Speaker):
    """Says the last thing that it heard."""

    @classmethod
    def build(cls, plan):
        return cls(name=plan.name, backend=plan.engine(), sampling=plan.sampling)

    def speak(self, question, own, others, seed):
        pending = Pending()
        heard = others[-1].text if others else "nothing yet"
        pending.finish(Generation(Message(heard, self.backend.fingerprint, 0.0), Usage(0, 0, 0), "stop"))
        return pending


class NoAgent:
    """Has the method, and is none."""

    @classmethod
    def build(cls, plan):
        raise AssertionError("called")


def config(role, **keys):
    agents = {"ada": {}, "eve": {"role": role, **keys}}
    raw = {"backend": "mock", "model": "mock", "agents": agents, "rounds": 2, "max_tokens": 30, "message": "text"}
    return validate(raw, source="test")


@pytest.fixture(autouse=True)
def here(monkeypatch, request):
    monkeypatch.setitem(__import__("sys").modules, "own_agents", inspect.getmodule(Parrot))


def test_a_kind_of_ones_own_debates_beside_the_others(run):
    async def debated():
        found = config("own_agents:Parrot")
        return await play(build_debate(found, Backends(found)), Question("q", "What is the result of 1+2*3+4-5*6?"))

    said = {(turn.key.agent, turn.key.round): turn.message.text for turn in run(debated()).turns}
    assert said["eve", 1] == "nothing yet"
    assert said["eve", 2] == said["ada", 1]


@pytest.mark.parametrize(
    ("role", "error", "sentence"),
    [
        (
            "own_agents:NoAgent",
            ConfigError,
            "role 'own_agents:NoAgent' is no class derived from agents.speakers.speaker",
        ),
        ("own_agents:Nobody", ConfigError, "role 'own_agents:Nobody': own_agents has no 'Nobody'"),
        ("os:system", ConfigError, "role 'os:system' is of Python's standard library, which has no role"),
        ("nowhere.at:all", UnknownName, "unknown role 'nowhere.at:all'. Known: dummy, expert, misaligned, random"),
        ("exprt", UnknownName, "unknown role 'exprt'. Known: .*Did you mean 'expert'"),
    ],
)
def test_what_is_no_kind_is_a_sentence_and_is_not_called(role, error, sentence):
    found = config(role)
    with pytest.raises(error, match=sentence):
        build_debate(found, Backends(found))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_asked_what_an_orchestrator_asks(kind):
    assert not inspect.isabstract(kind)
    assert list(inspect.signature(kind.speak).parameters) == ["self", "question", "own", "others", "seed"]


def test_what_each_hears_and_needs():
    class TextOnly(MockBackend):
        capabilities = Capabilities(text=True, weighs=True)
        fingerprint = ModelFingerprint("served", "", "", 0, 0)

    question, choice = Question("q", "What?"), Question("c", "Which?", labels=("A", "B"))
    parrot, control = (
        Parrot(name="p", backend=TextOnly()),
        Control(name="c", backend=TextOnly(), kind="expert", targets={}),
    )
    assert (parrot.takes_vectors, parrot.listens, parrot.knows_tokens) == (False, True, False)
    assert (control.takes_vectors, control.listens, control.knows_tokens) == (False, False, True)
    assert Parrot(name="p", backend=MockBackend()).takes_vectors
    assert Parrot(name="p", backend=MockBackend()).knows_tokens
    assert parrot.prompt_files is control.prompt_files is None
    chooser = Chooser(name="w", backend=TextOnly(), prompts=None, verbaliser=None)
    parrot.check(question)
    chooser.check(choice)
    for asked in (chooser, control):
        with pytest.raises(DebateError, match="needs questions with right answers|this question has none"):
            asked.check(question)
    assert parrot.in_encoder("topk(k=3)").encoder == "topk(k=3)"
    with pytest.raises(ConfigError, match="agent 'p': unknown encoder 'topc'"):
        parrot.in_encoder("topc")
    # What a control says is text, however it is to be heard.
    assert control.in_encoder("topk(k=3)") is control


def test_an_exchange_is_built_once_for_a_debate(monkeypatch):
    counted = []
    real = exchange.build_topology
    monkeypatch.setattr(exchange, "build_topology", lambda *args, **keys: counted.append(1) or real(*args, **keys))
    found = config("critic")
    build_debate(found, Backends(found))
    assert len(counted) == 1
