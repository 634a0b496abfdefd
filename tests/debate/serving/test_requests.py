"""Whatever a body holds, it is answered or refused, and never a fault of the server."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.serving import SUM, asking
from support.serving_inside import Inside, check

from debate.serving.limits import Limits
from debate.serving.requests import ChatAsked, Overrides, parsed


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
