"""The viewer in a real browser: every view on real runs, a live one, hostile ones, a phone, the keyboard, axe's rules."""

import io
import json

import pytest
from support.browser import route
from support.viewer_runs import config_of, hostile_run, made_run, play, question_of, write_debate, write_turn

from agents.question import Question
from debate.transcript import TurnKey
from evals.sample import Sample
from evals.viewer.export import write_export
from evals.viewer.run_view import RunView

TEAM = ("ada", "ben", "cyd", "dan", "eve", "fay")
RIGHT, DOWN, ESCAPE, TAB = "\ue014", "\ue015", "\ue00c", "\ue004"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, played):
    """The runs that are looked at: small, with six agents, hostile, and interrupted."""
    root = tmp_path_factory.mktemp("runs")
    team = config_of(agents={name: {"temperature": 0.2} for name in TEAM}, topology="ring", rounds=2)
    play(root / "team", team, ["text", "cipher"], limit=2)
    hostile_run(root / "hostile")
    with made_run(root / "many", questions=130, methods=("text", "other")):
        pass
    with made_run(root / "killed", questions=1, finish=False) as folder:
        sample = Sample("q00007", "What is 7+7?", "14")
        folder.method("text").begin(Question(sample.id, sample.question))
        write_turn(folder, "text", sample, TurnKey(1, "ada"), 0, right=True)
    return [played, *(root / name for name in ("team", "hostile", "many", "killed"))]


@pytest.fixture(scope="module")
def url(runs):
    from evals.viewer.server import Viewer, serving

    with serving(Viewer(runs)) as viewer:
        yield viewer.url


def quiet(browser):
    """Return what the console complains of: nothing, where the page runs only what it should."""
    return browser.complaints()


def test_the_questions_are_those_of_the_results(browser, url, played):
    browser.open(url)
    assert "token" not in browser.js("return location.href")
    browser.go(route("played"))
    results = json.loads((played / "results.json").read_text())["methods"]
    for place, (name, row) in enumerate(results.items()):
        assert f"{row['correct']} of {row['total']} right" in browser.text(f"#score-{place}"), name
    assert len(browser.all("tbody tr")) == 6
    cells = browser.all("tbody .chip.right")
    assert len(cells) == sum(row["correct"] for row in results.values())
    assert quiet(browser) == []


def test_filters_orders_and_pages_stand_in_the_address(browser, url):
    browser.open(url)
    browser.go(route("many"))
    assert browser.text(".count") == "130 questions"
    assert len(browser.all("tbody tr")) == 100
    browser.js("document.getElementById('page-after').click()")
    browser.until(lambda: len(browser.all("tbody tr")) == 30, "the second page")
    assert "page=1" in browser.js("return location.hash")
    browser.go(route("many", sort="changed"))
    # Every third question is one in which nobody changed: those are last.
    assert "▲2" in browser.text("tbody tr:first-child")
    browser.go(route("many", changed="won", method="text"))
    assert browser.text(".count") == "86 of 130 questions"
    search = browser.wait("#filter-text")
    search.send_keys("What is 17+")
    browser.until(lambda: browser.text(".count") == "1 of 130 questions", "one question")
    assert browser.js("return document.activeElement.id") == "filter-text"
    browser.go(route("many", verdict="incorrect"))
    assert "No question is like that" in browser.text("main")
    assert quiet(browser) == []


def test_a_debate_shows_who_heard_whom_and_who_changed_whose_mind(browser, url):
    browser.open(url)
    browser.go(route("many", "debate", "text", "q00001"))
    assert len(browser.all(".lane")) == 6
    assert len(browser.all(".lane.right")) == 5
    assert browser.text(".decision").startswith("Decision: ✓ 2 (right) right. Why: ada has the lowest temperature")
    browser.until(lambda: len(browser.all("svg.edges .edge")) == 4, "faint edges")
    browser.js("document.querySelectorAll('.lane')[4].focus()")
    browser.until(lambda: len(browser.all("svg.edges .edge.on.text")) == 1, "the edge that fed it")
    assert "ben, round 2, heard ada (round 1) as text." in browser.text(".heard")
    (change,) = browser.all(".minds > li")
    assert "wrong → right" in change.text
    assert "It took the answer of ada (heard as text)." in change.text
    change.find_element("css selector", "summary").click()
    assert browser.text(".minds del") == "7"
    browser.press("n")
    browser.until(lambda: "q00002" in browser.text("#title"), "the next question")
    assert quiet(browser) == []


