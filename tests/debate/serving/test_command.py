"""`debate serve` as a process: its address, its token, what it keeps, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from support.serving import SUM, asking

from debate.cli.serve import TOKEN


def start(*arguments, **environment):
    command = [sys.executable, "-m", "debate", "serve", "smoke", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    return process, process.stdout.readline().strip()


def post(url, body, token=""):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    asked = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return answer.headers["X-Debate-Id"], json.load(answer)


def test_a_served_debate_is_kept_shown_and_ended_by_sigterm(cli, tmp_path):
    token = tmp_path / "token"
    token.write_text("right-token\n")
    process, url = start("--token-file", token, "--out", tmp_path / "kept", "--drain", "5")
    try:
        id, body = post(url, asking(SUM, debate={"rounds": 2}), "right-token")
        # One that never ends its request does not keep the server.
        with socket.create_connection((url.split("/")[2].split(":")[0], int(url.split(":")[2].split("/")[0]))):
            process.send_signal(signal.SIGTERM)
            _, notes = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, notes
    assert "Traceback" not in notes
    assert body["id"] == id
    code, out, _ = cli("show", tmp_path / "kept" / id)
    assert code == 0
    assert out.count("round ") == 4
    assert ": finished" in out
    assert body["debate"]["reason"] in out
    code, out, _ = cli("runs", tmp_path / "kept")
    assert (code, id in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["smoke", "--host", "0.0.0.0"], "others could use it. Give a token"),
        (["smoke", "--token", "a", "--token-file", "b"], "give --token or --token-file, not both"),
        (["smoke", "--token", " "], "the token is empty"),
        (["smoke", "--token-file", "nope"], "--token-file nope: cannot be read"),
        (["smoke", "--allow", "rounds,agents"], "--allow 'agents': choose among"),
        (["smoke", "--max-tokens", "10"], "this server allows 10"),
        (["smoke", "--set", "execution.runtime=ray"], "set execution.runtime to local"),
        (["nope"], "no config file nope"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(cli, monkeypatch, arguments, sentence):
    monkeypatch.delenv(TOKEN, raising=False)
    code, _, err = cli("serve", *arguments, *(["--port", "0"]))
    assert code == 2
    assert sentence in " ".join(err.split())


def test_a_port_that_is_taken_is_refused(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = cli("serve", "smoke", "--port", taken.getsockname()[1])
    assert (code, "choose another --port" in " ".join(err.split())) == (2, True)


def test_without_the_extra_the_command_says_what_to_install(cli, monkeypatch):
    import debate.serving.server

    monkeypatch.delattr(debate.serving, "server")
    monkeypatch.delitem(sys.modules, "debate.serving.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, err = cli("serve", "smoke")
    assert code == 2
    assert "pip install 'cipher-debate[serve]'" in " ".join(err.split())
