"""The API backend against a real server on loopback that fails in every way it can."""

import asyncio
import json
import logging
import os
import sys
import time
import urllib.request
from dataclasses import replace
from email.utils import formatdate
from importlib import import_module

import pytest
from support.chat_server import ChatServer, Fault

from agents.backend import ChatTurn, Prompt, Request, Sampling
from agents.backends.openai.failures import Failures, retry_after
from agents.backends.openai.pace import Pace
from agents.errors import (
    BackendFailed,
    ConfigError,
    MissingDependency,
    ModelError,
    PromptTooLong,
    RequestError,
)
from agents.registry import create_backend

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def server():
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture
def ask(server, run):
    """Return a function that submits requests at once and returns what they came to, errors too, and the backend."""

    def ask(*requests, follow=False, **options):
        async def play():
            backend = made(server, **options)

            async def one(request):
                pending = backend.submit(request)
                pieces = [piece async for piece in pending] if follow else []
                return await pending, pieces

            try:
                return await asyncio.gather(*(one(request) for request in requests), return_exceptions=True)
            finally:
                await backend.close()

        found = run(play())
        for outcome in found:
            if isinstance(outcome, Exception):
                raise outcome
        return [generation for generation, _ in found] if not follow else found

    return ask


def made(server, **options):
    return create_backend("openai", **{"model": server.model, "base_url": server.url, "backoff_s": 0.01, **options})


def asked(text="What is the result of 1+2*3+4-5*1?", **sampling):
    return Request(Prompt.of(text), Sampling(**{"temperature": 0.5, "max_tokens": 20, **sampling}))


def test_what_is_sent_and_what_comes_back(server, ask):
    prompt = Prompt((ChatTurn("system", ("Be brief.",)), ChatTurn("user", ("1+2*3+4-5*1", " please"))))
    sampling = Sampling(temperature=0.3, top_p=0.9, max_tokens=9, stop=("zz", "\n"), seed=2**62 + 5)
    (generation,) = ask(Request(prompt, sampling), extra_body={"min_p": 0.1})
    (body,) = server.bodies
    assert body == {
        "model": server.model,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1+2*3+4-5*1 please"},
        ],
        "temperature": 0.3,
        "top_p": 0.9,
        "max_tokens": 9,
        "stop": ["zz", "\n"],
        "seed": 5,
        "min_p": 0.1,
    }
    assert "authorization" not in server.seen[0][1]
    assert generation.message.text.startswith("2*3=6, 5*1=5. Answer: ")
    assert generation.finish_reason == "stop"
    # As the server counts: words, the last of them the end, and half of the prompt from its cache.
    assert (generation.usage.prompt_tokens, generation.usage.cached_tokens) == (6, 3)
    assert generation.usage.generated_tokens == 5
    assert generation.message.token_ids == ()
    assert generation.message.model.model == f"{server.model} at {server.url[7:-3]}"
    assert not generation.message.model.same_tokenizer(generation.message.model)


def test_messages_of_others_stand_in_the_prompt_as_text(server, run):
    async def play():
        speaker = create_backend("mock")
        said = await speaker.submit(replace(asked(max_tokens=60), encoder="expectation"))
        backend = made(server)
        await backend.submit(Request(Prompt.of("He said: ", said.message, " And you?"), Sampling(max_tokens=8)))
        await backend.close()
        return said.message

    message = run(play())
    assert message.is_cipher
    assert server.bodies[0]["messages"][0]["content"] == f"He said: {message.text} And you?"


def test_what_cannot_be_had_is_refused_before_anything_is_sent(server, ask):
    with pytest.raises(RequestError, match=r"speaks text only.*\(expectation\).*encoder: none"):
        ask(replace(asked(), encoder="expectation"))
    with pytest.raises(RequestError, match=r"top_k is 5.*sends_top_k: true"):
        ask(asked(top_k=5))
    with pytest.raises(RequestError, match="cannot be asked to weigh choices"):
        ask(replace(asked(), choices=(" A", " B")))
    with pytest.raises(RequestError, match="ignore_eos"):
        ask(asked(ignore_eos=True))
    with pytest.raises(RequestError, match="format: chat"):
        ask(Request(replace(Prompt.of("x"), format="plain")))
    assert server.seen == []
    ask(asked(top_k=5), sends_top_k=True)
    assert server.bodies[0]["top_k"] == 5


