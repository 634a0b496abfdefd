"""How quick the viewer is over 2,000 questions × 5 methods × 6 turns, and how large a page of 200 is. For a quiet machine."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.browser import require_browser, started
from support.viewer_runs import config_of, made_run, play

from evals.viewer.export import write_export
from evals.viewer.run_view import RunView

METHODS = ("single", "text", "cipher", "text-alike", "cipher-alike")
FIRST_VIEW_S, DEBATE_S, MOST_MB = 1.0, 0.2, 300

pytestmark = pytest.mark.long


def resident_mb(process):
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def test_a_large_run_is_shown_at_once(tmp_path):
    require_browser()
    with made_run(tmp_path / "large", questions=2000, methods=METHODS):
        pass
    command = [str(Path(sys.executable).with_name("debate")), "view", str(tmp_path / "large"), "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with started(str(tmp_path / "profile")) as browser:
            browser.driver.get("about:blank")
            began = time.monotonic()
            browser.driver.get(url)
            browser.wait("tbody tr", 100)
            first = time.monotonic() - began
            browser.until(lambda: "still being read" not in browser.text("main"), "every answer")
            taken = []
            for place in range(9):
                browser.go("#/large")
                browser.wait("tbody tr", 100)
                browser.js(
                    "window.began = performance.now(); document.querySelectorAll('tbody a')[arguments[0] * 7].click()",
                    place,
                )
                browser.wait(".lane", 6)
                shown = "return performance.getEntriesByName('debate-shown').at(-1).startTime - window.began"
                taken.append(browser.js(shown) / 1000)
            heap = browser.js("return performance.memory.usedJSHeapSize") / 1e6
        memory = resident_mb(server.pid)
    finally:
        server.terminate()
        server.communicate()
    print(f"first view {first:.2f} s; debates {sorted(taken)} s; server {memory:.0f} MB, page {heap:.0f} MB")
    assert first < FIRST_VIEW_S
    assert sorted(taken)[len(taken) // 2] < DEBATE_S
    assert memory < MOST_MB
    assert heap < MOST_MB


def test_an_export_of_200_questions_is_below_its_budget(tmp_path):
    run = play(tmp_path / "run", config_of(), ["single", "text", "cipher"], limit=200)
    made = write_export({"run": RunView(run)}, tmp_path / "page.html")
    print(f"{made.size / 1e6:.1f} MB: {made.sentence}")
    assert made.questions == 200
    assert made.size < 10_000_000
