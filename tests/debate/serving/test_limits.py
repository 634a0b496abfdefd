"""What a server does not take, and clients that vanish, dawdle or lie: no one of them hurts another."""

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import openai
import pytest
from support import faulty_backend, slow_backend
from support.serving import SUM, asking, serving, smoke, until

from agents.errors import ConfigError
from debate.config.load import load_config
from debate.run_folder.reader import RunReader
from debate.serving.limits import Limits
from debate.serving.models import configs_of
from debate.serving.server import Listen

SLOW = {"backend": "support.slow_backend:SlowBackend"}


@pytest.fixture
def happened():
    slow_backend.HAPPENED.clear()
    faulty_backend.HAPPENED.clear()
    return slow_backend.HAPPENED


def code_of(answer):
    return answer[0], answer[2]["error"]["code"]


def test_a_full_queue_is_answered_429_with_the_seconds_to_wait(happened):
    limits = Limits(max_concurrent=2, max_queue=1)
    with serving({"smoke": smoke(**SLOW)}, limits) as served:
        held = [served.open(asking(f"SLOW {place}")) for place in range(3)]
        until(lambda: served.metric("debate_serve_playing") == 2 and served.metric("debate_serve_waiting") == 1)
        status, headers, body = served.post(asking(SUM))
        assert (status, body["error"]["code"], body["error"]["type"]) == (429, "queue_full", "rate_limit_error")
        assert 1 <= int(headers["retry-after"]) <= 60
        # A stream is refused by its status as well, and not in its midst.
        with served.client() as client, pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**asking(SUM, stream=True))
        # It waits for its place, and was never begun by an agent.
        held.pop().close()
        until(lambda: served.metric("debate_serve_waiting") == 0)
        for connection in held:
            connection.close()
        until(lambda: served.metric("debate_serve_playing") == 0)
        assert served.post(asking(SUM))[0] == 200
        assert happened == {"begun": 4, "cancelled": 4}
        many = {"model": "smoke", "prompt": [SUM] * 4}
        status, _, text = served.send("POST", "/v1/completions", many)
        assert (status, json.loads(text)["error"]["message"]) == (
            400,
            "a request of 4 debates; this server takes 3 at once",
        )
        assert served.send("POST", "/v1/completions", {**many, "prompt": [SUM] * 3})[0] == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_ends_its_debate_at_the_engine(happened, stream):
    with serving({"smoke": smoke(**SLOW)}) as served:
        connection = served.open(asking("SLOW", stream=stream))
        until(lambda: happened["begun"] == 2)
        connection.close()
        until(lambda: happened["cancelled"] == 2)
        until(lambda: served.metric("debate_serve_playing") == 0)
        assert served.metric('debate_serve_debates_total{outcome="cancelled"}') == 1


def test_two_hundred_that_vanish_leave_nothing_behind(happened):
    with serving({"smoke": smoke(**SLOW)}, Limits(max_concurrent=64, max_queue=200)) as served:
        for place in range(200):
            connection = served.open(asking("SLOW", stream=place % 2 == 0))
            if place % 3 == 0:
                # Away with a reset, as of a machine that is switched off.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        assert served.post(asking(SUM))[0] == 200
        until(lambda: served.metric("debate_serve_playing") == served.metric("debate_serve_waiting") == 0, 20)
        assert happened["begun"] == happened["cancelled"]
        assert served.post(asking(SUM))[0] == 200


def test_a_debate_that_takes_too_long_is_ended(happened):
    with serving({"smoke": smoke(**SLOW)}, Limits(timeout_s=0.3, heartbeat_s=0.1)) as served:
        assert code_of(served.post(asking("SLOW"))) == (504, "timeout")
        with served.client() as client, pytest.raises(openai.APIError, match="did not end within") as failed:
            list(client.chat.completions.create(**asking("SLOW", stream=True)))
        assert failed.value.code == "timeout"
        body = served.send("POST", "/v1/chat/completions", asking("SLOW", stream=True))[2].decode()
        assert body.count(": still debating\n\n") >= 1
        assert "[DONE]" not in body
        assert happened["begun"] == happened["cancelled"] == 6


