"""Prompts that are too long: refused, without their oldest messages, or with a summary of them."""

import json

import pytest
from support.recorded_requests import play_recorded

from agents.errors import ConfigError, PromptTooLong
from agents.question import Question
from debate.config.load import validate
from debate.overflow import SUMMARY
from debate.preview.rehearsal import rehearse
from debate.protocol.exchange import build_exchange
from debate.transcript import TurnKey, turn_fields

QUESTION = Question("q", "What is 1+2*3+4-5*6?")


def config(overflow, context, *, backend="mock", count=4, **keys):
    options = {"context": context} if backend == "mock" else {}
    raw = {
        "backend": backend,
        "model": "mock",
        "agents": {"agent": {"count": count}},
        "message": "text",
        "max_tokens": 40,
        "rounds": 2,
        "overflow": overflow,
        "options": options,
        "prompts": "tiny",
    }
    return validate({**raw, **keys}, source="test")


@pytest.fixture
def played(run):
    """Return a function: config → transcript and the requests that its engines took."""

    def play_it(config, before=None):
        return run(play_recorded(config, QUESTION, before=before))

    return play_it


def context_of(played, leave_out):
    """Return a context in which the longest prompt of twelve agents is so many tokens too long."""
    transcript, _ = played(config("fail", 100_000, count=12))
    return max(turn.usage.prompt_tokens for turn in transcript.turns) + 40 - leave_out


@pytest.mark.parametrize("message", ["text", "cipher"])
def test_the_oldest_messages_are_left_out_one_by_one(played, message):
    whole, _ = played(config("fail", 100_000, message=message))
    last = whole.turns[-1]
    assert len(last.heard) == 3
    tight = last.usage.prompt_tokens + 40 - 1
    with pytest.raises(PromptTooLong, match="overflow: truncate-oldest"):
        played(config("fail", tight, message=message))
    found, _ = played(config("truncate-oldest", tight, message=message))
    turn = found.turns[-1]
    assert turn.left_out == last.heard[:1]
    assert turn.heard == last.heard[1:]
    assert turn.usage.prompt_tokens < last.usage.prompt_tokens
    assert turn_fields(turn)["left_out"] == [f"1/{last.heard[0].agent}"]
    # What fits is as it was.
    assert [one.message.digest for one in found.turns[:4]] == [one.message.digest for one in whole.turns[:4]]
    initial = whole.turns[0].usage.prompt_tokens + 40
    alone, _ = played(config("truncate-oldest", initial, message=message))
    assert alone.turns[-1].heard == ()
    assert alone.turns[-1].left_out == (*last.heard, TurnKey(1, last.key.agent)), "its own goes last"
    with pytest.raises(PromptTooLong):
        played(config("truncate-oldest", initial - 1, message=message))


@pytest.mark.parametrize("message", ["text", "cipher"])
def test_the_agent_itself_sums_up_what_does_not_fit(played, message):
    whole, _ = played(config("fail", 100_000, message=message, count=12))
    last = whole.turns[-1]
    tight = last.usage.prompt_tokens + 40 - 1
    found, requests = played(config("summarise", tight, message=message, count=12))
    turn = found.turns[-1]
    assert turn.summary is not None
    assert turn.summary.of
    assert turn.summary.of + turn.heard == last.heard
    asked = [request for request in requests if "Sum these solutions up" in str(request.prompt)]
    assert asked
    assert all(request.encoder is None and request.sampling.max_tokens == 20 for request in asked)
    final = requests[-1]
    assert SUMMARY + turn.summary.text in str(final.prompt)
    alone = turn.summary.usage
    assert alone.generated_tokens > 0
    assert turn.usage.prompt_tokens > alone.prompt_tokens
    assert turn_fields(turn)["summarised"] == [f"1/{key.agent}" for key in turn.summary.of]


