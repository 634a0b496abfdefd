"""Real runs in the browser: a mixed topology with two tokenizers and a judge, specialists, experts; and what can be saved."""

import asyncio
import struct
import time

import pytest
from support.browser import route
from support.viewer_runs import config_of, play, question_of

from debate.config.load import load_config
from debate.config.shipped import configs_folder
from debate.runtime.observer import Observer
from debate.transcript import TurnKey
from evals.evaluation import evaluate
from evals.viewer.export import write_export
from evals.viewer.run_view import RunView

ENTER = "\ue007"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return name → a run of five agents with all kinds of edges, one of specialists, and one of experts that was stopped."""
    root = tmp_path_factory.mktemp("real")
    mixed = config_of(
        agents={
            "ada": {"backend": "transformers", "model": "tiny/ada", "prompts": "tiny", "temperature": 0.15},
            "ben": {"temperature": 0.2},
            "cyd": {"temperature": 0.8},
            "dan": {"temperature": 0.5},
            "eve": {"role": "judge", "temperature": 0},
        },
        topology={
            "edges": [
                {"from": ["ada", "ben"], "to": ["ada", "ben"]},
                {"from": "ben", "to": "cyd", "message": "text"},
                {"from": "cyd", "to": "dan", "message": "both"},
                {"from": "dan", "to": "cyd", "seen": "answers"},
                {"from": ["ada", "ben", "cyd", "dan"], "to": "eve", "message": "text"},
            ]
        },
        rounds=2,
        decision="judge",
        min_mapped=0.5,
        max_tokens=40,
        stop=["\n"],
    )
    specialists = load_config(configs_folder() / "specialists" / "functions.yaml")
    experts = load_config(configs_folder() / "debaters" / "experts.yaml")
    return {
        "mixed": play(root / "mixed", mixed, ["cipher"], limit=1),
        "specialists": play(root / "specialists", specialists, ["text", "cipher"], limit=12),
        "experts": interrupted(root / "experts", experts),
    }


class Stop(Observer):
    """Cancels the evaluation when its first debate is decided, as Ctrl-C does."""

    def debate_decided(self, question, decision, score):
        self.task.cancel()


def interrupted(out, config):
    async def run():
        stop = Stop()
        stop.task = asyncio.ensure_future(evaluate(config, out=out, methods=["cipher"], limit=3, observer=stop))
        await stop.task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    return out


@pytest.fixture(scope="module")
def url(runs):
    from evals.viewer.server import Viewer, serving

    with serving(Viewer(list(runs.values()))) as viewer:
        yield viewer.url


def focus(browser, selector):
    browser.js("document.querySelector(arguments[0]).focus()", selector)


def test_a_mixed_topology_shows_each_way_of_hearing(browser, url, runs):
    question = question_of(runs["mixed"])
    browser.open(url)
    browser.go(route("mixed", "debate", "cipher", question))
    assert len(browser.all(".topology circle.node")) == 4
    assert len(browser.all(".topology rect.node")) == 1
    assert browser.text(".graph .legend") == "its answer aloneas vectors and as textas CIPHER vectorsas text"
    said = {}
    for place, name in enumerate(("ada", "ben", "cyd", "dan", "eve")):
        focus(browser, f"#turn-2-{place}")
        browser.until(lambda: browser.all("svg.edges .edge.on"), "edges")
        said[name] = browser.text(".heard")
    assert "heard ben (round 1) as CIPHER vectors, 100 % of the belief mapped" in said["ada"]
    assert "heard ben (round 1) as words" in said["cyd"]
    assert "dan (round 1) its answer alone" in said["cyd"]
    assert "heard cyd (round 1) as vectors and as text" in said["dan"]
    assert said["eve"].count(" as ") == 4
    assert "Why: eve, who judges, said so" in browser.text(".decision")
    assert "judge · mock · T 0 · no vote" in browser.text(".lanes").replace("\u00a0", " ")
    # The picture is drawn again where the window changes, and the edges stay those of the cell that is looked at.
    browser.size(1100)
    browser.until(lambda: len(browser.all("svg.edges .edge.on")) == 4, "edges of eve")
    assert browser.axe() == []
    assert browser.complaints() == []


def test_a_prompt_marks_its_slots_and_opens_them_by_the_keyboard(browser, url, runs):
    question = question_of(runs["mixed"])
    browser.open(url)
    browser.go(route("mixed", "debate", "cipher", question, 2, "ada"))
    browser.wait(".slot")
    assert "Rendered from the prompt files that the run read." in browser.text(".message")
    assert [slot.text for slot in browser.all(".slot summary")] == [
        "⟦ben, round 1: as CIPHER vectors, 100 % of the belief mapped, 32 vectors of 192⟧",
        "⟦ada's own, round 1: as CIPHER vectors, 40 vectors of 192⟧",
    ]
    focus(browser, ".slot summary")
    browser.press(ENTER)
    spoken = RunView(runs["mixed"]).debate("cipher", question)["turns"][1]["text"]
    assert browser.all(".slot")[0].get_attribute("open")
    assert browser.text(".slot div") == spoken
    # The model is on this machine: distances are known.
    assert "(cosine)" in browser.text(".card")
    assert browser.axe() == []


def test_specialists_are_named_by_what_they_are(browser, url, runs):
    question = question_of(runs["specialists"])
    browser.open(url)
    browser.go(route("specialists", "debate", "cipher", question, 2, "ada"))
    browser.wait(".message")
    assert browser.text(".lanes").count("discrete_functions") == 3
    assert "A specialist reads the question's observations, and no prompt." in browser.text(".message")
    assert "no vectors: beliefs alone" in browser.text(".card")
    # A long question is scrolled to its end, where it asks.
    box = browser.js(
        "const box = document.querySelector('.question'); return [box.scrollTop, box.clientHeight, box.scrollHeight]"
    )
    assert 0 < box[0] >= box[2] - box[1] - 2
    assert browser.axe() == []


def test_the_report_of_beliefs_has_the_drift_of_belief(browser, url):
    browser.open(url)
    browser.go(route("specialists", "report"))
    titles = browser.js("return [...document.querySelectorAll('figure h4')].map(title => title.textContent)")
    assert titles[-1] == "Drift of belief"
    focus(browser, "figure:last-of-type svg.chart")
    browser.press("\ue014")
    assert "cipher: round 2, total variation 0." in browser.js(
        "return [...document.querySelectorAll('.tip')].at(-1).textContent"
    )
    assert browser.js("return document.querySelectorAll('figure:last-of-type .legend li').length") == 1


def test_a_chart_is_saved_as_a_picture(browser, url, tmp_path):
    browser.open(url)
    browser.driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.go(route("specialists", "report"))
    browser.wait("svg.chart")
    box = browser.js("const box = document.querySelector('svg.chart').viewBox.baseVal; return [box.width, box.height]")
    browser.js("document.querySelector('button[aria-label$=\"as PNG\"]').click()")
    end = time.monotonic() + 20
    while not (found := list(tmp_path.glob("*.png"))):
        assert time.monotonic() < end, list(tmp_path.iterdir())
        time.sleep(0.05)
    (path,) = found
    data = path.read_bytes()
    assert path.name == "accuracy-by-round.png"
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == tuple(2 * side for side in box)
    from PIL import Image

    colours = {colour for count, colour in Image.open(path).convert("RGB").getcolors(1 << 20) if count > 50}
    # The paper, and the colours of the two methods.
    assert {(255, 255, 255), (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours
    assert browser.complaints() == []


def test_experts_that_were_stopped_are_shown_as_far_as_they_got(browser, url, runs):
    browser.open(url)
    browser.go(route("experts"))
    assert "The run is interrupted" in browser.text("main")
    view = RunView(runs["experts"])
    cells = {one: view.index.cell("cipher", one) for one in view.index.questions()}
    assert sum(cell.is_over for cell in cells.values()) >= 1
    assert len(browser.all("tbody tr")) == len(cells)
    decided = next(one for one, cell in cells.items() if cell.is_over)
    browser.go(route("experts", "debate", "cipher", decided, 1, "ivy"))
    browser.wait(".word")
    records, _ = view.index.records("cipher", decided)
    shown = view.message("cipher", decided, TurnKey(1, "ivy"))
    assert len(browser.all(".word")) == len(shown["nearest"]) == records[0]["usage"]["generated_tokens"] - 1
    assert shown["distance"] is not None
    assert browser.axe() == []
    assert browser.complaints() == []


def test_an_export_of_the_three_holds_them_all(browser, runs, tmp_path):
    write_export({name: RunView(path) for name, path in runs.items()}, tmp_path / "page.html")
    browser.open((tmp_path / "page.html").as_uri())
    assert [line.text for line in browser.all("tbody th")] == ["mixed", "specialists", "experts"]
    browser.go(route("mixed", "debate", "cipher", question_of(runs["mixed"]), 1, "ben"))
    browser.wait(".word")
    browser.go(route("specialists", "report"))
    browser.wait("svg.chart")
    assert browser.js("return performance.getEntriesByType('resource').length") == 0
    assert browser.complaints() == []
