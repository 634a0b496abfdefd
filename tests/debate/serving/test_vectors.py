"""CIPHER between machines: agents of two servers and of this process in one debate, with the bytes of a debate at home."""

import asyncio
import contextlib
import json
import sys

import pytest
from support.serving import serving, smoke

from agents.backend import Prompt, Request, Sampling
from agents.errors import BackendFailed, ConfigError, PromptTooLong, RequestError
from agents.message_file import from_bytes, to_bytes
from agents.registry import create_backend
from agents.remote_request import FILE_TYPE, PLACE, request_body
from agents.signature import Place
from agents.signing import SigningKey, signed_file
from debate import DebateSession
from debate.config.load import load_config
from debate.serving.limits import Limits

ASKED = "What is the result of 3+4*5+6-2*7?"
FILE = {"Content-Type": FILE_TYPE}
QUESTIONS = ("What is the result of 12+7*8+3-6*9?", "What is the result of 21+13*2+9-4*7?")


@pytest.fixture(scope="module")
def experts():
    with serving({"experts": load_config("debaters/experts"), "smoke": smoke()}, Limits(max_tokens=1000)) as found:
        yield found


@pytest.fixture
def remote(experts):
    return create_backend("remote", model="smoke/ada", base_url=experts.url)


def elsewhere(config, served, *names, model="experts"):
    """Return a config in which some agents are on a server."""
    agents = {
        name: agent.model_copy(
            update={"backend": "remote", "model": f"{model}/{name}", "options": {"base_url": served.url}}
        )
        if name in names
        else agent
        for name, agent in config.agents.items()
    }
    return config.model_copy(update={"agents": agents})


def said(config):
    with DebateSession(config) as ask:
        return [
            (turn.key, turn.message.digest, turn.usage.generated_tokens, turn.finish_reason)
            for place, question in enumerate(QUESTIONS)
            for turn in ask(question, id=f"q{place}").transcript.turns
        ]


@pytest.mark.parametrize(("names", "message"), [(("jay",), "cipher"), (("ivy", "jay"), "cipher"), (("jay",), "text")])
def test_a_debate_across_machines_is_the_debate_at_home_byte_for_byte(experts, names, message):
    config = load_config("debaters/experts", [f"message={message}"])
    at_home = said(config)
    assert len(at_home) == 12
    assert said(elsewhere(config, experts, *names)) == at_home


def test_the_mock_too_and_an_answer_alone(experts):
    config = smoke()
    assert said(elsewhere(config, experts, "ada", "ben", model="smoke")) == said(config)


def test_what_a_server_says_of_an_agent(experts, remote):
    local = create_backend("mock")
    assert remote.fingerprint == local.fingerprint
    assert (remote.capabilities.vectors_in, remote.capabilities.vectors_out) == (True, True)
    assert remote.tokenizer.get_vocab() == local.tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("model", "sentence"),
    [("smoke", "ask one agent"), ("smoke/no", "no model"), ("experts/no", "no model")],
)
def test_no_such_agent_is_a_sentence(experts, model, sentence):
    with pytest.raises((ConfigError, RequestError), match=sentence):
        create_backend("remote", model=model, base_url=experts.url)


def test_no_such_server_is_a_sentence():
    with pytest.raises(ConfigError, match="cannot be reached"):
        create_backend("remote", model="smoke/ada", base_url="http://127.0.0.1:9/v1")


def test_what_is_refused_there_is_refused_here(experts, remote, run):
    def asked(**more):
        return Request(Prompt.of(more.pop("text", ASKED)), Sampling(**{"max_tokens": 8, **more}), "expectation")

    async def main():
        with pytest.raises(RequestError, match="this server allows 1000"):
            await remote.submit(asked(max_tokens=2000))
        with pytest.raises(PromptTooLong) as long:
            await remote.submit(asked(text="x" * 100_000))
        assert long.value.context == 100_000
        with pytest.raises(RequestError, match="messages alone"):
            remote.submit(Request(Prompt.of("x"), choices=("a", "b")))
        with pytest.raises(RequestError, match="encoder"):
            await remote.submit(Request(Prompt.of("x"), Sampling(max_tokens=3), "no_such_encoder"))
        pending = remote.submit(asked())
        pending.cancel()
        assert (await pending).finish_reason == "cancelled"
        await remote.close()

    run(main())