def test_it_is_the_same_when_it_is_played_again_or_goes_on(played):
    tight = context_of(played, 30)
    for overflow in ("truncate-oldest", "summarise"):
        first, _ = played(config(overflow, tight, count=12))
        again, _ = played(config(overflow, tight, count=12))
        assert again == first
        before = {turn.key: turn for turn in first.turns[:15]}
        resumed, _ = played(config(overflow, tight, count=12), before)
        assert resumed == first


@pytest.mark.parametrize("overflow", ["truncate-oldest", "summarise"])
def test_a_run_keeps_what_was_shortened_and_is_resumed(cli, tmp_path, overflow, played):
    tight = context_of(played, 30)
    settings = (
        *("--set", f"options={{context: {tight}}}", "--set", f"overflow={overflow}", "--set", "rounds=2"),
        *("--set", "agents={agent: {count: 12}}", "--set", "max_tokens=40", "--set", "prompts=tiny"),
    )
    command = ("run", QUESTION.text, "--config", "smoke", "--message", "text", *settings, "--out", tmp_path / "r")
    code, said, _ = cli(*command)
    assert code == 0
    assert ("had no room for" if overflow == "truncate-oldest" else "its own summary") in said
    journal = tmp_path / "r" / "journal.log"
    field = "left_out" if overflow == "truncate-oldest" else "summary"
    assert f'"{field}"' in journal.read_text()
    _, before, _ = cli("show", tmp_path / "r", "--json")
    # As if it had been killed before the last turns.
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-4]))
    (tmp_path / "r" / "run.json").unlink()
    assert cli(*command)[0] == 0
    _, after, _ = cli("show", tmp_path / "r", "--json")
    assert json.loads(after)["debates"] == json.loads(before)["debates"]
    assert ("left_out" if overflow == "truncate-oldest" else "summarised") in after


@pytest.fixture(scope="module")
def too_long():
    """Return the config of tiny debaters of whom one hears sixteen others: more than its 512 positions hold."""
    keys = {
        "backend": "transformers",
        "model": "tiny/ivy",
        "dtype": "float32",
        "count": 17,
        "max_tokens": 80,
        "topology": "star",
    }
    return lambda overflow, message: config(overflow, 0, message=message, format="plain", **keys)


def test_the_tiny_debaters_refuse_what_is_too_long(played, too_long):
    with pytest.raises(PromptTooLong):
        played(too_long("fail", "text"))


@pytest.mark.parametrize(("overflow", "message"), [("truncate-oldest", "cipher"), ("summarise", "cipher")])
def test_the_tiny_debaters_are_given_what_their_context_holds(played, too_long, overflow, message):
    found, _ = played(too_long(overflow, message))
    (short,) = (turn for turn in found.turns if turn.left_out or turn.summary)
    assert short.key.round == 2
    assert 0 < len(short.heard) < 16
    if overflow == "summarise":
        again, _ = played(too_long(overflow, message))
        assert [turn.message.digest for turn in again.turns] == [turn.message.digest for turn in found.turns]


def test_a_check_says_what_a_run_would_do(played):
    tight = context_of(played, 30)

    def sentences(overflow, context=tight):
        asked = config(overflow, context, count=12)
        return [(one.kind, one.text) for one in rehearse(asked, build_exchange(asked), [QUESTION.text]).findings]

    for overflow, told in (("truncate-oldest", "are left out"), ("summarise", "sums the oldest messages up")):
        ((kind, text),) = sentences(overflow)
        assert kind == "warning"
        assert told in text
        assert f"overflow: {overflow}" in text
        assert [kind for kind, _ in sentences(overflow, 60)] == ["error"]
    assert "fails (overflow: fail)" in sentences("fail", tight)[0][1]


def test_the_config_is_as_before_where_nothing_is_said():
    assert "overflow" not in config("fail", 10).model_dump()
    with pytest.raises(ConfigError, match="truncate-oldest"):
        config("truncate", 10)