def test_openai_itself_gets_its_newer_name_of_the_limit(server, ask):
    ask(asked(), token_limit="max_completion_tokens")
    assert server.bodies[0]["max_completion_tokens"] == 20
    assert "max_tokens" not in server.bodies[0]


def test_streaming_only_when_followed(server, ask):
    ((generation, pieces),) = ask(asked(), follow=True)
    assert len(pieces) > 2
    assert "".join(pieces) == generation.message.text
    assert generation.usage.prompt_tokens > 0
    assert server.bodies[0]["stream"] is True
    (whole,) = ask(asked())
    assert "stream" not in server.bodies[1]
    assert whole.message == generation.message
    assert whole.usage == generation.usage


@pytest.mark.parametrize(
    ("reason", "found"),
    [("length", "length"), ("content_filter", "filtered"), ("tool_calls", "stop"), ("stop", "stop")],
)
@pytest.mark.parametrize("follow", [False, True])
def test_finish_reasons(server, ask, reason, found, follow):
    def change(answer):
        for choice in answer["choices"]:
            choice["finish_reason"] = choice["finish_reason"] and reason
        return answer

    server.faults = [Fault(change=change)]
    (outcome,) = ask(asked(), follow=follow)
    generation = outcome[0] if follow else outcome
    assert generation.finish_reason == found


def broken(answer):
    return {**answer, "choices": []}


PASSING = {
    "429": Fault(429, "slow down"),
    "429 with Retry-After": Fault(429, "slow down", headers={"retry-after": "0.2"}),
    "500": Fault(500, "oops"),
    "503 in HTML": Fault(503, raw="<html>unavailable</html>"),
    "529": Fault(529, "overloaded"),
    "hangs": Fault(sleep_s=5.0),
    "reset": Fault(reset_after=0),
    "reset mid-stream": Fault(reset_after=2),
    "malformed JSON": Fault(raw='{"id": "1", "choices": ['),
    "no JSON at all": Fault(raw="hello", headers={"content-type": "text/plain"}),
    "no choices": Fault(change=broken),
    "choices null": Fault(change=lambda answer: {**answer, "choices": None}),
    "no finish reason": Fault(
        change=lambda answer: {**answer, "choices": [{**c, "finish_reason": None} for c in answer["choices"]]}
    ),
    "finish reason error": Fault(
        change=lambda answer: {**answer, "choices": [{**c, "finish_reason": "error"} for c in answer["choices"]]}
    ),
    "error in a 200": Fault(raw='{"error": {"message": "upstream died", "code": 502}}'),
    "nested without end": Fault(raw='{"choices": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "an event nested without end": Fault(
        raw="data: " + "[" * 100_000 + "\n\n", headers={"content-type": "text/event-stream"}
    ),
    "a moment that no calendar has": Fault(429, "slow", headers={"retry-after": "Mon, 01 Jan 99999 00:00:00 GMT"}),
}


