"""Long texts, slow heads and faults of ours: whoever asks beside them is answered, and the counters say what happened."""

import itertools
import json
import socket
import threading
import time

import pytest
from support.serving import asking, serving, smoke

from agents.byte_tokens import ByteTokenizer
from agents.control_tokens import control_tokens
from agents.registry import create_backend
from agents.tokenizers import byte_tokenizer
from debate.serving.app import Service
from debate.serving.limits import Limits

LONG = "What is 3+4? " * 2_000
READ = {"logprobs": 1, "echo": True, "max_tokens": 1}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"prompt": LONG}),
        ("/detokenize", {"tokens": [97] * len(LONG)}),
        ("/v1/chat/completions", asking(LONG)),
        ("/v1/chat/completions", {"messages": [{"role": "system", "content": LONG}, *asking("Go")["messages"]]}),
        ("/v1/completions", {"prompt": LONG}),
        ("/v1/completions", {"prompt": [97] * len(LONG)}),
        ("/v1/completions", {"model": "smoke/ada", "prompt": LONG, **READ}),
    ],
)
def test_a_long_text_is_read_beside_the_loop(monkeypatch, path, body):
    """The tokenizer of each is held up until somebody else has been answered."""
    answered, waits = threading.Event(), []

    def held(own):
        def call(self, given, *rest, **named):
            if len(given) >= len(LONG):
                waits.append(answered.wait(10))
            return own(self, given, *rest, **named)

        return call

    monkeypatch.setattr(ByteTokenizer, "__call__", held(ByteTokenizer.__call__))
    monkeypatch.setattr(ByteTokenizer, "decode", held(ByteTokenizer.decode))
    with serving({"smoke": smoke(options={"context": 20_000})}) as served:
        found = []
        asks = threading.Thread(target=lambda: found.append(served.send("POST", path, {"model": "smoke", **body})))
        asks.start()
        time.sleep(0.1)
        assert served.send("GET", "/health")[0] == 200
        answered.set()
        asks.join(20)
    assert waits
    assert all(waits)
    assert found[0][0] in (200, 400)


def test_what_no_agent_can_hold_reaches_no_engine(monkeypatch):
    """It is refused as the engine refuses it."""
    reached = []
    with serving({"smoke": smoke(options={"context": 20_000})}) as served:
        refused = served.post(asking(LONG))
        monkeypatch.setattr("debate.serving.long_texts.LONG", 1 << 30)
        assert served.post(asking(LONG))[::2] == refused[::2]
        monkeypatch.undo()
        monkeypatch.setattr("agents.backends.mock.segments", lambda *given: reached.append(given) or 1 / 0)
        assert served.post(asking(LONG))[::2] == refused[::2]
    assert refused[2]["error"]["code"] == "context_length_exceeded"
    assert refused[2]["error"]["message"].startswith("agent 'ada', round 1: the prompt has ")
    assert not reached


def test_a_few_tokens_that_spell_a_long_text_are_refused():
    with serving({"smoke": smoke()}, Limits(max_body=1_000)) as served:
        served.post(asking("Go"))
        monkey = pytest.MonkeyPatch()
        with monkey.context() as patched:
            patched.setattr(ByteTokenizer, "decode", lambda self, ids: "a" * 100 * len(ids))
            status, _, text = served.send("POST", "/v1/completions", {"model": "smoke", "prompt": [97] * 11})
    assert status == 413
    assert "are a text of 1100 characters, and this server takes 1000" in json.loads(text)["error"]["message"]


def test_many_names_of_control_tokens_are_one_call_of_the_tokenizer(monkeypatch):
    tokenizer = byte_tokenizer(300)
    text = "<|start|> a <|end|>" * 200
    control = control_tokens(tokenizer)
    cuts = [0, *control.cuts(text, ()), len(text)]
    apart = [id for a, b in itertools.pairwise(cuts) for id in tokenizer(text[a:b]).input_ids]
    calls = []
    own = type(tokenizer).__call__
    monkeypatch.setattr(
        type(tokenizer), "__call__", lambda self, *given, **named: calls.append(1) or own(self, *given, **named)
    )
    assert control.ids_of(text, tokenizer) == apart
    assert control.ids.isdisjoint(apart)
    assert len(calls) == 1


def heads(served, begin, piece):
    """Return the seconds after which a connection that goes on with a piece for ever is closed."""
    with socket.create_connection(served.address, timeout=0.05) as connection:
        start = time.monotonic()
        connection.sendall(begin)
        while time.monotonic() < start + 10:
            try:
                if connection.recv(4096) == b"":
                    break
            except TimeoutError:
                pass
            except ConnectionError:
                break
            try:
                connection.sendall(piece)
            except ConnectionError:
                break
        return time.monotonic() - start


def test_a_head_or_a_refused_body_that_trickles_in_is_cut_off():
    slow = (
        (b"", b""),
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-A: b\r\n"),
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET", b" "),
        (b"POST /nope HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n", b"x"),
    )
    with serving({"smoke": smoke()}, Limits(read_s=0.3)) as served:
        for begin, piece in slow:
            assert heads(served, begin, piece) < 3, begin
        assert served.send("GET", "/health")[0] == 200


def test_a_debate_may_take_longer_than_a_head():
    options = {"nap_s": 0.5}
    slow = smoke(backend="support.slow_backend:SlowBackend", options=options, rounds=1)
    with serving({"smoke": slow}, Limits(read_s=0.3)) as served:
        assert served.post(asking("SLOW"))[0] == 200


def test_a_fault_of_ours_is_counted_as_one(monkeypatch):
    with serving({"smoke": smoke()}) as served:
        monkeypatch.setattr(Service, "_card", lambda *_: 1 / 0)
        status, _, text = served.send("GET", "/v1/models")
        assert (status, json.loads(text)["error"]["code"]) == (500, "internal_error")
        assert served.metric('debate_serve_requests_total{path="/v1/models",status="500"}') == 1
        assert served.metric('debate_serve_requests_total{path="/v1/models",status="499"}') == 0


def test_a_long_prompt_to_an_agent_for_elsewhere_is_read_beside_the_loop(run):
    """Refused with the counts by which a remote debate leaves messages out."""
    from agents.backend import ChatTurn, Prompt
    from agents.errors import PromptTooLong
    from debate.serving.long_texts import LongTexts

    async def check():
        backend = create_backend("mock", model="mock", context=20_000)
        with pytest.raises(PromptTooLong) as found:
            await LongTexts().check_prompt(backend, Prompt((ChatTurn("user", (LONG,)),)), 7)
        return found.value.prompt_tokens, found.value.max_tokens, found.value.context

    tokens, room, context = run(check())
    assert (room, context) == (7, 20_000)
    assert len(LONG) <= tokens < len(LONG) + 50
