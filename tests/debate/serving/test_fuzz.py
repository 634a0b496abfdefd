"""Every endpoint of the description, with whatever its schemas allow and much that they do not: no fault of the server, ever."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.serving import SUM, asking, serving, smoke

from debate.serving.app import PATHS
from debate.serving.limits import Limits
from debate.serving.openapi import description

EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
SCALARS = st.none() | st.booleans() | st.integers(-5, 2**65) | st.floats() | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@pytest.fixture(scope="module")
def served():
    with serving({"smoke": smoke(rounds=1)}, Limits(timeout_s=20)) as found:
        yield found


def test_the_description_has_every_endpoint(served):
    status, _, body = served.send("GET", "/openapi.json")
    paths = json.loads(body)["paths"]
    assert status == 200
    assert set(PATHS) <= set(paths)
    assert description(True)["security"]


def body_of(schema, schemas):
    """Return a strategy of bodies: fields of the schema, each right, or anything at all, or left out."""
    known = {
        "model": st.sampled_from(["smoke", "smoke/ada", "no"]),
        "messages": st.just(asking(SUM)["messages"])
        | st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant", "x"]), "content": VALUES}),
            max_size=3,
        ),
        "prompt": st.just(SUM) | st.text(max_size=20) | st.lists(st.integers(-2, 300), max_size=5) | prompts(),
        "tokens": st.lists(st.integers(-2, 300), max_size=5),
        "debate": st.dictionaries(
            st.sampled_from(["rounds", "seed", "method", "id", "temperature", "x"]), VALUES, max_size=3
        ),
        "sampling": st.fixed_dictionaries({"temperature": SCALARS, "max_tokens": SCALARS, "seed": SCALARS}),
        "format": st.just(1) | VALUES,
        "encoder": st.sampled_from([None, "expectation", "topk(k=2)", "topk(k=-1)", "x("]),
        "stream": st.booleans(),
        "logprobs": st.sampled_from([None, 1, 5]),
        "echo": st.booleans(),
        "max_tokens": st.sampled_from([1, 8, 0, -1]),
    }
    names = schemas[schema]["properties"]
    return st.fixed_dictionaries({}, optional={name: known.get(name, VALUES) | VALUES for name in names})


def prompts():
    part = st.fixed_dictionaries({"text": st.text(max_size=9)}) | st.fixed_dictionaries(
        {"heard": st.text("0123456789abcdef", max_size=64)}
    )
    turn = st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "x"]), "parts": st.lists(part, max_size=2)}
    )
    text = st.text(max_size=5)
    return st.fixed_dictionaries(
        {"turns": st.lists(turn, max_size=2), "cue": text, "close": text, "format": st.just("auto") | text}
    )


def check(status, body):
    assert status < 500, body
    if status >= 400:
        assert json.loads(body)["error"]["message"]


SCHEMAS = description(False)["components"]["schemas"]


@pytest.mark.parametrize(
    "path", [path for path, found in description(False)["paths"].items() if "post" in found and "hear" not in path]
)
@EXAMPLES
@given(data=st.data())
def test_no_body_is_a_fault_of_the_server(served, path, data):
    name = description(False)["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "$ref"
    ].split("/")[-1]
    # As JSON is written: what it cannot spell, such as a number that is none, Python's spells too.
    body = data.draw(body_of(name, SCHEMAS) | VALUES)
    status, headers, text = served.send("POST", path, json.dumps(body))
    if headers["content-type"].startswith("text/event-stream"):
        assert status == 200
        assert text.endswith(b"\n\n")
        return
    check(status, text if headers["content-type"] != "application/octet-stream" else b"{}")


@EXAMPLES
@given(blob=st.binary(max_size=300), model=st.sampled_from(["smoke/ada", "smoke", "no", ""]))
def test_no_message_is_a_fault_of_the_server(served, blob, model):
    check(
        *served.send("POST", f"/v1/cipher/hear?model={model}", blob, {"Content-Type": "application/octet-stream"})[::2]
    )


@EXAMPLES
@given(id=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=20), start=st.sampled_from(
    ["/v1/models/", "/v1/cipher/agents/", "/v1/cipher/tokenizers/", "/tokenizer_info?model=", "/"]
))  # fmt: skip
def test_no_path_is_a_fault_of_the_server(served, id, start):
    check(*served.send("GET", start + id.replace("#", ""))[::2])


def test_schemathesis_finds_no_fault(served):
    """The same by a tool of others, over the description as the server gives it."""
    schemathesis = pytest.importorskip("schemathesis")
    schema = schemathesis.openapi.from_url(f"{served.url[:-3]}/openapi.json")
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
        )
        @given(case=operation.as_strategy())
        def ask(case):
            response = case.call(base_url=served.url[:-3])
            assert response.status_code < 500, response.text

        ask()
        count += 1
    assert count == len(description(False)["paths"])