def test_a_body_that_never_ends_is_refused_by_its_size_and_by_its_time(experts, run, monkeypatch):
    remote = create_backend("remote", model="smoke/ada", base_url=experts.url, timeout_s=1.5)

    async def trickle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            with contextlib.suppress(OSError):
                while True:
                    # Each comes well within the time that a client waits for the next.
                    writer.write(b"1\r\nx\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.1)
        finally:
            writer.close()

    async def main():
        asked = Request(Prompt.of(ASKED), Sampling(max_tokens=8), "expectation")
        monkeypatch.setattr("agents.backends.remote.answers.LARGEST_BODY", 100)
        with pytest.raises(BackendFailed, match="more than 100 bytes"):
            await remote.submit(asked)
        monkeypatch.undo()
        assert (await remote.submit(asked)).message.num_tokens
        server = await asyncio.start_server(trickle, "127.0.0.1", 0)
        elsewhere = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        monkeypatch.setattr("agents.backends.remote.backend._url", lambda endpoint, path: elsewhere)
        with pytest.raises(BackendFailed, match=r"longer than 1\.5 s \(timeout_s\)"):
            await remote.submit(asked)
        await remote.close()
        server.close()

    run(main())


def test_a_forgotten_message_is_sent_again(experts, remote, run):
    async def main():
        local = create_backend("mock")
        heard = (await local.submit(Request(Prompt.of(ASKED), Sampling(max_tokens=20), "expectation"))).message
        asked = Request(Prompt.of("One says: ", heard, " Now you."), Sampling(max_tokens=20), "expectation")
        # As if it had been heard before the server started anew.
        remote._sent.add(heard.digest)
        found, expected = await remote.submit(asked), await local.submit(asked)
        assert found.message == expected.message
        await remote.close()

    run(main())


def mock_message(run, text=ASKED):
    async def main():
        return (
            await create_backend("mock").submit(Request(Prompt.of(text), Sampling(max_tokens=9), "expectation"))
        ).message

    return run(main())


def test_headers_of_messages_are_checked(experts, run):
    blob = to_bytes(mock_message(run))
    status, _, body = experts.send("POST", "/v1/cipher/hear?model=smoke/ada", blob, FILE)
    assert (status, json.loads(body)["digest"]) == (200, from_bytes(blob).digest)
    changed = bytearray(blob)
    changed[-1] ^= 1
    for body, model, code in (
        (bytes(changed), "smoke/ada", "invalid_message"),
        (blob[:-3], "smoke/ada", "invalid_message"),
        (b"", "smoke/ada", "invalid_message"),
        (blob, "experts/ivy", "message_mismatch"),
        (blob, "smoke", "no_vectors"),
    ):
        status, _, text = experts.send("POST", f"/v1/cipher/hear?model={model}", body, FILE)
        assert (status, json.loads(text)["error"]["code"]) == (400, code)
    assert experts.send("POST", "/v1/cipher/hear?model=smoke/ada", blob)[0] == 415


def prompt_of(*parts):
    turns = [{"role": "user", "parts": list(parts)}] if parts else []
    return {"prompt": {"turns": turns, "cue": "", "close": "", "format": "auto"}}


def sampling_of(**changes):
    body = request_body(Request(Prompt.of(ASKED), Sampling(max_tokens=5)), "smoke/ada")
    return {"sampling": {**body["sampling"], **changes}}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"format": 2}, 400),
        ({"more": 1}, 400),
        ({"model": "smoke"}, 400),
        ({"model": "none"}, 404),
        (prompt_of(), 400),
        (prompt_of({"heard": "0" * 64}), 409),
        (prompt_of({"heard": "x"}), 400),
        ({"prompt": {**prompt_of()["prompt"], "turns": [{"role": "assistant", "parts": []}]}}, 400),
        # Encoders by name alone: a path would be imported.
        ({"encoder": "this:s"}, 400),
        ({"encoder": f"topp(p=1{'0' * 400})"}, 400),
        ({"encoder": "gumbel(tau=1e308)"}, 400),
        ({"encoder": "dirichlet(gamma=1e-300)"}, 400),
        (sampling_of(stop=[""]), 400),
    ],
)
def test_requests_are_checked(experts, change, status):
    body = request_body(Request(Prompt.of(ASKED), Sampling(max_tokens=5), "expectation"), "smoke/ada")
    found, _, text = experts.send("POST", "/v1/cipher/speak", {**body, **change})
    assert found == status, text
    assert json.loads(text)["error"]["message"]