def test_more_than_four_agents_have_their_topology_drawn_beside(browser, url, runs):
    browser.open(url)
    browser.go(route("team", "debate", "cipher", question_of(runs[1])))
    assert len(browser.all(".topology .node")) == 6
    assert len(browser.all(".topology .edge")) == 12
    browser.js("document.getElementById('turn-2-0').focus()")
    browser.until(lambda: len(browser.all(".topology.lit .edge.on")) == 2, "edges of ada")
    assert "as CIPHER vectors" in browser.text(".heard")


def test_a_message_is_read_word_by_word(browser, url, played):
    question = question_of(played)
    browser.open(url + route("played", "debate", "cipher", question, 2, "ada"))
    browser.wait(".message")
    shown = RunView(played).message("cipher", question, TurnKey(2, "ada"))
    words = browser.all(".word")
    assert len(words) == len(shown["nearest"])
    browser.js("arguments[0].focus()", words[0])
    browser.press(RIGHT)
    assert "position 2 of" in browser.text(".card")
    assert len(browser.all(".alternatives li")) == len(shown["top"][1])
    assert f"{shown['entropy'][1]:.3f} nats" in browser.text(".card")
    # The less sure a word, the stronger its shade.
    shades = [float(browser.js("return arguments[0].style.getPropertyValue('--shade')", word)[:-1]) for word in words]
    assert sorted(range(len(shades)), key=shades.__getitem__)[-1] in (
        place for place, value in enumerate(shown["entropy"]) if value == max(shown["entropy"])
    )
    assert "Rendered from the prompt files that the run read." in browser.text(".message")
    slots = [slot.text for slot in browser.all(".slot summary")]
    assert any(slot.startswith("⟦ada's own, round 1: as CIPHER vectors") for slot in slots)
    assert any(slot.startswith("⟦ben, round 1: as CIPHER vectors") for slot in slots)
    facts = browser.text(".message > .facts")
    for part in ("temperature0.2", "seed", "from the cache", "generated", "ended by"):
        assert part in facts
    browser.go(route("played", "debate", "text", question, 1, "ada"))
    assert browser.all(".word") == []
    assert "The message" in browser.text(".message")


def test_two_methods_and_two_runs_side_by_side(browser, url, played):
    question = question_of(played)
    browser.open(url)
    browser.go(route("played", "compare", question, a="text", b="cipher"))
    assert "They first differ in round 1, at ada" in browser.text(".decision")
    assert len(browser.all(".pair")) == 6
    browser.go(route("many", "compare", "q00001", a="text", b="other"))
    assert "They say the same, word for word." in browser.text(".decision")
    browser.go(route("many", "compare", "q00001", a="text", b=json.dumps(["team", "text"], separators=(",", ":"))))
    assert "has no debate of 'text' over 'q00001'" in browser.text(".warning")
    # The console tells of the answer 404.
    assert len(quiet(browser)) == 1


def test_the_report_has_one_colour_a_method_and_charts_that_can_be_read_and_saved(browser, url):
    browser.open(url)
    browser.go(route("played", "report"))
    browser.wait("svg.chart")
    colours = browser.js(
        """const found = {};
        for (const figure of document.querySelectorAll('figure')) {
          for (const item of figure.querySelectorAll('.legend li')) {
            const name = item.textContent.replace(/ \\(ECE.*/, '');
            const colour = getComputedStyle(item.querySelector('line')).stroke;
            (found[name] ??= new Set()).add(colour);
          }
        }
        for (const row of document.querySelectorAll('tbody th .method')) {
          const swatch = getComputedStyle(row.querySelector('.swatch')).backgroundColor;
          if (found[row.textContent]) found[row.textContent].add(swatch);
        }
        return Object.fromEntries(Object.entries(found).map(([name, all]) => [name, [...all]]))"""
    )
    assert set(colours) >= {"text", "cipher"}
    assert all(len(found) == 1 for found in colours.values())
    assert len({found[0] for found in colours.values()}) == len(colours)
    browser.js("document.querySelector('svg.chart').focus()")
    browser.press(RIGHT)
    assert "round 1, accuracy, %" in browser.text(".tip")
    browser.press(ESCAPE)
    assert browser.js("return document.querySelector('.tip').hidden")
    picture = browser.js(
        """const found = [];
        const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => { found.push(blob); return make.call(URL, blob); };
        document.querySelector('button[aria-label$="as SVG"]').click();
        URL.createObjectURL = make;
        return found[0].text()"""
    )
    assert picture.startswith("<svg ")
    assert ' xmlns="http://www.w3.org/2000/svg"' in picture
    assert "var(" not in picture
    assert quiet(browser) == []


