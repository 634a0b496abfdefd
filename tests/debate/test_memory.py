"""`memory: debate`: an agent reads what it read and said before, the same whatever was interrupted; refused where it cannot."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.recorded_requests import play_recorded

from agents.backend import ChatTurn, Prompt, Request, Sampling
from agents.errors import ConfigError, RequestError
from agents.prompts import continued
from agents.question import Question
from agents.remote_request import RemoteRequest, request_body
from agents.tokenization import _plain
from debate.build import build_debate
from debate.config.load import validate
from debate.orchestrator import play
from debate.runtime.backends import Backends
from debate.serving.weighing import _last_request
from debate.transcript import TurnKey
from evals.provenance import speakers

QUESTION = Question("q", "What is 1+2*3+4-5*6?")


def config(**keys):
    raw = {
        "backend": "mock", "model": "mock", "message": "text", "max_tokens": 20, "rounds": 3, "prompts": "tiny",
        "agents": {"ada": {"memory": "debate"}, "ben": {}},
    }  # fmt: skip
    return validate({**raw, **keys}, source="test")


@pytest.fixture
def played(run):
    """Return a function: config → transcript and the prompt of each turn by (agent, round)."""

    def play_it(config, before=None):
        transcript, requests = run(play_recorded(config, QUESTION, before=before))
        prompts = {request.sampling.seed: request.prompt for request in requests}
        return transcript, {
            (turn.key.agent, turn.key.round): prompts[turn.seed] for turn in transcript.turns if turn.seed in prompts
        }

    return play_it


def test_each_prompt_stands_behind_what_was_read_and_said_before(played):
    _, alone = played(config(agents={"ada": {}, "ben": {}}))
    transcript, prompts = played(config())
    said = {(turn.key.agent, turn.key.round): turn.message for turn in transcript.turns}
    assert [len(prompts["ada", round].turns) for round in (1, 2, 3)] == [1, 3, 5]
    assert [len(prompts["ben", round].turns) for round in (1, 2, 3)] == [1, 1, 1]
    last = prompts["ada", 3].turns
    # Another turn's prompt begins as the one before did, so that what was read of it is the same.
    assert last[:3] == prompts["ada", 2].turns
    assert last[:1] == prompts["ada", 1].turns == alone["ada", 1].turns
    assert [turn.role for turn in last] == ["user", "assistant", "user", "assistant", "user"]
    assert last[1].parts[0] == said["ada", 1].answer
    assert last[3].parts[0] == said["ada", 2].answer


def test_an_interrupted_debate_remembers_the_same(played):
    whole, prompts = played(config())
    for count in range(1, len(whole.turns)):
        kept = whole.turns[:count]
        again, later = played(config(), before={turn.key: turn for turn in kept})
        assert [turn.message.digest for turn in again.turns] == [turn.message.digest for turn in whole.turns]
        assert all(prompt == prompts[key] for key, prompt in later.items())


def test_where_it_cannot_be_it_is_refused(run):
    async def go():
        backends = Backends(config())
        questions = {"ada": {"memory": "questions"}, "ben": {}}
        for wrong, match in (
            ({"overflow": "summarise"}, r"agents.ada.memory: .*set overflow: truncate-oldest or fail"),
            ({"agents": questions}, r"agents.ada.memory: questions reads a run's earlier questions, and here each"),
        ):
            with pytest.raises(ConfigError, match=match):
                build_debate(config(**wrong), backends)
        swapped = config(agents=questions, content="swapped")
        with pytest.raises(
            ConfigError, match=r"agents.ada.memory: questions, beside content: swapped, .*set memory: debate"
        ):
            build_debate(swapped, backends, questions=[QUESTION, replace(QUESTION, id="r", text="1+1?")])
        untold = build_debate(config(agents=questions), backends, questions=[QUESTION])
        with pytest.raises(
            RequestError, match="memory: questions, and what asks it here does not know its earlier turns"
        ):
            await play(untold, QUESTION)
        debate = build_debate(config(), backends)
        agent = debate.agents["ada"]
        assert {name: found.get("memory") for name, found in speakers(config(), debate).items()} == {
            "ada": "debate",
            "ben": None,
        }
        with pytest.raises(RequestError, match="does not know its earlier turns"):
            agent.request("?", None, [], 0)
        assert agent.remembering([]).request("?", None, [], 0) == replace(agent, memory=None).request("?", None, [], 0)
        await backends.close()
        expert = config(agents={"ada": {"role": "random", "memory": "debate"}, "ben": {}}, task="arithmetic")
        other = Backends(expert)
        with pytest.raises(ConfigError, match="memory: only language models that debate read prompts"):
            build_debate(expert, other)
        await other.close()

    run(go())


def test_a_debate_that_is_too_long_is_forgotten_turn_by_turn_before_messages_are_left_out(played):
    whole, prompts = played(config())
    last = next(turn for turn in whole.turns if turn.key == TurnKey(3, "ada"))
    tight = config(options={"context": last.usage.prompt_tokens + 20 - 1}, overflow="truncate-oldest")
    found, shorter = played(tight)
    assert [(turn.forgotten, turn.left_out) for turn in found.turns_of("ada")] == [(0, ()), (0, ()), (1, ())]
    assert shorter["ada", 3].turns == prompts["ada", 3].turns[2:]
    assert [turn.message.digest for turn in found.turns] == [turn.message.digest for turn in whole.turns]
    hopeless = config(
        options={"context": played(config(agents={"ada": {}, "ben": {}}))[0].turns[0].usage.prompt_tokens + 20}
    )
    alone, _ = played(hopeless.model_copy(update={"overflow": "truncate-oldest"}))
    # What it did not hear is not remembered as heard.
    assert [(turn.forgotten, turn.left_out) for turn in alone.turns_of("ada")] == [
        (0, ()),
        (1, (TurnKey(1, "ben"), TurnKey(1, "ada"))),
        (2, (TurnKey(2, "ben"), TurnKey(2, "ada"))),
    ]


def test_a_worked_example_is_said_once():
    shown = (ChatTurn("system", ("Be brief.",)), ChatTurn("user", ("1+1?",)), ChatTurn("assistant", ("2",)))
    first, second = (
        Prompt((*shown, ChatTurn("user", (asked,))), cue="A:", close=".") for asked in ("2+2?", "2+2? Again:")
    )
    found = continued(second, [(first, "4")])
    assert found.turns == (*first.turns, ChatTurn("assistant", ("4",)), second.turns[-1])
    assert (found.cue, found.close) == ("A:", ".")
    assert continued(second, []) == second


def test_worked_examples_of_the_same_answer_keep_it():
    """The pitfall of leaving out turns one by one: an example's answer that another example has too."""
    one, two = ((ChatTurn("user", (asked,)), ChatTurn("assistant", ("2",))) for asked in ("1+1?", "3-1?"))
    first, second = Prompt((*one, ChatTurn("user", ("?",)))), Prompt((*two, ChatTurn("user", ("Again?",))))
    found = continued(second, [(first, "4")])
    assert found.turns == (*first.turns, ChatTurn("assistant", ("4",)), *second.turns)