def test_a_reader_who_takes_nothing_is_given_up(happened):
    """Its debate was played and its place is free; the connection is closed when it took nothing for a while."""
    long = "x" * 1_200_000
    options = {"script": {".": long}, "context": 50_000_000}
    wordy = smoke(options=options, max_tokens=10_000_000, rounds=1, message="text")
    with serving({"smoke": wordy, "quick": smoke()}, Limits(read_s=0.5, max_concurrent=1, max_queue=0)) as served:
        with served.open(asking("Go", stream=True), receive_buffer=4096) as connection:
            until(lambda: served.metric('debate_serve_debates_total{outcome="answered"}') == 1, 30)
            until(lambda: served.post(asking(SUM, "quick"))[0] == 200)
            # It is counted when it is given up.
            until(lambda: served.metric('debate_serve_requests_total{path="/v1/chat/completions",status="200"}') == 2)
            read = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(1 << 20):
                    read += piece
        # Two turns under two names, and the answer, are five times as long.
        assert b"[DONE]" not in read
        assert len(read) < 5 * len(long)


def test_bodies_are_limited_in_length_time_and_kind():
    limits = Limits(max_body=2_000, read_s=0.5)
    with serving({"smoke": smoke()}, limits) as served:
        assert code_of(served.post(asking("x" * 3_000))) == (413, "body_too_large")
        chunked = b"%x\r\n%s\r\n" % (3_000, b" " * 3_000)
        assert b" 413 " in raw(served, b"Transfer-Encoding: chunked\r\n", chunked)
        assert b" 408 " in raw(served, b"Content-Length: 100\r\n", b"{")
        assert served.send("POST", "/v1/chat/completions", "a=b", {"Content-Type": "text/plain"})[0] == 415
        for body in (
            b"{",
            b"[]",
            b'"x"',
            b"\xff",
            b"[" * 1_900,
            b'{"model": NaN}',
            b'{"model": "\\ud800"}',
            b"1" * 1_999,
        ):
            status, _, text = served.send("POST", "/v1/chat/completions", body)
            assert (status, json.loads(text)["error"]["code"]) == (400, "invalid_json"), body
        assert b" 400 " in raw(served, b"Content-Length: 5\r\nContent-Length: 6\r\n", b"{}")
        assert served.post(asking(SUM))[0] == 200


def test_a_head_without_an_end_is_cut_off():
    """With either parser of HTTP that is installed beside uvicorn."""

    def send(connection):
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        for number in range(3_000):
            connection.sendall(b"X-%d: %s\r\n" % (number, b"a" * 10_000))

    with serving({"smoke": smoke()}) as served, socket.create_connection(served.address, timeout=10) as connection:
        with pytest.raises(ConnectionError):
            send(connection)
        assert served.send("GET", "/health")[0] == 200


def raw(served, headers, body):
    """Return the first bytes of the answer to a request that no client library would send."""
    with socket.create_connection(served.address, timeout=10) as connection:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        connection.sendall(head + headers + b"\r\n" + body)
        return connection.recv(4096)


def test_only_who_has_the_token_is_answered():
    listen = Listen(port=0, token="right-token")
    with serving({"smoke": smoke()}, listen=listen) as served:
        with served.client(api_key="right-token") as client:
            assert client.chat.completions.create(**asking(SUM)).choices
        for wrong in ("right-toke", "right-token2", "", "röng"):
            headers = {"Authorization": f"Bearer {wrong}".encode()} if wrong else {}
            for path in ("/v1/models", "/metrics", "/nope"):
                status, found, body = served.send("GET", path, headers=headers)
                assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
                assert found["www-authenticate"] == "Bearer"
        with served.client(api_key="wrong") as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        assert served.send("GET", "/health")[0] == 200
        # Whoever has the token may call it by any name.
        named = {"Authorization": "bearer right-token", "Host": "debates.example"}
        assert served.send("GET", "/v1/models", headers=named)[0] == 200


