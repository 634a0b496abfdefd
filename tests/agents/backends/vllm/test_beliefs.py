"""A belief over labels is heard by vLLM as the transformers backend hears it."""

import pytest
import torch
from support.contracts import CONTRACTS
from support.plain_loops import say

from agents.backend import Prompt, Request, Sampling
from agents.beliefs.belief import Belief
from agents.beliefs.cards import card
from agents.beliefs.verbaliser import Verbaliser
from agents.tokenizers import tokenizer_of

# vLLM and what it imports warn of their own affairs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
LABELS = ("no", "yes", "maybe so")


def test_vllm_hears_a_belief_as_the_transformers_backend_does(cramped, expected):
    verbaliser = Verbaliser(tokenizer_of(cramped), cramped.fingerprint)
    beliefs = [
        Belief.certain(LABELS, "yes"),
        Belief.of(LABELS, (0.3, 0.3, 0.4)),
        Belief.abstain(LABELS, "nothing seen"),
    ]
    hears_alike([verbaliser.cipher(belief, sender="specialist") for belief in beliefs], cramped, expected)


def test_vllm_hears_every_belief_backend(cramped, expected, tmp_path):
    verbaliser = Verbaliser(tokenizer_of(cramped), cramped.fingerprint)
    known = {name: one for name, one in CONTRACTS.items() if not card(one.backend).missing}
    assert {one.backend for one in known.values()} >= {
        "discrete_functions",
        "itransformer",
        "kalm",
        "lmuformer",
        "passt",
    }
    messages = []
    for name, contract in known.items():
        backend = contract.make(tmp_path / name)
        messages += [verbaliser.cipher(belief, sender=name) for belief in backend.believe(contract.cases()[:2])]
    hears_alike(messages, cramped, expected)


def hears_alike(messages, engine, expected):
    """Assert that the engine hears each message as the transformers backend does."""
    requests = [
        Request(Prompt.of("She says: ", message), Sampling(temperature=1.0, max_tokens=6), encoder="expectation")
        for message in messages
    ]
    for one, two in zip(say(engine, requests), expected(requests), strict=True):
        assert one.usage.prompt_tokens == two.usage.prompt_tokens
        assert torch.allclose(one.message.cipher.vectors.float(), two.message.cipher.vectors.float(), atol=1e-3)