def test_a_line_of_a_chart_has_its_methods_colour_on_the_screen(browser, url):
    from PIL import Image

    browser.open(url)
    browser.go(route("played", "report"))
    browser.wait("svg.chart")
    browser.js("document.querySelector('svg.chart').scrollIntoView({block: 'center'})")
    picture = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")
    seen = {colour for count, colour in picture.getcolors(1 << 20) if count > 20}
    # --m1 and --m2: single is no debate, and is not in this chart.
    assert {(0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)} <= seen


def test_a_run_under_way_grows_while_it_is_looked_at(browser, tmp_path):
    from evals.viewer.server import Viewer, serving

    sample = Sample("q00008", "What is 8+8?", "16")
    with made_run(tmp_path / "run", questions=1, finish=False) as folder, serving(Viewer([tmp_path / "run"])) as viewer:
        browser.open(viewer.url)
        browser.until(lambda: browser.text(".live") == "● live", "the mark of a live run")
        folder.method("text").begin(Question(sample.id, sample.question))
        browser.until(lambda: len(browser.all("tbody tr")) == 2, "the new question")
        browser.go(route("run", "debate", "text", "q00008"))
        assert browser.text(".decision").startswith("Not decided yet.")
        viewer.say("run", "q00008", TurnKey(1, "ada"), "I am thi")
        browser.until(lambda: "I am thi" in browser.text(".lane.open"), "the beginning of a message")
        viewer.say("run", "q00008", TurnKey(1, "ada"), "I am thinking")
        browser.until(lambda: "I am thinking" in browser.text(".lane.open"), "more of the message")
        write_turn(folder, "text", sample, TurnKey(1, "ada"), 0, right=True)
        browser.until(lambda: len(browser.all("a.lane")) == 1, "the turn")
        assert browser.all("div.lane.open") == []
        write_debate(folder, "text", Sample("q00009", "What is 9+9?", "18"), 3)
        folder.finish({})
        folder.close()
        browser.until(lambda: browser.text(".live") == "", "the end of the run")


def test_an_interrupted_run_says_so_and_shows_what_there_is(browser, url):
    browser.open(url)
    browser.go(route("killed"))
    assert "its process is gone" in browser.text("main") or "killed" in browser.text("main")
    browser.go(route("killed", "debate", "text", "q00007"))
    assert browser.text(".decision").startswith("Not decided yet.")
    assert len(browser.all("a.lane")) == 1


def assert_harmless(browser):
    assert browser.js("return window.pwned ?? null") is None
    assert browser.js("return document.title") != "pwned"
    assert browser.all("main b, main img, main i, main script, main iframe, main form[action]") == []
    assert browser.js("return [...document.querySelectorAll('a')].every(a => a.getAttribute('href').startsWith('#'))")
    assert quiet(browser) == []


@pytest.mark.parametrize("way", ["served", "exported"])
def test_hostile_texts_are_shown_and_run_nothing(browser, url, runs, way, tmp_path):
    run = runs[2]
    start = url
    if way == "exported":
        write_export({"hostile": RunView(run)}, tmp_path / "page.html")
        start = (tmp_path / "page.html").as_uri()
    browser.open(start)
    browser.go(route("hostile"))
    assert "<script>document.title='pwned'" in browser.text("main")
    assert "⟨U+202E⟩" in browser.text("main")
    assert "⟨U+001B⟩[31mred" in browser.text("main")
    assert_harmless(browser)
    view = RunView(run)
    for question in view.index.questions():
        browser.go(route("hostile", "debate", "<script>alert(1)", question))
        assert_harmless(browser)
        assert browser.js("return document.documentElement.scrollWidth <= innerWidth + 1"), question[:40]
    browser.go(route("hostile", "debate", "plain", question, 1, "ada"))
    browser.wait(".message")
    assert "<script>document.title='pwned'" in browser.text(".message")
    browser.go(route("hostile", "report"))
    assert_harmless(browser)
    for wrong in ("#/<img src=x onerror=pwned=1>", "#/%E0%A4%A", "#/hostile/debate/x/y", "#/hostile/compare/none"):
        browser.go(wrong)
        # The console tells of answers 404.
        assert all("404" in line for line in quiet(browser))
        assert_harmless(browser)


def test_a_deep_link_into_an_exported_page_needs_no_network(browser, played, tmp_path):
    write_export({"played": RunView(played)}, tmp_path / "page.html")
    page = (tmp_path / "page.html").as_uri()
    question = question_of(played)
    browser.open(page + route("played", "debate", "cipher", question, 2, "ben"))
    browser.wait(".word")
    browser.go(route("played", "report"))
    browser.wait("svg.chart")
    browser.go(route("played"))
    assert len(browser.all("tbody tr")) == 6
    assert browser.js("return performance.getEntriesByType('resource').length") == 0
    assert quiet(browser) == []