def test_without_a_token_pages_elsewhere_cannot_reach_it():
    with serving({"smoke": smoke()}) as served:
        for host in ("localhost", "127.0.0.1:80", "[::1]:8000"):
            assert served.send("GET", "/v1/models", headers={"Host": host})[0] == 200
        for host in ("evil.example", "127.0.0.1.evil.example:80", "localhost@evil", ""):
            status, _, body = served.send("GET", "/v1/models", headers={"Host": host})
            assert (status, json.loads(body)["error"]["code"]) == (403, "wrong_host"), host
        status, headers, _ = served.send(
            "OPTIONS",
            "/v1/chat/completions",
            headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
        )
        assert status == 405
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("listen", "sentence"),
    [
        (Listen(host="0.0.0.0"), "others could use it. Give a token"),
        (Listen(host="::"), "others could use it"),
        (Listen(host="here"), "--host 'here' is no address"),
        (Listen(tls_key="x"), "give --tls-cert and --tls-key"),
        (Listen(tls_cert="/nope", tls_key="/nope"), "--tls-cert /nope: cannot be used"),
    ],
)
def test_an_address_that_cannot_be_served_is_refused(listen, sentence):
    with pytest.raises(ConfigError, match=sentence), serving({"smoke": smoke()}, listen=listen):
        pass


def test_what_is_not_here_answers_404_in_the_form_of_openais_errors():
    with serving({"smoke": smoke()}) as served:
        paths = (
            "/",
            "/v1/embeddings",
            "/v1/tokenize",
            "/version",
            "/v1/responses",
            "/v1/chat/completions/x",
            # Nor is anybody sent on to a host that the request names.
            "/v1/chat/completions/",
            "/docs",
        )
        for path in paths:
            status, _, body = served.send("POST", path, asking(SUM))
            assert (status, set(json.loads(body)["error"])) == (404, {"message", "type", "param", "code"}), path
        assert served.send("GET", "/v1/chat/completions")[0] == 405
        assert served.metric('debate_serve_requests_total{path="other",status="404"}') == len(paths) - 1 + 1


def test_an_engine_that_dies_is_started_again_and_one_that_always_dies_is_told(happened):
    faulty = {"backend": "support.faulty_backend:FaultyBackend"}
    dying = smoke(**faulty, options={"deaths": 1, "poison": "KILL"})
    with serving({"smoke": dying, "other": smoke()}) as served:
        whole = served.post(asking(SUM, "other"))[2]["choices"]
        found = [served.post(asking(SUM))[2] for _ in range(3)]
        assert [each["choices"] for each in found] == [whole] * 3
        assert faulty_backend.HAPPENED["deaths"] == 1
        answer = served.post(asking("KILL"))
        assert code_of(answer) == (502, "engine_failed")
        assert "a cosmic ray" in answer[2]["error"]["message"]
        assert served.post(asking(SUM))[2]["choices"] == whole


def test_a_prompt_that_is_too_long_is_the_requests_mistake():
    with serving({"smoke": smoke(options={"context": 900})}) as served:
        answer = served.post(asking("x" * 2_000))
        assert code_of(answer) == (400, "context_length_exceeded")
        with served.client() as client, pytest.raises(openai.APIError, match="context"):
            list(client.chat.completions.create(**asking("x" * 2_000, stream=True)))


