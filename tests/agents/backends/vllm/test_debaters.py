"""The tiny debaters on vLLM: in float32 the answers are those of the transformers backend."""

import pytest
from support.plain_loops import say
from support.vllm_engine import engine

from agents.backend import Request, Sampling
from agents.pretrained import locate
from agents.prompts import Prompts
from debate.config.shipped import prompts_folder
from evals.task import create_task

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.mark.long
def test_the_same_solutions_in_text_and_in_cipher_alone_and_in_a_debate(expected):
    folder = locate("tiny/ada")
    prompts = Prompts(prompts_folder("tiny"), "plain")
    task = create_task("arithmetic:held_out")
    questions = [sample.question for sample in task.samples(6)]

    def requests(make):
        return [
            Request(make(question), Sampling(temperature=temperature, max_tokens=80), encoder)
            for question in questions
            for temperature, encoder in ((0.0, None), (0.15, "expectation"), (0.8, "expectation"))
        ]

    first = requests(prompts.initial)
    with engine(folder, enforce_eager=True) as backend:
        found = say(backend, first)
        wanted = expected(first, folder)
        heard = iter(wanted)
        later = []
        for question in questions:
            _, one, two = (next(heard).message for _ in range(3))
            later.append(
                Request(prompts.debate(question, one, [two]), Sampling(temperature=0.15, max_tokens=80), "expectation")
            )
        found += say(backend, later)
    wanted += expected(later, folder)
    for one, other in zip(found, wanted, strict=True):
        assert task.extract(one.message.text) == task.extract(other.message.text)
    assert [one.message.token_ids for one in found[::3]] == [other.message.token_ids for other in wanted[::3]]
