"""A session: its answers, where an event loop runs already, in a notebook's kernel, and as HTML and tables."""

import asyncio
import re
import threading
from html.parser import HTMLParser

import pandas
import pytest

from agents.errors import DebateError
from agents.question import Question
from debate import Answer, DebateSession
from debate.config.load import validate
from debate.decision.decision import Decision
from debate.runtime.loop_thread import LoopThread
from debate.transcript import Transcript
from evals import evaluate, evaluate_sync

SUM = "What is the result of 3+4*5+6-2*7?"
RAW = {"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "rounds": 2}
ATTACK = "<script>alert('x')</script> & \"quotes\" <img src=x onerror=y>"


def test_an_answer_is_what_the_task_reads():
    with DebateSession("smoke") as session:
        found = session(SUM)
    assert re.fullmatch(r"-?\d+", found.answer)
    assert found.answer == found.decision.answer
    with DebateSession("smoke", extract=lambda response: response[:3]) as session:
        assert session(SUM).answer == session(SUM, id="again").transcript.last_of("ada").message.text[:3]


def test_a_memory_of_earlier_questions_is_refused_where_each_is_asked_by_itself():
    remembering = validate({**RAW, "agents": {"ada": {"memory": "questions"}, "ben": {}}}, source="x")
    with DebateSession(remembering) as session, pytest.raises(DebateError, match="here each is asked by itself"):
        session(SUM)


def test_a_session_works_inside_a_running_loop_and_beside_it():
    async def inside():
        # A blocking call, as in a cell, then two awaited at once.
        with DebateSession("smoke") as session:
            first = session(SUM, id="q")
            both = await asyncio.gather(session.ask(SUM, id="q"), session.ask("What is the result of 1+1*2+3-4*1?"))
        async with DebateSession("smoke") as session:
            return first, *both, await session.ask(SUM, id="q")

    first, again, other, later = asyncio.run(inside())
    with DebateSession("smoke") as session:
        outside = session(SUM, id="q")
    assert first.transcript == again.transcript == later.transcript == outside.transcript
    assert other.transcript.question.id == "question-1"


def test_the_callers_loop_is_free_while_a_debate_is_awaited():
    async def inside():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        async with DebateSession("smoke") as session:
            ticking = asyncio.create_task(tick())
            await session.ask(SUM)
            ticking.cancel()
        return ticks

    assert asyncio.run(inside()) > 1


def test_evaluations_work_inside_a_running_loop(tmp_path):
    async def inside():
        rows = evaluate_sync("smoke", out=tmp_path / "sync", limit=2, methods=["text"])
        config = validate({**RAW, "methods": {"text": {}}}, source="x")
        return rows, await evaluate(config, out=tmp_path / "awaited", limit=2, methods=["text"])

    rows, awaited = asyncio.run(inside())
    assert [(row.method, row.total) for row in (*rows, *awaited)] == [("text", 2), ("text", 2)]
    frame = pandas.read_parquet(_with_outputs(tmp_path / "sync"))
    assert len(frame) == 2 * 2 * 3
    assert set(frame["agent"]) == {"ada", "ben"}


def _with_outputs(folder):
    from evals import write_outputs

    write_outputs(folder)
    return folder / "turns.parquet"


def test_mistakes_reach_the_caller_and_a_closed_session_says_so():
    before = set(threading.enumerate())
    with pytest.raises(DebateError, match="unknown task"):
        DebateSession(validate({**RAW, "task": "arithmatic"}, source="x"))
    session = DebateSession(validate({**RAW, "topology": "rng"}, source="x"))
    with pytest.raises(DebateError, match="Did you mean 'ring'"):
        session(SUM)
    session.close()
    session.close()
    with pytest.raises(RuntimeError, match="closed"):
        session(SUM)
    # Others of this process may have sessions of their own.
    assert not {thread for thread in threading.enumerate() if thread.name == "debate"} - before


def test_cancelling_an_awaited_call_cancels_what_it_waits_for():
    ended = threading.Event()

    async def forever():
        try:
            await asyncio.sleep(1000)
        finally:
            ended.set()

    async def inside(loop):
        waiting = asyncio.create_task(loop.wait(forever()))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with LoopThread() as loop:
        asyncio.run(inside(loop))
        assert ended.wait(5)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.attributes = set(), "", set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def test_a_debate_is_shown_as_html_with_everything_in_it_escaped():
    with DebateSession("smoke") as session:
        found = session(ATTACK)
    said = Answer(Decision(ATTACK, ATTACK, {}), found.transcript)
    page = Tags()
    page.feed(said._repr_html_())
    assert page.tags == {"p", "table", "thead", "tbody", "tr", "th", "td", "bdi", "b"}
    assert page.attributes == {"style"}
    assert page.text.count(ATTACK) == 3
    for turn in found.turns:
        assert turn["text"].strip() in page.text
    empty = Answer(Decision(None, "nobody spoke", {}), Transcript(Question("q", "?"), ()))
    assert "no answer" in empty._repr_html_()


def test_pandas_reads_the_turns_of_an_answer_in_one_line():
    with DebateSession("smoke") as session:
        frame = pandas.DataFrame(session(SUM).turns)
    assert list(frame["round"]) == [1, 1, 2, 2, 3, 3]
    assert list(frame["agent"]) == ["ada", "ben"] * 3
    assert frame["heard"][2] == ["1/ben"]
    assert frame["generated_tokens"].gt(0).all()


@pytest.fixture(scope="module")
def kernel():
    """A notebook's kernel, as Jupyter starts it."""
    manager = pytest.importorskip("jupyter_client.manager", reason="needs ipykernel and jupyter_client")
    pytest.importorskip("ipykernel")
    started, client = manager.start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    started.shutdown_kernel(now=True)


def cell(kernel, code):
    """Run a cell; return what it displays and prints, or fail with its traceback."""
    shown = {}

    def keep(message):
        content = message["content"]
        match message["msg_type"]:
            case "execute_result" | "display_data":
                shown.update(content["data"])
            case "stream":
                shown[content["name"]] = shown.get(content["name"], "") + content["text"]
            case "error":
                shown["error"] = "\n".join(content["traceback"])

    reply = kernel.execute_interactive(code, output_hook=keep, timeout=120, allow_stdin=False)
    assert reply["content"]["status"] == "ok", shown.get("error")
    return shown


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_cells_of_a_notebook_run_in_a_real_kernel(kernel, tmp_path):
    shown = cell(kernel, f"from debate import DebateSession\nsession = DebateSession('smoke')\nsession({SUM!r})")
    assert "<table>" in shown["text/html"]
    assert cell(kernel, f"print((await session.ask({SUM!r})).answer)")["stdout"].strip().lstrip("-").isdigit()
    cell(kernel, "session.close()")
    cell(kernel, f"from pathlib import Path\nout = Path({str(tmp_path)!r})")
    done = cell(
        kernel,
        "from debate import load_config\nfrom evals import evaluate, evaluate_sync\n"
        "rows = evaluate_sync('smoke', out=out / 'a', limit=2, methods=['text'])\n"
        "more = await evaluate(load_config('smoke'), out=out / 'b', limit=2, methods=['text'])\n"
        "print(rows[0].total, more[0].total)",
    )
    assert done["stdout"].split() == ["2", "2"]