def test_a_mistake_leaves_the_connection_open_and_no_word_in_the_log(happened, caplog, capfd):
    dying = smoke(backend="support.faulty_backend:FaultyBackend", options={"poison": "KILL"})
    wrong = [
        (400, asking(SUM, debate={"method": "none"})),
        (400, asking("\ue0000\ue001")),
        (502, asking("KILL")),
        (404, asking(SUM, "none")),
    ]
    with (
        serving({"smoke": dying}) as served,
        contextlib.closing(http.client.HTTPConnection(*served.address)) as connection,
    ):
        connection.connect()
        held = connection.sock
        for status, body in [*wrong, (200, asking(SUM))]:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (status, True)
            assert connection.sock is held
    assert caplog.text == ""
    assert "Traceback" not in capfd.readouterr().err


def test_a_fault_of_ours_says_nothing_of_its_inside(happened, monkeypatch, caplog):
    with serving({"smoke": smoke()}) as served:
        monkeypatch.setattr("debate.serving.debates.spoken_for", lambda *_: 1 / 0)
        answer = served.post(asking(SUM))
        assert code_of(answer) == (500, "internal_error")
        assert "division" not in answer[2]["error"]["message"]
        body = served.send("POST", "/v1/chat/completions", asking(SUM, stream=True))[2].decode()
        assert '"internal_error"' in body
        monkeypatch.undo()
        assert served.post(asking(SUM))[0] == 200
    assert caplog.text.count("ZeroDivisionError") == 2


def test_a_server_limits_tokens_rounds_and_overrides():
    tight = serving({"smoke": smoke()}, Limits(max_tokens=100))
    with pytest.raises(ConfigError, match="may generate 384 tokens in 6 turns; this server allows 100"), tight:
        pass
    with serving({"smoke": smoke()}, Limits(max_tokens=400, max_rounds=5, overrides=("rounds",))) as served:
        assert served.post(asking(SUM, debate={"rounds": 2}))[0] == 200
        answer = served.post(asking(SUM, debate={"rounds": 5}))
        assert code_of(answer) == (400, "too_many_tokens")
        assert served.post(asking(SUM, debate={"rounds": 5}, max_tokens=40))[2]["debate"]["rounds"] == 5
        assert "allows up to 5" in served.post(asking(SUM, debate={"rounds": 6}))[2]["error"]["message"]
        refused = served.post(asking(SUM, debate={"method": "single"}))[2]["error"]["message"]
        assert refused == "debate.method: this server does not allow it; allowed: rounds"
    with serving({"smoke": smoke()}) as served:
        answer = served.post(asking(SUM, debate={"method": "single", "rounds": 2}))
        assert answer[2]["error"]["param"] == "debate.rounds"
        assert "one agent, which speaks once; leave rounds out" in answer[2]["error"]["message"]
        assert served.post(asking(SUM, debate={"method": "single", "rounds": 1}))[0] == 200
        answer = served.post(asking(SUM, debate={"temperature": 1e-40}))
        assert code_of(answer) == (400, "invalid_request")
        assert "temperature is 0, or at least 1e-06; got 1e-40" in answer[2]["error"]["message"]
    with pytest.raises(ConfigError, match="--allow 'agents': choose among rounds"):
        Limits(overrides=("agents",))


def test_methods_are_those_of_the_config_that_any_question_can_be_asked_by():
    votes = "self-consistency(k=3)"
    config = smoke(methods={votes: {}, "self-consistency@tokens": {}, "expert": {}, "likelihood": {}})
    with serving({"smoke": config}) as served:
        body = served.post(asking(SUM, debate={"method": votes}))[2]
        assert (body["debate"]["method"], len(body["debate"]["answers"])) == (votes, 3)
        # Of the rest some need a budget or right answers, and others would name a file.
        for name in ("self-consistency@tokens", "expert", "likelihood", "self-consistency(k=9)", "debaters/experts"):
            answer = served.post(asking(SUM, debate={"method": name}))
            assert code_of(answer) == (400, "invalid_request"), name
            assert f"Known: cipher, {votes}, single, text" in answer[2]["error"]["message"]


