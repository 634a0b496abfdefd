"""The viewer's server: who is let in, what it answers, and that it says when a run grows."""

import json
import socket
import subprocess
import sys

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient
from support.viewer_runs import made_run, write_debate

from evals.sample import Sample
from evals.viewer.access import PageAccess
from evals.viewer.report import report_apart
from evals.viewer.server import Viewer, serving


@pytest.fixture
def viewer(played):
    made = Viewer([played])
    yield made
    made.close()


def client(viewer, *, token=True):
    made = TestClient(viewer.app, base_url=f"http://127.0.0.1:{viewer.port}", follow_redirects=False)
    if token:
        made.cookies.set(viewer.access.cookie, viewer.access.token)
    return made


def test_nobody_is_let_in_without_the_token(viewer):
    stranger = client(viewer, token=False)
    for path in ("/", "/viewer.js", "/api/runs", "/api/run?run=played", "/api/events?run=played", "/none"):
        answer = stranger.get(path)
        assert answer.status_code == 403, path
        assert "needs its token" in answer.text
    assert stranger.get("/?token=wrong").status_code == 403
    assert stranger.get("/", headers={"authorization": f"Bearer {viewer.access.token}"}).status_code == 200


def test_the_address_gives_the_cookie_and_leaves_the_token_behind(viewer):
    answer = client(viewer, token=False).get(f"/?token={viewer.access.token}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert viewer.url.endswith(f"/?token={viewer.access.token}")


def test_a_name_that_only_points_here_and_writing_are_refused(viewer):
    known = client(viewer)
    assert known.get("/api/runs", headers={"host": f"evil.example:{viewer.port}"}).status_code == 421
    assert known.get("/api/runs", headers={"host": "127.0.0.1.evil.example"}).status_code == 421
    assert known.get("/api/runs", headers={"host": f"localhost:{viewer.port}"}).status_code == 200
    assert known.post("/api/runs").status_code == 405
    assert known.delete("/").status_code == 405


def test_a_head_without_an_end_is_cut_off(viewer):
    """By the parser of `debate serve`; the other one, which may be installed, would keep all of it."""

    def send(connection):
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for number in range(3_000):
            connection.sendall(b"X-%d: %s\r\n" % (number, b"a" * 10_000))

    with serving(viewer), socket.create_connection(("127.0.0.1", viewer.port), timeout=10) as connection:
        with pytest.raises(ConnectionError):
            send(connection)
        assert client(viewer).get("/api/runs").status_code == 200


def test_every_answer_has_the_headers(viewer):
    for path in ("/", "/viewer.js", "/viewer.css", "/api/runs", "/api/none"):
        headers = client(viewer).get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'"), path
        assert "require-trusted-types-for 'script'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"


def test_it_answers_what_is_asked_and_says_what_is_wrong(viewer):
    known = client(viewer)
    (line,) = known.get("/api/runs").json()["runs"]
    assert (line["name"], line["state"], line["task"]) == ("played", "finished", "arithmetic")
    run = known.get("/api/run", params={"run": "played"}).json()
    question = run["questions"][0]["id"]
    asked = {"run": "played", "method": "cipher", "question": question}
    assert len(known.get("/api/debate", params=asked).json()["turns"]) == 6
    message = known.get("/api/message", params={**asked, "round": 1, "agent": "ada"}).json()
    assert message["prompt"]["exact"] is True
    assert known.get("/api/report", params={"run": "played"}).json()["blocks"][0]["kind"] == "heading"
    wrong = known.get("/api/debate", params={**asked, "question": "none"})
    assert wrong.status_code == 404
    assert "has no debate" in wrong.json()["error"]
    assert "Open one of: played" in known.get("/api/run", params={"run": "../secret"}).json()["error"]
    assert known.get("/api/message", params={**asked, "round": "x", "agent": "ada"}).status_code == 400
    assert known.get("/api/debate").status_code == 400


def test_a_damaged_run_is_told_among_the_others(tmp_path, played):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(played, broken)
    data = bytearray((broken / "journal.log").read_bytes())
    data[200] ^= 1
    (broken / "journal.log").write_bytes(data)
    viewer = Viewer([played, broken])
    lines = {line["name"]: line for line in client(viewer).get("/api/runs").json()["runs"]}
    assert lines["broken"]["state"] == "damaged"
    assert lines["played"]["state"] == "finished"
    viewer.close()


def test_a_run_that_grows_is_told_until_it_is_over(tmp_path):
    import threading

    with made_run(tmp_path / "run", questions=2, finish=False) as folder:
        viewer = Viewer([tmp_path / "run"])
        known = client(viewer)
        version = known.get("/api/run", params={"run": "run"}).json()["version"]

        def go_on():
            write_debate(folder, "text", Sample("q00009", "What is 9+9?", "18"), 3)
            folder.finish({})
            folder.close()

        timer = threading.Timer(0.3, go_on)
        timer.start()
        # The stream ends by itself when the run does.
        stream = known.get("/api/events", params={"run": "run"}).text
        timer.join()
    events = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]
    assert events[0]["state"] == "running"
    assert events[-1]["over"] is True
    assert events[-1]["state"] == "finished"
    assert len(events) < 12, "it is told of what changed, not asked all the time"
    change = known.get("/api/run", params={"run": "run", "since": version}).json()
    assert "q00009" in change["cells"]["text"]
    viewer.close()


def test_tokens_are_compared_whole():
    access = PageAccess(80, "secret")
    assert access.knows("secret")
    assert not access.knows("secre")
    assert not access.knows("")
    assert not access.knows(None)
    assert not access.knows("secret\udc00")
    assert access.is_called_rightly("127.0.0.1")
    assert access.is_called_rightly("[::1]:80")
    assert not access.is_called_rightly(None)
    assert "secret" not in repr(access)


LOOKS = """
import sys
from pathlib import Path
from debate.transcript import TurnKey
from evals.viewer.report import report_apart
from evals.viewer.server import Viewer

viewer = Viewer([Path(sys.argv[1])])
view = viewer.open_first()
view.warm()
for method in ("text", "cipher"):
    question = view.index.questions()[0]
    assert view.debate(method, question)["turns"]
    assert view.message(method, question, TurnKey(2, "ada"))["prompt"]["turns"]
viewer.close()
print(*sorted({"torch", "transformers", "scipy", "pandas", "ray"} & set(sys.modules)))
"""


def test_what_is_looked_at_needs_neither_torch_nor_statistics(played):
    """They are 200 and 100 MB of memory, and most of a second each."""
    done = subprocess.run([sys.executable, "-c", LOOKS, str(played)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


def test_a_report_that_cannot_be_made_says_so(played, tmp_path, monkeypatch):
    assert "No report yet: " in report_apart(tmp_path)[0]["text"]
    monkeypatch.setattr(sys, "executable", "false")
    (said,) = report_apart(played)
    assert said["text"].startswith("No report: the process that makes it ended with 1.")
