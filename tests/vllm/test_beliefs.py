"""A belief over labels is heard by vLLM as the transformers backend hears it."""

import pytest
import torch
from conftest_helpers import say

from agents.backend import Prompt, Request, Sampling
from agents.belief import Belief
from agents.tokenizers import tokenizer_of
from agents.verbaliser import Verbaliser

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
    requests = [
        Request(
            Prompt.of("She says: ", verbaliser.cipher(belief, sender="specialist")),
            Sampling(temperature=1.0, max_tokens=6),
            encoder="expectation",
        )
        for belief in beliefs
    ]
    found, wanted = say(cramped, requests), expected(requests)
    for one, two in zip(found, wanted, strict=True):
        assert one.usage.prompt_tokens == two.usage.prompt_tokens
        assert torch.allclose(one.message.cipher.vectors.float(), two.message.cipher.vectors.float(), atol=1e-3)