@pytest.mark.parametrize("temperature", [1e308, 1e-44])
def test_a_temperature_that_no_engine_computes_is_refused_before_any_does(experts, temperature):
    body = request_body(Request(Prompt.of(ASKED), Sampling(max_tokens=5), "expectation"), "experts/ivy")
    found, _, text = experts.send(
        "POST", "/v1/cipher/speak", {**body, "sampling": {**body["sampling"], "temperature": temperature}}
    )
    assert (found, b"temperature" in text) == (400, True)
    assert experts.send("POST", "/v1/cipher/speak", body)[0] == 200


def test_nothing_is_imported_for_a_stranger(experts):
    sys.modules.pop("this", None)
    body = request_body(Request(Prompt.of(ASKED), Sampling(max_tokens=5), "expectation"), "smoke/ada")
    assert experts.send("POST", "/v1/cipher/speak", {**body, "encoder": "this:s"})[0] == 400
    assert "this" not in sys.modules


def test_a_message_that_another_agent_heard_is_no_fault_of_the_server(experts):
    blob = to_bytes(DebateSession(smoke())(ASKED).transcript.turns[0].message)
    assert experts.send("POST", "/v1/cipher/hear?model=smoke/ada", blob, FILE)[0] == 200
    body = request_body(Request(Prompt.of(ASKED), Sampling(max_tokens=5), "expectation"), "experts/ivy")
    digest = from_bytes(blob).digest
    found, _, text = experts.send("POST", "/v1/cipher/speak", {**body, **prompt_of({"heard": digest})})
    assert (found, json.loads(text)["error"]["code"]) == (400, "message_mismatch")


def test_signed_messages_are_heard_at_their_place_once_and_nothing_else(run):
    key, other = SigningKey.generate(), SigningKey.generate()
    place = Place("r" * 32, "cipher", "q1", 1, "ben")
    message = mock_message(run)

    def hear(served, blob, at):
        headers = {**FILE, PLACE: json.dumps(vars(at))}
        return served.send("POST", "/v1/cipher/hear?model=smoke/ada", blob, headers)[0]

    with serving({"smoke": smoke()}, keys={"ben": key.public}) as served:
        assert hear(served, to_bytes(message), place) == 403
        assert hear(served, signed_file(message, place, other), place) == 403
        assert hear(served, signed_file(message, place, key), Place("r" * 32, "cipher", "q1", 2, "ben")) == 403
        assert hear(served, signed_file(message, place, key), place) == 200
        assert hear(served, signed_file(message, place, key), place) == 403
        assert served.send("POST", "/v1/cipher/hear?model=smoke/ada", to_bytes(message), FILE)[0] == 400


def test_a_server_with_a_token_asks_for_it(run, monkeypatch):
    from debate.serving.server import Listen

    with serving({"smoke": smoke()}, listen=Listen(port=0, token="abcdefgh12345678")) as served:
        with pytest.raises(ConfigError, match="token"):
            create_backend("remote", model="smoke/ada", base_url=served.url)
        monkeypatch.setenv("BOX_TOKEN", "abcdefgh12345678")
        config = elsewhere(smoke(), served, "ben", model="smoke")
        agents = dict(config.agents)
        agents["ben"] = agents["ben"].model_copy(
            update={"options": {"base_url": served.url, "api_key_env": "BOX_TOKEN"}}
        )
        assert said(config.model_copy(update={"agents": agents})) == said(smoke())


def test_a_server_that_goes_away_is_a_failed_engine(run):
    async def main(backend):
        with pytest.raises(BackendFailed, match="cannot be reached"):
            await backend.submit(Request(Prompt.of(ASKED), Sampling(max_tokens=5), "expectation"))
        await backend.close()

    with serving({"smoke": smoke()}) as served:
        backend = create_backend("remote", model="smoke/ada", base_url=served.url)
    run(main(backend))