def test_a_request_loads_no_model():
    config = smoke(methods={"other": {"model": "mock-2"}})
    with serving({"smoke": config}) as served:
        answer = served.post(asking(SUM, debate={"method": "other"}))
        assert code_of(answer) == (400, "invalid_request")
        assert "has not loaded mock:mock-2" in answer[2]["error"]["message"]


def test_a_kept_debate_names_the_models_that_spoke_in_it(tmp_path):
    with serving({"smoke": smoke(), "other": smoke(model="mock-2")}, out=tmp_path) as served:
        ids = [served.post(asking(SUM, model))[1]["x-debate-id"] for model in ("smoke", "other/ada")]
        refused = served.post(asking("\ue0000\ue001"))
    assert refused[0] == 400
    assert {path.name for path in tmp_path.iterdir()} >= set(ids)
    assert [list(RunReader(tmp_path / id).state.models) for id in ids] == [["mock"], ["mock-2"]]
    assert [RunReader(tmp_path / id).methods for id in ids] == [["cipher"], ["single"]]


def test_chunks_of_a_stream_do_not_wait_for_acknowledgements():
    with serving({"smoke": smoke()}) as served:
        connection, seconds = http.client.HTTPConnection(*served.address), []
        with contextlib.closing(connection):
            for _ in range(40):
                start = time.perf_counter()
                body = json.dumps(asking(SUM, "smoke/ada", stream=True))
                connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
                connection.getresponse().read()
                seconds.append(time.perf_counter() - start)
    # Held back until the client acknowledges what came before, each takes 40 ms once the connection has warmed up.
    assert min(seconds[20:]) < 0.035


def test_configs_of_one_model_share_its_engine(happened):
    config = smoke(backend="support.faulty_backend:FaultyBackend")
    with serving({"a": config, "b": config.model_copy(update={"rounds": 2})}) as served:
        assert served.post(asking(SUM, "a"))[0] == served.post(asking(SUM, "b/ben"))[0] == 200
        assert faulty_backend.HAPPENED["starts"] == 1


def test_models_are_named_as_configs_are(tmp_path):
    (tmp_path / "mine.yaml").write_text("backend: mock\nagents: {ada: {}}\n")
    assert list(configs_of([Path("debaters/experts"), tmp_path / "mine.yaml"])) == ["debaters/experts", "mine"]
    with pytest.raises(ConfigError, match="two configs would be served as 'mine'"):
        configs_of([tmp_path / "mine.yaml", tmp_path / "mine.yaml"])
    ray = load_config("smoke", ["execution.runtime=ray"])
    with pytest.raises(ConfigError, match="set execution.runtime to local"), serving({"smoke": ray}):
        pass


def test_what_is_under_way_ends_before_the_server_does(happened):
    with serving({"smoke": smoke(**SLOW, options={"nap_s": 0.4})}) as served:
        found = []
        asking_one = threading.Thread(target=lambda: found.append(served.post(asking("SLOW", debate={"rounds": 1}))))
        asking_one.start()
        until(lambda: happened["begun"] == 2)
        served.server.should_exit = True
        asking_one.join(20)
        served.thread.join(20)
        assert found[0][0] == 200
        assert happened["cancelled"] == 0
        with pytest.raises(OSError):
            served.send("GET", "/health")


def test_tls_from_files(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    with serving({"smoke": smoke()}, listen=Listen(port=0, tls_cert=cert, tls_key=key)) as served:
        assert served.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=cert)
        address = f"https://localhost:{served.address[1]}/v1/models"
        with urllib.request.urlopen(address, context=context, timeout=10) as answer:
            assert len(json.load(answer)["data"]) == 3
    with pytest.raises(ConfigError, match="cannot be used with"):
        Listen(tls_cert=key, tls_key=cert).check()


def test_the_loopback_address_of_ipv6():
    with serving({"smoke": smoke()}, listen=Listen(host="::1", port=0)) as served:
        assert served.url.startswith("http://[::1]:")
        assert served.post(asking(SUM))[0] == 200