@pytest.mark.parametrize("follow", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again(server, ask, name, follow):
    server.faults = [replace(PASSING[name])]
    (outcome,) = ask(asked(), follow=follow, timeout_s=1.0 if name == "hangs" else 60.0)
    generation = outcome[0] if follow else outcome
    assert generation.message.text.startswith("2*3=6")
    assert generation.finish_reason == "stop"
    assert len(server.seen) == 2
    assert server.bodies[0] == server.bodies[1]
    if follow:
        assert "".join(outcome[1]) == generation.message.text
    if "Retry-After" in name:
        assert server.seen[1][0] - server.seen[0][0] >= 0.2


@pytest.mark.parametrize("name", ["500", "hangs", "reset", "malformed JSON", "no choices"])
def test_after_the_last_attempt_there_is_one_clear_error(server, ask, name):
    server.faults = [replace(PASSING[name]) for _ in range(3)]
    sentences = {
        "500": "oops",
        "hangs": "no answer in time",
        "reset": "no connection",
        "malformed JSON": "cannot be read",
        "no choices": "no choices to read",
    }
    with pytest.raises(BackendFailed, match=rf"tiny-chat at 127.*gave no answer in 3 attempts: .*{sentences[name]}"):
        ask(asked(), max_retries=2, timeout_s=0.3 if name == "hangs" else 60.0)
    assert len(server.seen) == 3


@pytest.mark.parametrize("follow", [False, True], ids=["whole", "streamed"])
def test_an_answer_without_end_is_given_up(server, ask, monkeypatch, follow):
    monkeypatch.setattr("agents.backends.openai.bounded.LARGEST_BODY", 100_000)
    server.reply = lambda text, request: "word " * 20_000
    with pytest.raises(BackendFailed, match="more than 100,000 bytes"):
        ask(asked(max_tokens=20_000), follow=follow, max_retries=0)


@pytest.mark.parametrize("follow", [False, True], ids=["whole", "streamed"])
def test_halves_of_characters_are_put_together_or_replaced(server, ask, follow):
    server.reply = lambda text, request: "a\ud83d \ude00b 7\ud83d"
    server.faults = [Fault(change=without_spaces)]
    (outcome,) = ask(asked(), follow=follow)
    generation = outcome[0] if follow else outcome
    assert generation.message.text == "a😀b7\ufffd"
    if follow:
        assert "".join(outcome[1]) == generation.message.text


def without_spaces(answer):
    """Join the words, so that the halves of a character are neighbours, each in a piece of its own."""
    for choice in answer["choices"]:
        said = choice.get("message") or choice["delta"]
        if said.get("content"):
            said["content"] = said["content"].replace(" ", "")
    return answer


@pytest.mark.parametrize("follow", [False, True], ids=["whole", "streamed"])
def test_more_words_than_a_journal_holds_are_no_answer(server, ask, monkeypatch, follow):
    monkeypatch.setattr("agents.backends.openai.chat.LONGEST_TEXT", 1000)
    server.reply = lambda text, request: "word " * 300
    with pytest.raises(BackendFailed, match="more than 1,000 characters"):
        ask(asked(max_tokens=300), follow=follow, max_retries=0)


def test_a_whole_answer_with_very_many_choices_takes_no_time(server, ask):
    server.faults = [Fault(change=lambda answer: {**answer, "choices": answer["choices"] * 50_000})]
    start = time.thread_time()
    (generation,) = ask(asked())
    assert generation.message.text.startswith("2*3=6")
    assert time.thread_time() - start < 2


FINAL = {
    "lists in lists": (Fault(400, raw='{"error": ' + "[" * 900 + "]" * 900 + "}"), RequestError, "400, Bad Request"),
    "401": (Fault(401, "Incorrect API key"), ConfigError, r"refuses requests without a key.*401, Incorrect API key"),
    "403": (Fault(403, "not for you"), ConfigError, "403, not for you"),
    "402": (Fault(402, "insufficient credits"), RequestError, "402, insufficient credits"),
    "400": (Fault(400, "seed must be small"), RequestError, "400, seed must be small"),
    "422": (Fault(422, raw='{"detail": [{"loc": ["seed"], "msg": "not a number"}]}'), RequestError, "not a number"),
    "quota": (Fault(429, "You exceeded your quota", "insufficient_quota"), RequestError, "exceeded your quota"),
    "told not to": (Fault(500, "never", headers={"x-should-retry": "false"}), RequestError, "500, never"),
    "404": (Fault(404, "no such model"), ModelError, r"no model 'tiny-chat'.*/v1"),
    "long, by code": (Fault(400, "shorten it", "context_length_exceeded"), RequestError, "nothing was cut: shorten it"),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_will_not_pass_is_said_at_once(server, ask, name):
    fault, kind, sentence = FINAL[name]
    server.faults = [fault]
    with pytest.raises(kind, match=sentence):
        ask(asked())
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("sentence", "prompt", "context"),
    [
        # vLLM 0.32, renderers/params.py and v1/engine/input_processor.py and serve/utils/api_utils.py.
        (
            "This model's maximum context length is 256 tokens. However, your prompt contains at least 257 input tokens, "
            "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt.",
            257, 256,
        ),
        ("The decoder prompt (length 300) is longer than the maximum model length of 256. Make sure that", 300, 256),
        ("Input length (300) exceeds model's maximum context length (256).", 300, 256),
        # OpenAI.
        (
            "This model's maximum context length is 4097 tokens. However, you requested 5000 tokens (4,400 in the "
            "messages, 600 in the completion). Please reduce the length of the messages or completion.",
            4400, 4097,
        ),
        ("This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.", 130000,
         128000),
        # OpenRouter.
        (
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 200000 tokens (190000 "
            "of text input, 10000 in the output).",
            190000, 131072,
        ),
    ],
)  # fmt: skip
def test_a_context_that_is_too_short_is_told_with_its_figures(server, ask, sentence, prompt, context):
    server.faults = [Fault(400, sentence)]
    with pytest.raises(PromptTooLong, match="Nothing was cut") as caught:
        ask(asked())
    assert (caught.value.prompt_tokens, caught.value.context) == (prompt, context)
    assert caught.value.max_tokens == 20


def test_a_stream_that_begins_again_otherwise_is_an_error(server, ask):
    replies = iter(["one two three four", "one two THREE four"])
    server.reply = lambda read, request: next(replies)
    server.faults = [Fault(reset_after=3)]
    with pytest.raises(BackendFailed, match="broke after 13 characters were shown"):
        ask(asked(), follow=True)
    # Nobody follows: nothing was shown, so the second answer is as good as the first.
    replies = iter(["one two three four", "one two THREE four"])
    server.faults = [Fault(reset_after=0)]
    (generation,) = ask(asked())
    assert generation.message.text == "one two THREE four"


def test_no_server(run):
    async def play():
        backend = create_backend("openai", model="m", base_url="http://127.0.0.1:9/v1", max_retries=1, backoff_s=0)
        try:
            await backend.submit(asked())
        finally:
            await backend.close()

    with pytest.raises(BackendFailed, match=r"m at 127\.0\.0\.1:9 gave no answer in 2 attempts: no connection"):
        run(play())


def test_the_jitter_follows_the_seed(server, run):
    async def play(seed):
        backend = made(server, backoff_s=1.0)
        waits = [backend._wait_s(TimeoutError(), asked(seed=seed), attempt) for attempt in range(8)]
        await backend.close()
        return waits

    first, again, other = run(play(1)), run(play(1)), run(play(2))
    assert first == again != other
    for attempt, wait in enumerate(first):
        full = min(2.0**attempt, 30.0)
        assert full / 2 <= wait <= full


def test_retry_after_in_every_form():
    def error(**headers):
        import httpx2
        import openai

        request = httpx2.Request("POST", "http://127.0.0.1/v1")
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        response = httpx2.Response(429, headers=headers, request=request)
        return openai.RateLimitError("x", response=response, body=None)

    assert retry_after(error(retry_after="7")) == 7
    assert retry_after(error(retry_after="1.5", retry_after_ms="250")) == 0.25
    assert 8 < retry_after(error(retry_after=formatdate(time.time() + 10, usegmt=True))) <= 10
    assert retry_after(error(retry_after=formatdate(time.time() - 10, usegmt=True))) == 0
    assert retry_after(error(retry_after="soon")) is None
    assert retry_after(error(retry_after="inf")) is None
    assert retry_after(TimeoutError()) is None


def test_a_server_that_asks_for_an_hour_is_not_waited_for(server, ask):
    server.faults = [Fault(429, "daily limit", headers={"retry-after": "3600"})]
    with pytest.raises(BackendFailed, match=r"1 attempt: daily limit, and asks to wait 360\d s"):
        ask(asked())


def test_retry_after_holds_everyone_back(server, ask):
    server.faults = [Fault(429, "slow down", headers={"retry-after": "0.4"})]
    ask(*(asked(seed=seed) for seed in range(4)), max_concurrency=1)
    times = [moment for moment, _, _ in server.seen]
    assert len(times) == 5
    assert all(moment - times[0] >= 0.4 for moment in times[1:])


def test_no_more_requests_are_open_than_allowed(server, ask):
    server.delay_s = 0.05
    ask(*(asked(seed=seed) for seed in range(9)), max_concurrency=3)
    assert server.most_open == 3
    assert len(server.seen) == 9


def test_requests_a_minute_are_spread_evenly(server, ask):
    start = time.monotonic()
    ask(*(asked(seed=seed) for seed in range(5)), requests_per_minute=600)
    times = [moment - start for moment, _, _ in server.seen]
    # The k-th leaves no earlier than k tenths of a second after the first; what the way takes is the server's noise.
    assert all(moment >= 0.1 * place for place, moment in enumerate(times))


def test_tokens_a_minute_are_kept_by_what_the_server_counted(server, ask):
    # About 9 + 20 tokens are reserved and 10 counted: 0.1 s each at 6000 a minute.
    start = time.monotonic()
    found = ask(*(asked(seed=seed) for seed in range(4)), tokens_per_minute=6000, max_concurrency=1)
    spent = [generation.usage.prompt_tokens + generation.usage.generated_tokens for generation in found]
    times = [moment - start for moment, _, _ in server.seen]
    for place, moment in enumerate(times):
        assert moment >= sum(spent[:place]) / 100 - 0.001
    assert times[-1] < 4 * 0.29, "reservations were not corrected"


def test_a_pace_by_the_clock():
    now = [100.0]
    pace = Pace(60, 600, clock=lambda: now[0])
    assert [pace.reserve(5) for _ in range(3)] == [100.0, 101.0, 102.0]
    assert pace.reserve(50) == 103.0
    assert pace.reserve(1) == 108.0
    pace.settle(1, 11)
    assert pace.reserve(0) == pytest.approx(109.1)
    now[0] = 200.0
    assert pace.reserve(0) == 200.0
    assert Pace().reserve(1e9) <= time.monotonic()


def test_cancelling_closes_the_connection_and_keeps_what_was_streamed(server, run):
    server.reply = lambda read, request: " ".join(map(str, range(15)))
    server.delay_s = 0.05

    async def play():
        backend = made(server)
        one, two = backend.submit(asked()), backend.submit(asked())
        pieces = []
        async for piece in one:
            pieces.append(piece)
            if len(pieces) == 3:
                one.cancel()
        found = await one, await two
        load = replace(backend.load)
        await backend.close()
        return pieces, found, load

    pieces, (cut, whole), load = run(play())
    assert cut.finish_reason == "cancelled"
    assert cut.message.text == "".join(pieces) == "0 1 2"
    assert whole.finish_reason == "stop"
    assert (load.running, load.waiting) == (0, 0)
    deadline = time.monotonic() + 3
    while server.dropped < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.dropped == 1


def test_cancelling_before_it_is_sent_sends_nothing(server, run):
    async def play():
        backend = made(server)
        pending = backend.submit(asked())
        pending.cancel()
        generation = await pending
        load = replace(backend.load)
        await backend.close()
        with pytest.raises(BackendFailed, match="was closed"):
            backend.submit(asked())
        return generation, load

    generation, load = run(play())
    assert (generation.finish_reason, generation.message.text) == ("cancelled", "")
    assert (load.running, load.waiting) == (0, 0)
    assert server.seen == []


def test_a_server_without_counts_is_told_once(server, run):
    told = []

    async def play():
        backend = made(server, progress=told.append)
        server.faults = [Fault(change=lambda answer: {k: v for k, v in answer.items() if k != "usage"})] * 2
        found = [await backend.submit(asked()) for _ in range(2)]
        await backend.close()
        return found

    assert [generation.usage.generated_tokens for generation in run(play())] == [0, 0]
    assert told == [f"{server.url[7:-3]} does not count tokens: they are recorded as 0"]


def test_the_key_goes_to_the_server_and_nowhere_else(server, run, monkeypatch, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    told = []
    # A server that says the key back, in a sentence, in an answer, and piece by piece.
    server.reply = lambda read, request: f"your key is {KEY[:9]} or {KEY} is it"

    def halved(chunk):
        for choice in chunk["choices"]:
            if choice["delta"].get("content") == f" {KEY}":
                choice["delta"]["content"] = f" {KEY[:7]}"
            elif choice["delta"].get("content") == " is" and halved.armed:
                choice["delta"]["content"] = f"{KEY[7:]} is"
            halved.armed = KEY[:7] in str(choice["delta"])
        return chunk

    halved.armed = False

    async def play():
        backend = made(server, api_key_env="MY_KEY", progress=told.append, max_retries=0)
        shown = [repr(backend), repr(vars(backend)), str(backend.fingerprint)]
        whole = await backend.submit(asked())
        server.faults = [Fault(change=halved)]
        pending = backend.submit(asked())
        shown += [piece async for piece in pending]
        streamed = await pending
        server.faults = [Fault(status, f"bad key {KEY}") for status in (401, 400, 500)]
        errors = []
        for _ in range(3):
            with pytest.raises((ConfigError, RequestError, BackendFailed)) as caught:
                await backend.submit(asked())
            errors.append(caught.value)
        await backend.close()
        return whole, streamed, shown, errors

    import traceback

    whole, streamed, shown, errors = run(play())
    assert server.seen[0][1]["authorization"] == f"Bearer {KEY}"
    assert whole.message.text == f"your key is {KEY[:9]} or [key] is it"
    assert streamed.message == whole.message
    assert "refuses the key in $MY_KEY: 401, bad key [key]" in str(errors[0])
    printed = ["".join(traceback.format_exception(error)) for error in errors]
    everything = "\n".join([*shown, *printed, *told, caplog.text, *capsys.readouterr()])
    assert KEY not in everything
    assert "".join(shown[3:]) == whole.message.text


BAD_OPTIONS = [
    ({"api_key": KEY}, r"openai\.api_key: a key has no place in a config.*api_key_env"),
    ({"api_key_env": KEY}, r"openai\.api_key_env: api_key_env is the name of an environment variable"),
    ({"api_key_env": "hf_AbCdEfGh"}, "is the name of an environment variable"),
    ({"base_url": f"http://me:{KEY}@127.0.0.1:1/v1"}, r"openai\.base_url: a key has no place"),
    ({"base_url": f"http://127.0.0.1:1/v1?api_key={KEY}"}, "a key has no place"),
    ({"base_url": "http://me@127.0.0.1:1/v1"}, "without user"),
    ({"base_url": "127.0.0.1:8000"}, r"is no address: write e\.g\. http://127"),
    ({"base_url": "http://127.0.0.1:eight/v1"}, "base_url"),
    ({"extra_body": {"headers": {"Authorization": KEY}}}, r"openai\.extra_body\.headers\.Authorization: a key"),
    ({"extra_body": {"seed": 1}}, "seed is set by the debate"),
    ({"extra_body": [1]}, "a mapping of request fields"),
    (
        {"base_url": "https://openrouter.ai/api/v1"},
        r"openrouter\.ai is asked with a key, and \$OPENAI_API_KEY is not set",
    ),
    ({"api_key_env": "NOT_SET_ANYWHERE"}, r"\$NOT_SET_ANYWHERE is not set"),
    ({"timeout_s": 0}, r"openai\.timeout_s: a number above 0; got 0"),
    ({"timeout_s": float("nan")}, "timeout_s"),
    ({"max_retries": -1}, "max_retries: a whole number of at least 0; got -1"),
    ({"max_retries": 1.5}, "max_retries: a whole number"),
    ({"max_concurrency": 0}, "max_concurrency: a whole number of at least 1"),
    ({"requests_per_minute": 0}, "requests_per_minute: a number above 0"),
    ({"tokens_per_minute": "many"}, "tokens_per_minute: a number above 0; got 'many'"),
    ({"token_limit": "max"}, "choose max_tokens or max_completion_tokens"),
    ({"colour": 1}, "has no option 'colour'. It takes"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD_OPTIONS)
def test_options_that_cannot_be(monkeypatch, options, sentence):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=sentence) as caught:
        create_backend("openai", **{"model": "m", "base_url": "http://127.0.0.1:1/v1", **options})
    assert KEY not in str(caught.value)


def test_a_key_in_the_environment_is_found_wherever_it_was_written(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match=r"openai\.extra_body\.user: a key has no place") as caught:
        create_backend("openai", model="m", base_url="http://127.0.0.1:1/v1", extra_body={"user": f"me {KEY}"})
    assert KEY not in str(caught.value)


def test_the_key_of_one_service_goes_to_no_other(server, ask, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-mine")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    ask(asked())
    (headers,) = [headers for _, headers, _ in server.seen]
    assert not {"authorization", "openai-organization", "openai-project"} & set(headers)
    assert KEY not in str(headers)


def test_an_unencrypted_key_is_warned_of(monkeypatch, run):
    monkeypatch.setenv("MY_KEY", KEY)
    told = []

    async def play():
        options = {"base_url": "http://gpu-box:8000/v1", "api_key_env": "MY_KEY", "progress": told.append}
        await create_backend("openai", model="m", **options).close()
        await create_backend("openai", model="m", **{**options, "api_key_env": "none"}).close()

    run(play())
    assert told == ["warning: the key in $MY_KEY goes to gpu-box:8000 unencrypted (http)"]


def test_without_the_package_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("agents.backends.openai")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingDependency, match=r"the package 'openai'.*cipher-debate\[openai\]"):
        create_backend("openai", model="m", base_url="http://127.0.0.1:1/v1")
    monkeypatch.undo()
    import_module("agents.backends.openai")


def test_the_servers_sentence_is_found_however_it_is_nested():
    from agents.backends.endpoint import find_endpoint
    from agents.backends.openai.failures import _said

    assert _said({"message": "a"}) == "a"
    assert _said({"error": {"message": "b"}}) == "b"
    assert _said({"detail": [{"msg": "c"}, {"msg": "d"}]}) == "c; d"
    assert _said("<html>") == "<html>"
    assert _said(None) == ""
    failures = Failures(find_endpoint("http://[::1]:1/v1", None), "m")
    assert failures.endpoint.host == "[::1]:1"
    assert len(failures.sentence(ValueError("x" * 1000))) <= 401


@pytest.fixture
def real():
    """Return the options of a running server: CIPHER_DEBATE_OPENAI_URL, and CIPHER_DEBATE_OPENAI_MODEL if it has several."""
    url = os.environ.get("CIPHER_DEBATE_OPENAI_URL")
    if not url:
        pytest.skip("CIPHER_DEBATE_OPENAI_URL is not set; it names a running server, e.g. http://127.0.0.1:8000/v1")
    model = os.environ.get("CIPHER_DEBATE_OPENAI_MODEL")
    if model is None:
        with urllib.request.urlopen(f"{url}/models", timeout=30) as answer:
            model = json.load(answer)["data"][0]["id"]
    return {"base_url": url, "model": model}


def test_against_a_running_server(real, run):
    """`vllm serve`, Ollama, …: greedy is repeatable, streamed text is the whole text, counts are there."""

    async def play():
        backend = create_backend("openai", **real)
        request = asked("Count from one to twenty in words.", temperature=0.0, max_tokens=24)
        whole = await backend.submit(request)
        pending = backend.submit(request)
        pieces = [piece async for piece in pending]
        streamed = await pending
        many = await asyncio.gather(*(_text(backend, seed) for seed in range(8)))
        cut = backend.submit(asked("Tell a long story.", max_tokens=400))
        async for _ in cut:
            cut.cancel()
        cancelled = await cut
        with pytest.raises((PromptTooLong, RequestError)) as caught:
            await backend.submit(asked("word " * 200_000))
        alive = await backend.submit(request)
        stopped = await backend.submit(replace(request, sampling=replace(request.sampling, stop=("three",))))
        await backend.close()
        return whole, pieces, streamed, many, cancelled, caught.value, alive, stopped

    whole, pieces, streamed, many, cancelled, refused, alive, stopped = run(play())
    assert whole.message.text == streamed.message.text == alive.message.text == "".join(pieces)
    assert len(pieces) > 1
    assert whole.finish_reason == "length"
    assert whole.usage.generated_tokens == 24
    assert streamed.usage.prompt_tokens == whole.usage.prompt_tokens > 0
    assert all(generation.message.text for generation in many)
    assert cancelled.finish_reason == "cancelled"
    assert isinstance(refused, PromptTooLong) or "too long" in str(refused)
    assert "three" not in stopped.message.text


def test_a_running_server_knows_no_such_model(real, run):
    async def play():
        backend = create_backend("openai", **{**real, "model": "no-such-model"})
        try:
            await backend.submit(asked())
        finally:
            await backend.close()

    with pytest.raises(ModelError, match="no model 'no-such-model'"):
        run(play())


async def _text(backend, seed):
    return await backend.submit(asked(f"Name a colour, number {seed}.", seed=seed, max_tokens=8))


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("follow", [False, True])
def test_thinking_that_a_server_tells_apart_is_kept_apart(server, ask, field, follow):
    def thinking(answer):
        for choice in answer["choices"]:
            said = choice.get("message") or choice.get("delta")
            if said and said.get("content"):
                said[field] = "hm "
        return answer

    server.reply = lambda read, request: "Answer: 5"
    server.faults.append(Fault(change=thinking))
    (found,) = ask(asked(), follow=follow)
    message = (found[0] if follow else found).message
    assert (message.text, message.thinking) == ("Answer: 5", "hm hm " if follow else "hm ")


def test_thinking_between_tags_is_kept_apart(server, ask):
    server.reply = lambda read, request: "<think> 4? no. </think> Answer: 5"
    (found,) = ask(asked())
    assert (found.message.text, found.message.thinking) == ("Answer: 5", "<think> 4? no. </think> ")
