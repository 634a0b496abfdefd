"""A run as one file: nothing fetched, nothing that a run says is markup, and a budget that is kept and said."""

import base64
import gzip
import json
import re
import sys
from html.parser import HTMLParser

import pytest
from support.viewer_runs import hostile_run

from evals.viewer.export import write_export
from evals.viewer.page import SCRIPT, static
from evals.viewer.run_view import RunView


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched, self.policy, self.content, self._in = [], [], "", "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self._in = given.get("id", "")
        self.fetched += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "poster") and v != "data:,"]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        if self._in == "content":
            self.content += data


def exported(run, path, **how):
    made = write_export({run.name: RunView(run)}, path, **how)
    page = Page(path.read_text(encoding="utf-8"))
    return made, page, json.loads(page.content)


def test_the_page_is_one_file_that_runs_its_own_script_alone(played, tmp_path):
    made, page, content = exported(played, tmp_path / "page.html")
    assert page.fetched == []
    assert page.tags.count("script") == 2
    assert not {"img", "iframe", "object", "embed", "form"} & set(page.tags)
    assert page.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'none'" in page.policy
    assert "require-trusted-types-for 'script'" in page.policy
    assert "unsafe" not in page.policy
    assert content["cut"] == ""
    assert made.sentence == "Every debate is in it, with every message."
    assert made.size == (tmp_path / "page.html").stat().st_size


def test_its_debates_and_messages_are_the_viewers(played, tmp_path):
    _, _, content = exported(played, tmp_path / "page.html")
    view = RunView(played)
    for question, packed in content["chunks"]["played"].items():
        chunk = json.loads(gzip.decompress(base64.b64decode(packed)))
        for method, debate in chunk["debates"].items():
            assert debate == json.loads(json.dumps(view.debate(method, question)))
            assert len(chunk["messages"][method]) == len(debate["turns"])
    assert {one["kind"] for one in content["reports"]["played"]} >= {"table", "chart", "list", "debate"}


def test_the_same_run_gives_the_same_bytes(played, tmp_path):
    exported(played, tmp_path / "a.html")
    exported(played, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_budget_cuts_words_first_then_questions_and_says_so(played, tmp_path):
    whole, _, content = exported(played, tmp_path / "whole.html")
    full = sum(len(packed) for packed in content["chunks"]["played"].values())
    less, _, content = exported(played, tmp_path / "less.html", budget=int(0.8 * full), reports={"played": []})
    assert less.questions == whole.questions == less.total
    assert 0 < less.detailed < less.questions
    assert content["cut"].startswith(
        f"It has what CIPHER words were made of for {less.detailed} of {less.total} questions"
    )
    least, _, content = exported(played, tmp_path / "least.html", budget=int(0.2 * full), reports={"played": []})
    assert 0 < least.questions < least.total
    assert content["cut"].startswith(f"This file holds the debates over {least.questions} of {least.total} questions")
    assert "`debate view RUN` shows everything" in content["cut"]
    assert sum(len(packed) for packed in content["chunks"]["played"].values()) <= 0.2 * full
    # The table has every question all the same.
    assert len(content["runs"]["played"]["questions"]) == least.total


def test_hostile_runs_stay_inside_the_json_element(tmp_path):
    run = hostile_run(tmp_path / "hostile")
    _, page, content = exported(run, tmp_path / "page.html")
    assert page.tags.count("script") == 2
    assert "<" not in page.content
    texts = [question["text"] for question in content["runs"]["hostile"]["questions"]]
    assert any("<script>document.title='pwned'" in text for text in texts)


def test_the_script_parses_no_string_as_markup():
    script = static(SCRIPT)
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "http-equiv",
    ):
        assert way not in script
    assert "</script" not in script
    assert "<!--" not in script
    # Names of XML's languages are addresses, and nothing fetches them.
    assert set(re.findall(r"https?://[\w./]+", script)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1998/Math/MathML",
        "http://www.w3.org/1999/xhtml",
    }


def test_the_command_writes_it(played, tmp_path, capsys, monkeypatch):
    from debate.cli import main

    monkeypatch.setattr(sys, "argv", ["debate", "view", str(played), "--export", str(tmp_path / "page.html")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "Every debate is in it, with every message." in " ".join(said.split())
    assert (tmp_path / "page.html").is_file()
