"""A pruned copy on vLLM: in float32 its answers are those of the transformers backend, and it hears and says vectors."""

import pytest
from support.plain_loops import say
from support.vllm_engine import engine

from agents.backend import Request, Sampling
from agents.pretrained import locate
from agents.prompts import Prompts
from debate.config.shipped import prompts_folder
from evals.task import create_task

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
PRUNED = "tiny/dee | optin(macs=0.5, uniform=True, rows=4, tokens=64, group=64, calibration='sums')"


@pytest.mark.long
def test_a_pruned_copy_says_the_same_on_both_engines(expected):
    folder = locate(PRUNED)
    prompts = Prompts(prompts_folder("tiny"), "plain")
    questions = [sample.question for sample in create_task("arithmetic:held_out").samples(4)]
    requests = [
        Request(prompts.initial(question), Sampling(temperature=temperature, max_tokens=40), encoder)
        for question in questions
        for temperature, encoder in ((0.0, None), (0.15, "expectation"))
    ]
    with engine(folder, enforce_eager=True) as backend:
        found = say(backend, requests)
        assert backend.fingerprint.origin.startswith("tiny/dee (weights ")
    wanted = expected(requests, folder)
    assert [one.message.token_ids for one in found[::2]] == [other.message.token_ids for other in wanted[::2]]
    for one, other in zip(found[1::2], wanted[1::2], strict=True):
        assert one.message.text == other.message.text