def test_what_a_budget_cut_is_said_on_the_page(browser, runs, tmp_path):
    made = write_export({"many": RunView(runs[3])}, tmp_path / "page.html", budget=20_000)
    browser.open((tmp_path / "page.html").as_uri())
    assert f"This file holds the debates over {made.questions} of 130 questions" in browser.text(".cut")
    browser.go(route("many", sort="tokens", page="1"))
    assert "not in this file" in browser.text("main")
    browser.go(route("many", "debate", "text", "q00000"))
    assert "does not hold the debates over q00000" in browser.text(".warning")


VIEWS = [
    ("played",),
    ("played", "debate", "cipher", None, 2, "ada"),
    ("team", "debate", "text", None),
    ("played", "compare", None),
    ("played", "report"),
    (),
]


def filled(view, runs):
    run = {path.name: path for path in runs}.get(view[0]) if view else None
    return route(*(question_of(run) if part is None else part for part in view))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(browser, url, runs, dark):
    browser.dark(dark)
    browser.open(url)
    for view in VIEWS:
        browser.go(filled(view, runs))
        assert browser.axe() == [], view


def test_a_phone_scrolls_down_and_never_sideways(browser, url, runs):
    browser.size(420)
    browser.open(url)
    for view in VIEWS:
        browser.go(filled(view, runs))
        assert browser.js("return document.documentElement.scrollWidth") <= 420, view
    # Tables scroll by themselves.
    browser.go(route("played", "report"))
    assert browser.js("const box = document.querySelector('.scroll'); return box.scrollWidth > box.clientWidth")


def test_the_keyboard_reaches_a_message_and_comes_back(browser, url):
    browser.open(url)
    browser.go(route("many"))
    browser.press("/")
    assert browser.js("return document.activeElement.id") == "filter-text"
    browser.js("document.querySelector('tbody a').focus()")
    browser.press("\ue007")
    browser.wait(".lanes")
    assert browser.js("return document.activeElement.id") == "title"
    browser.js("document.querySelector('a.lane').focus()")
    browser.press("\ue007")
    browser.wait(".message")
    browser.until(lambda: browser.js("return document.activeElement.id") == "message-title", "the focus on the message")
    browser.js("history.back()")
    browser.until(lambda: browser.all(".message") == [], "the debate again")


def test_the_keyboard_alone_reaches_everything_of_a_message(browser, url, played):
    browser.open(url)
    browser.go(route("played", "debate", "cipher", question_of(played), 2, "ada"))
    browser.wait(".word")
    browser.js(
        "document.activeElement.blur(); window.getSelection().removeAllRanges(); document.querySelector('.skip').focus()"
    )
    assert "Skip to content" in browser.js("return document.activeElement.textContent")
    seen = []
    for _ in range(60):
        browser.press(TAB)
        seen.append(
            browser.js(
                "const one = document.activeElement;"
                "return one.id === 'theme' ? 'theme' : one.className || one.id || one.tagName"
            )
        )
        if seen[-1] == "BODY":
            break
    # One stop for all words, between which arrow keys move.
    assert seen.count("word") == 1
    found = " ".join(seen)
    for stop in ("brand", "theme", "scroll debate-lanes", "lane right", "SUMMARY", "question-after"):
        assert stop in found, (stop, seen)
    assert sum(one.startswith("lane") for one in seen) == 6


def test_mathematics_is_set_and_can_be_read_as_it_is_written(browser, tmp_path):
    from evals.viewer.server import Viewer, serving

    said = r"So $\frac{1}{2} < x$, and it costs $5. Answer: 4"
    run = play(tmp_path / "run", config_of(options={"script": {"": said}}), ["text"], limit=1)
    with serving(Viewer([run])) as viewer:
        browser.open(viewer.url)
        browser.go(route("run", "debate", "text", question_of(run), 1, "ada"))
        browser.wait(".message math")
        assert len(browser.all(".message mfrac")) == 1
        assert "it costs $5." in browser.text(".message")
        (button,) = (one for one in browser.all(".message button") if one.text == "As it is written")
        button.click()
        assert browser.all(".message math") == []
        assert said in browser.text(".message")
        assert quiet(browser) == []


def test_themes_are_chosen_and_kept(browser, url):
    browser.open(url)
    for theme, background in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")):
        browser.all("#theme")[0].click()
        assert browser.text("#theme") == f"Theme: {theme}"
        assert browser.js("return getComputedStyle(document.body).backgroundColor") == background
    browser.open(url)
    assert browser.text("#theme") == "Theme: dark"
    browser.all("#theme")[0].click()
    assert browser.text("#theme") == "Theme: auto"
