"""The paper's controls say what they say."""

import pytest

from agents.backends.mock import MockBackend
from agents.errors import ConfigError, PromptError
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
    # The whole solution where there is one; a key that the expression does not come to is said alone.
    assert said == {"4": "2*1=2, 1*1=1. 2+2=4, 4+1=5, 5-1=4. Answer: 4", "5": "Answer: 5"}


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


def test_an_expert_says_the_rows_own_solution(config, tmp_path, run):
    samples = [
        Sample(f"q{n}", f"{n} and {n}?", str(2 * n), metadata={"rationale": f"{n}+{n}={2 * n}."}) for n in (1, 2)
    ]
    played = config(agents={"ada": {"temperature": 0.1}, "ben": {}}, task="gsm8k", rounds=1)
    run(evaluate(played, out=tmp_path / "run", methods=["expert", "misaligned"], samples=samples))
    for method, first in (("expert", "1+1=2.\nAnswer: 2"), ("misaligned", "2+2=4.\nAnswer: 4")):
        (debate, _) = read_method(tmp_path / "run" / method)
        assert debate.transcript.last_of("ben").message.text == first


@pytest.mark.parametrize("message", ["cipher", "text"])
def test_the_reversed_order_puts_ones_own_solution_first(config, played, message):
    _, _, fixed = played(config(agents={"ada": {}, "ben": {}}, message=message))
    _, _, swapped = played(config(agents={"ada": {}, "ben": {}}, message=message, order="reversed"))
    for request, other in zip(fixed[2:], swapped[2:], strict=True):
        parts, turned = request.prompt.turns[-1].parts, other.prompt.turns[-1].parts
        assert [part.rpartition("\n")[2] for part in parts[:3:2]] == ["Agent 1's solution: ", "Your solution: "]
        assert [part.rpartition("\n")[2] for part in turned[:3:2]] == ["Your solution: ", "Agent 1's solution: "]


def test_a_prompt_that_cannot_turn_the_order_round_is_refused(config, tmp_path, run):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "system.jinja").write_text("")
    (folder / "initial.jinja").write_text("{{ question }}")
    (folder / "debate.jinja").write_text("{{ question }} {{ others | join(' ') }} {{ own }}")
    made = config(agents={"ada": {}, "ben": {}}, prompts=str(folder))
    build_debate(made, Backends(made))
    made = config(agents={"ada": {}, "ben": {}}, prompts=str(folder), order="reversed")
    with pytest.raises(PromptError, match="order: reversed puts an agent's own solution before the others'"):
        build_debate(made, Backends(made))
