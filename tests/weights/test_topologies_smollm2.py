"""One generator, one protocol and each kind of message on the real model: short."""

import asyncio

import pytest

from agents.question import Question
from debate.build import build_debate
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from debate.decision.decision import Poll
from debate.decision.rules import decision_rule
from debate.orchestrator import play
from debate.runtime.backends import Backends
from evals.tasks.arithmetic import Arithmetic

# Each kind of exchange is played with tiny models and mocks in tests/debate and tests/regression.
pytestmark = [pytest.mark.weights, pytest.mark.long]
SHORT = ["max_tokens=10", "rounds=2"]


@pytest.fixture(scope="module")
def played(smollm2):
    """Play shipped configs on one engine, and return transcript and decision of each."""
    task = Arithmetic(seed=0)
    sample = task.samples(1)[0]

    async def run():
        found, backends = {}, None
        for name, settings in (
            ("ring_with_judge", []),
            ("sparse_text", ["agents.debater.count=3", "stopping=fixed"]),
            ("layers", ["agents.first.count=2", "agents.second.count=1", "rounds=1"]),
            ("hierarchical", ["agents.worker.count=2"]),
            ("mixed_models", []),
        ):
            config = load_config(configs_folder() / "topologies" / f"{name}.yaml", [*SHORT, *settings])
            backends = backends or Backends(config)
            debate = build_debate(config, backends, extract=task.extract)
            transcript = await play(debate, Question(sample.id, sample.question))
            decision = decision_rule(config.decision, backends.decode)(
                Poll(transcript, config.electorate, task.extract)
            )
            found[name] = (transcript, decision, debate)
        await backends.close()
        return found

    return asyncio.run(run())


def kinds(transcript):
    return {turn.key.agent.rstrip("0123456789"): turn.message.is_cipher for turn in transcript.turns}


def test_a_ring_speaks_cipher_and_its_judge_text(played):
    transcript, decision, _ = played["ring_with_judge"]
    assert kinds(transcript) == {"debater": True, "judge": False}
    assert len(transcript.turns) == 9
    assert "judge" in decision.reason


def test_sparse_debate_in_text(played):
    assert kinds(played["sparse_text"][0]) == {"debater": False}


def test_layers_hear_vectors_and_words(played):
    transcript, _, debate = played["layers"]
    said = {turn.key: turn for turn in transcript.turns}
    last = transcript.turns[-1].key
    heard = debate.heard(debate.protocol.inbox(last), debate.agents[last.agent], said)
    assert all(vectors.is_cipher and not words.is_cipher for vectors, words in (message.content for message in heard))


def test_a_summariser_is_heard_in_text(played):
    assert kinds(played["hierarchical"][0]) == {"worker": True, "chair": False}


def test_two_tokenizers_exchange_vectors(played):
    transcript, *_ = played["mixed_models"]
    assert kinds(transcript) == {"ada": True, "byte": True}
    assert len([mass for turn in transcript.turns for _, mass in turn.mapped]) == 2
