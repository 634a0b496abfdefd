"""The paper's controls say what they say."""

import pytest

from agents.errors import ConfigError
from evals.methods import method_config
from evals.scoring.numbers import stated_number


def answers(played, config, role, sample=0, **keys):
    _, transcript, requests = played(config(agents={"ada": {}, "c": {"role": role}}, **keys), sample=sample)
    return [stated_number(turn.message.text) for turn in transcript.turns if turn.key.agent == "c"], requests


def test_an_expert_is_always_right_and_a_misaligned_agent_never(config, played, task):
    samples = task.samples(3)
    for place, sample in enumerate(samples):
        expert, requests = answers(played, config, "expert", place)
        misled, _ = answers(played, config, "misaligned", place)
        assert expert == [sample.target] * 3
        assert len(set(misled)) == 1
        assert misled[0] in {other.target for other in samples if other is not sample}
        assert len(requests) == 3


def test_random_answers_are_drawn_anew_and_reproduce(config, played, task):
    first, _ = answers(played, config, "random", rounds=8)
    assert first == answers(played, config, "random", rounds=8)[0]
    assert set(first) <= {sample.target for sample in task.samples(3)}
    assert len(set(first)) > 1


def test_a_dummy_says_the_same_and_costs_nothing(config, played):
    _, transcript, _ = played(config(agents={"ada": {}, "c": {"role": "dummy"}}))
    said = [turn for turn in transcript.turns if turn.key.agent == "c"]
    assert {turn.message.text for turn in said} == {"I do not know."}
    assert sum(turn.usage.generated_tokens for turn in said) == 0


def test_controls_do_not_decide_and_single_plays_without_them(config):
    made = config(agents={"c": {"role": "expert"}, "ada": {"temperature": 1.5}})
    assert made.deciding_agent == "ada"
    assert list(method_config(made, "single").agents) == ["ada"]


def test_an_expert_without_a_key_is_a_sentence(config):
    import asyncio

    from agents.question import Question
    from debate.build import build_debate
    from debate.orchestrator import play
    from debate.runtime.backends import Backends

    made = config(agents={"ada": {}, "c": {"role": "expert"}})
    with pytest.raises(ConfigError, match=r"agent 'c': role expert needs questions with right answers: give --task"):
        asyncio.run(_play(made, play, Backends, build_debate, Question))


async def _play(made, play, backends, build, question):
    await play(build(made, backends(made)), question("q", "Is 91 a prime?"))
