"""Whatever a body holds, it is answered or refused, and never a fault of the server."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.serving import SUM, asking
from support.serving_inside import Inside, check

from debate.serving.errors import ApiError
from debate.serving.limits import Limits
from debate.serving.requests import ChatAsked, CompletionAsked, Overrides, parsed


@pytest.fixture(scope="module")
def ask():
    """A function of path and body that gives status and body, on one loop, without a socket."""
    inside = Inside(Limits(max_body=20_000))
    yield inside.request
    inside.close()


NUMBERS = st.integers() | st.floats() | st.sampled_from([0, 1, -1, 2, 2**63, 1e308])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.just("text")}, optional={"text": st.text(max_size=9) | VALUES}), max_size=3
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "developer", "tool", ""])},
    optional={"content": st.text(max_size=40) | PARTS | VALUES, "name": VALUES},
)
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "rounds": st.integers(-1, 5) | VALUES,
        "method": st.sampled_from(["single", "text", "cipher", "self-consistency(k=5)", "../x"]) | VALUES,
        "seed": st.integers(-1, 2**63) | VALUES,
        "temperature": st.floats(-1, 2) | VALUES,
        "id": st.text(max_size=9) | VALUES,
        "agents": VALUES,
    },
)
COMMON = {
    "stream": st.booleans() | VALUES,
    "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}) | VALUES,
    "seed": st.integers() | VALUES,
    "max_tokens": st.integers(-1, 100) | VALUES,
    "max_completion_tokens": VALUES,
    "stop": st.text(max_size=4) | st.lists(st.text(max_size=4), max_size=4) | VALUES,
    "n": VALUES,
    "temperature": VALUES,
    "logprobs": VALUES,
    "debate": OVERRIDES | VALUES,
}
MODEL = st.sampled_from(["smoke", "smoke/ada", "smoke/", "", "x"]) | VALUES
CHAT = st.fixed_dictionaries(
    {"model": MODEL, "messages": st.lists(MESSAGE, max_size=4) | VALUES},
    optional={**COMMON, "tools": VALUES, "response_format": VALUES, "modalities": VALUES},
)
COMPLETION = st.fixed_dictionaries(
    {"model": MODEL, "prompt": st.text(max_size=30) | st.lists(st.text(max_size=9), max_size=3) | VALUES},
    optional={**COMMON, "echo": VALUES, "best_of": VALUES, "suffix": VALUES},
)
BODIES = st.tuples(st.just("/v1/chat/completions"), CHAT) | st.tuples(st.just("/v1/completions"), COMPLETION)
# A valid request in which one thing is another.
NEARLY = st.tuples(
    st.just("/v1/chat/completions"),
    st.fixed_dictionaries({"model": st.just("smoke"), "messages": st.just(asking(SUM)["messages"])}, optional=COMMON),
)
SETTINGS = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SETTINGS
@given(BODIES | NEARLY)
def test_no_body_is_a_fault_of_the_server(ask, asked):
    path, body = asked
    check(body, *ask(path, json.dumps(body).encode()))


@SETTINGS
@given(st.sampled_from(["/v1/chat/completions", "/v1/completions"]), st.binary(max_size=200) | st.text(max_size=200))
def test_no_bytes_are_a_fault_of_the_server(ask, path, body):
    status, text = ask(path, body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))
    check(None, status, text)


def test_a_seed_below_zero_is_one_of_ours():
    def seed(**more):
        return parsed(ChatAsked, json.dumps(asking("?", **more)).encode()).drawn_seed

    assert seed() is None
    assert seed(seed=7) == 7
    assert 0 <= seed(seed=-7) < 2**63
    assert seed(seed=-7) != seed(seed=7)
    assert seed(seed=7, debate={"seed": 8}) == 8


def test_every_override_can_be_allowed():
    assert set(Overrides.model_fields) == set(Limits().overrides)


COMPLETION_ASKED = {"model": "smoke", "prompt": SUM}


def test_what_changes_nothing_is_named_whatever_it_is():
    said = {
        "temperature": 0, "min_tokens": 5, "stop_token_ids": [1], "best_of": 3, "reasoning_effort": "low", "tools": [{}],
        "tool_choice": "auto", "user": "me", "metadata": {"a": "b"}, "top_p": None, "functions": [], "echo": False,
        "response_format": {"type": "text"}, "logprobs": False, "modalities": ["text"],
    }  # fmt: skip
    asked = parsed(ChatAsked, json.dumps(asking("?", **said)).encode())
    assert asked.ignored == ["best_of", "min_tokens", "reasoning_effort", "stop_token_ids", "temperature", "tools"]


@pytest.mark.parametrize(
    ("kind", "body"), [(ChatAsked, asking("?")), (CompletionAsked, COMPLETION_ASKED)], ids=["chat", "completion"]
)
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"response_format": {"type": "json_object"}}, "leave response_format out"),
        ({"structured_outputs": {"choice": ["1"]}}, "leave structured_outputs out"),
        ({"guided_choice": ["1"]}, "leave guided_choice out"),
        ({"rounds": 1}, 'send "debate": {"rounds": …}'),
        ({"method": "text"}, 'send "debate": {"method": …}'),
        ({"max_tokens": True}, "max_tokens: Input should be a whole number, not true or false"),
        ({"max_completion_tokens": True}, "not true or false"),
        ({"seed": True}, "not true or false"),
        ({"n": True}, "not true or false"),
    ],
)
def test_what_would_be_another_answer_is_refused(kind, body, more, sentence):
    with pytest.raises(ApiError) as refused:
        parsed(kind, json.dumps({**body, **more}).encode())
    assert refused.value.status == 400
    assert sentence in refused.value.message


def test_a_key_that_stands_twice_is_refused_wherever_it_stands():
    for body in (b'{"model": "a", "seed": 1, "model": "b"}', b'{"debate": {"seed": 1, "seed": 2}}'):
        with pytest.raises(ApiError, match="stands twice; give it once"):
            parsed(ChatAsked, body)


def test_prompts_of_chat_interfaces_are_known_by_their_beginning_where_nobody_says_how_to_debate():
    def is_background(text, **more):
        return parsed(ChatAsked, json.dumps(asking(text, **more)).encode()).is_background

    assert is_background("### Task:\nA title.")
    assert is_background("### Task:\nA title.", debate={"seed": 3})
    assert not is_background("A title.")
    assert not is_background("### Task:\nA title.", debate={"method": "text"})
    assert not is_background("### Task:\nA title.", debate={"rounds": 2})
