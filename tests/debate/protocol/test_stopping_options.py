"""Stopping rules and edges that look at answers know the options of the question: an option named by its text counts."""

import asyncio

from agents.backends.mock import MockBackend
from agents.question import Question
from debate.build import build_debate
from debate.config.load import validate
from debate.hearing import Hearing
from debate.orchestrator import play
from debate.runtime.backends import Backends
from debate.topology.edge import Edge
from evals.task import create_task

QUESTION = Question("q", "Which lays eggs?", labels=("A", "B"), options=("a dog", "a hen"))
RAW = {
    "backend": "mock",
    "model": "mock",
    "task": "mmlu:formal_logic",
    "rounds": 3,
    "message": "text",
    "stopping": "unanimity",
    "agents": {
        "ada": {"options": {"script": {".": "The answer is a hen"}}},
        "ben": {"options": {"script": {".": "The answer is (B)"}}},
    },
}


def test_a_debate_ends_when_all_name_one_option():
    config = validate(RAW, source="test")
    extract = create_task("mmlu:formal_logic").extract

    async def played():
        backends = Backends(config)
        transcript = await play(build_debate(config, backends, extract=extract), QUESTION)
        await backends.close()
        return transcript

    assert asyncio.run(played()).rounds == 1


def test_an_edge_that_shows_answers_reads_them_by_the_options():
    backend = MockBackend(script={".": "x"})
    hearing = Hearing(create_task("mmlu:formal_logic").extract)
    message = backend._message(asked(), list(b"The answer is a hen"))
    heard = hearing.hear(message, Edge(seen="answers"), None, None, QUESTION.options)
    assert heard.content == "Answer: B"


def asked():
    from agents.backend import Prompt, Request

    return Request(Prompt.of("?"))


def test_a_budget_ends_a_debate_once_it_is_reached():
    """The mock says as many tokens each time: what two agents said in the first round is a budget for one round."""

    def rounds(stopping):
        async def run():
            config = validate({**RAW, "stopping": stopping}, source="test")
            backends = Backends(config)
            transcript = await play(build_debate(config, backends, extract=lambda *_: None), QUESTION)
            await backends.close()
            return transcript

        return asyncio.run(run())

    first = [turn for turn in rounds("budget(tokens=1)").turns if turn.key.round == 1]
    spent = sum(turn.usage.generated_tokens for turn in first)
    assert rounds(f"budget(tokens={spent})").rounds == 1
    assert rounds(f"budget(tokens={spent + 1})").rounds == 2
