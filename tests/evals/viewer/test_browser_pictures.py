"""A picture that agents looked at, in the browser: served, in an exported page, and what only claims to be one."""

import base64
import json

import pytest
import torch
from support.browser import route
from support.viewer_runs import config_of, play

from agents.observation import Image
from evals.sample import Sample
from evals.viewer.export import write_export
from evals.viewer.run_view import RunView
from evals.viewer.server import Viewer, serving

SIZE = "const i = document.querySelector('img.looked-at'); return i && i.complete ? [i.naturalWidth, i.naturalHeight] : null"


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A run of two questions, the first about a picture of 40 x 20 pixels."""
    samples = [
        Sample("seen", "What is in it?", "2", observations=(Image(torch.rand(3, 20, 40)),)),
        Sample("blind", "1+1?", "2"),
    ]
    return play(tmp_path_factory.mktemp("pictured") / "run", config_of(), ["text", "cipher"], samples=samples)


def looks(browser):
    """Hold the page against what was looked at; the question without a picture has none."""
    browser.go(route("run", "debate", "text", "seen"))
    browser.until(lambda: browser.js(SIZE) == [40, 20], "the picture is there")
    assert browser.js("return document.querySelector('img.looked-at').alt") == "The picture that agents looked at"
    browser.go(route("run", "debate", "text", "blind"))
    browser.until(lambda: "1+1?" in browser.text("main"), "the other question is there")
    assert browser.all("img.looked-at") == []
    browser.go(route("run", "compare", "seen", a="text", b="cipher"))
    browser.until(lambda: browser.js(SIZE) == [40, 20], "the picture is there once")
    assert len(browser.all("img.looked-at")) == 1
    assert browser.complaints() == []


def test_a_picture_is_shown_with_its_debate(browser, pictured):
    with serving(Viewer([pictured])) as viewer:
        browser.open(viewer.url)
        looks(browser)
        browser.go(route("run", "debate", "text", "seen"))
        browser.until(lambda: browser.js(SIZE), "the picture is there")
        assert browser.axe() == []


def test_an_exported_page_holds_it(browser, pictured, tmp_path):
    write_export({"run": RunView(pictured)}, tmp_path / "page.html")
    browser.open((tmp_path / "page.html").as_uri())
    looks(browser)


def test_what_only_claims_to_be_a_picture_is_no_element_of_the_page(browser, pictured, tmp_path):
    """Bytes that begin as a PNG does and are none: the browser shows nothing for them, and nothing of them runs or is fetched."""
    run = tmp_path / "run"
    run.mkdir()
    for path in pictured.rglob("*"):
        if path.is_file():
            (run / path.relative_to(pictured)).parent.mkdir(parents=True, exist_ok=True)
            (run / path.relative_to(pictured)).write_bytes(path.read_bytes())
    first, second = map(json.loads, (run / "samples.jsonl").read_text().splitlines())
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x28\0\0\0\x14"
    first["picture"] = base64.b64encode(head + b"<script>window.pwned=1</script>").decode()
    (run / "samples.jsonl").write_text("\n".join(map(json.dumps, (first, second))))
    with serving(Viewer([run])) as viewer:
        browser.open(viewer.url)
        browser.go(route("run", "debate", "text", "seen"))
        browser.until(lambda: browser.js(SIZE) == [0, 0], "a broken picture is there")
        assert browser.js("return window.pwned === undefined")


def test_two_runs_over_other_pictures_show_each_its_own(browser, pictured, tmp_path):
    """Of a run over a picture of another size and one over none; each stands below the name of its run."""
    shown = {"wide": (Image(torch.rand(3, 10, 30)),), "blank": ()}
    runs = [pictured]
    for name, observations in shown.items():
        samples = [Sample("seen", "What is in it?", "2", observations=observations)]
        runs.append(play(tmp_path / name, config_of(), ["text"], samples=samples))
    sizes = (
        "return [...document.querySelectorAll('img.looked-at')].filter((i) => i.complete).map((i) => i.naturalWidth)"
    )
    with serving(Viewer(runs)) as viewer:
        browser.open(viewer.url)
        for name, widths in (("wide", [40, 30]), ("blank", [40])):
            browser.go(route("run", "compare", "seen", a="text", b=json.dumps([name, "text"], separators=(",", ":"))))
            browser.until(lambda widths=widths: browser.js(sizes) == widths, "each run's picture is there")
            assert "do not keep the same picture" in browser.text("main")
            assert ("Looked at in run" in browser.text("main"), f"in {name}" in browser.text("main")) == (True, True)
        assert "No picture is kept in blank" in browser.text("main")
        assert browser.axe() == []
        assert browser.complaints() == []