def test_an_answer_stands_behind_the_cue_that_it_was_given_to():
    shown = (ChatTurn("user", ("1+1?",)), ChatTurn("assistant", ("2",)))
    first, second = (
        Prompt((*shown, ChatTurn("user", (cue,))), cue=cue, format="plain") for cue in ("Shares:", "Solution:")
    )
    found = continued(second, [(first, "4")])
    text = "".join(piece.text for piece in _plain(found))
    assert text == "1+1?\nShares: 2\n\nShares:\nShares: 4\n\nSolution:\nSolution:"
    asked = Request(found, Sampling(max_tokens=4))
    assert RemoteRequest.model_validate(request_body(asked, "eve")).request({}).prompt == found


@pytest.fixture
def weighed(run):
    """Return a function: config and transcript → the prompt that the deciding agent's last turn is weighed behind."""

    def prompt_of(asked, transcript):
        async def go():
            backends = Backends(asked)
            try:
                plan = SimpleNamespace(config=asked, debate=build_debate(asked, backends))
                _, request = await _last_request(plan, transcript)
                return request.prompt
            finally:
                await backends.close()

        return run(go())

    return prompt_of


def test_the_last_turn_is_weighed_behind_what_was_remembered(played, weighed):
    transcript, prompts = played(config())
    assert weighed(config(), transcript) == prompts["ada", 3]
    last = next(turn for turn in transcript.turns if turn.key == TurnKey(3, "ada"))
    tight = config(options={"context": last.usage.prompt_tokens + 20 - 1}, overflow="truncate-oldest")
    transcript, prompts = played(tight)
    assert transcript.last_of("ada").forgotten == 1
    # What was forgotten for want of room in the last turn itself is not weighed either.
    assert weighed(tight, transcript) == prompts["ada", 3]
