"""The paper's controls say what they say."""

import pytest

from agents.backends.mock import MockBackend
from agents.errors import ConfigError
from agents.question import Question
from agents.speakers.controls import Control
from debate.build import build_debate
from debate.orchestrator import play
from debate.run_folder.reader import read_method
from debate.runtime.backends import Backends
from evals.evaluation import evaluate
from evals.methods import method_config
from evals.sample import Sample
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


def test_the_same_words_asked_twice_have_each_their_own_answer(run):
    """A benchmark may ask the same words twice, with two right answers; who is given the key is given that question's."""
    first, second, other = Question("q1", "What is it?"), Question("q2", "What is it?"), Question("q3", "And this?")
    targets = {first: "1", second: "2", other: "3"}

    async def said(kind, question, seed):
        agent = Control(name="c", backend=MockBackend(), kind=kind, targets=targets)
        return (await agent.speak(question, None, (), seed)).message.text

    assert [run(said("expert", asked, 0)) for asked in targets] == ["Answer: 1", "Answer: 2", "Answer: 3"]
    # What the same words ask is no other question, so neither of its answers misleads.
    assert {run(said("misaligned", asked, 0)) for asked in (first, second)} == {"Answer: 3"}
    assert {run(said("random", first, seed)) for seed in range(40)} == {"Answer: 1", "Answer: 2", "Answer: 3"}


def test_an_evaluation_gives_the_expert_the_answer_to_the_question_asked(config, tmp_path, run):
    samples = [Sample(answer, "What is the result of 2+2*1+1-1*1?", answer) for answer in ("4", "5")]
    played = config(agents={"ada": {"temperature": 0.1}, "ben": {}}, task="arithmetic", rounds=1)
    run(evaluate(played, out=tmp_path / "run", methods=["expert"], samples=samples))
    debates = {debate.transcript.question.id: debate.transcript for debate in read_method(tmp_path / "run" / "expert")}
    said = {asked: debate.last_of("ben").message.text for asked, debate in debates.items()}
    assert said == {"4": "Answer: 4", "5": "Answer: 5"}


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


def test_an_expert_without_a_key_is_a_sentence(config, run):
    async def asked(made):
        await play(build_debate(made, Backends(made)), Question("q", "Is 91 a prime?"))

    for role in ("expert", "misaligned"):
        made = config(agents={"ada": {}, "c": {"role": role}})
        with pytest.raises(
            ConfigError, match=f"agent 'c': role {role} needs questions with right answers: give --task"
        ):
            run(asked(made))
