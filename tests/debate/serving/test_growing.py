"""Turns that are told while they are said."""

import asyncio
import json

import openai
import pytest
from support.serving import SUM, serving, smoke

from agents.backend import Usage
from agents.message import Message
from agents.registry import create_backend
from debate.config.load import load_config
from debate.serving.debates import Growing, Job
from debate.serving.errors import ApiError
from debate.serving.growing import AGAIN, Floor, GrowingContent, told
from debate.serving.streams import JobStream
from debate.transcript import Turn, TurnKey

USER = [{"role": "user", "content": SUM}]
MODEL = create_backend("mock").fingerprint


def turn(agent, text, round=1):
    return Turn(TurnKey(round, agent), Message(text, MODEL, 0.0), (), 0, Usage(1, 0, 1), "stop")


def grown(agent, text, round=1):
    return Growing(TurnKey(round, agent), text)


def test_one_has_the_floor_and_the_others_stand_whole_behind_it():
    floor = Floor()
    shown = floor.growing(grown("ada", " four"))
    shown += floor.growing(grown("ben", "fi"))
    shown += floor.growing(grown("ada", " four is"))
    shown += floor.said(turn("ben", "five"))
    shown += floor.growing(grown("eve", "six"))
    shown += floor.said(turn("ada", " four is it "))
    assert shown == told(turn("ada", "four is it")) + told(turn("ben", "five")) + "eve, round 1:\nsix"
    shown += floor.growing(grown("eve", "six too"))
    shown += floor.said(turn("eve", "six too"))
    assert shown.endswith(told(turn("ben", "five")) + told(turn("eve", "six too")))
    assert floor.said(turn("ada", "whole", 2)) == told(turn("ada", "whole", 2))


def test_a_turn_that_is_taken_again_and_differs_is_told_again():
    floor = Floor()
    floor.growing(grown("ada", "fo"))
    assert floor.said(turn("ada", "five")) == AGAIN + told(turn("ada", "five"))


def test_what_may_be_cut_or_is_thought_waits():
    content = GrowingContent(["END", "#"])
    assert content.more("on") == ""
    assert content.more("one tw") == "one "
    assert content.more("one two E") == "two"[:3]
    assert content.more("one two END of it") == " "
    assert content.rest("one two ") == ""
    assert GrowingContent([]).more("<thi") == ""
    other = GrowingContent([])
    assert other.more("one") == "one"
    with pytest.raises(ApiError, match="another than was begun"):
        other.rest("two")


def test_an_agent_alone_is_streamed_token_by_token_and_a_debate_as_it_goes_on():
    with serving({"experts": load_config("debaters/experts")}) as served, served.client() as client:
        for model, key in (("experts/ivy", "content"), ("experts", "reasoning")):
            whole = client.chat.completions.create(model=model, messages=USER).choices[0].message
            pieces = {"content": [], "reasoning": []}
            for chunk in client.chat.completions.create(model=model, messages=USER, stream=True):
                delta = chunk.choices[0].delta
                pieces["content"] += [delta.content] if delta.content else []
                pieces["reasoning"] += [more] if (more := (delta.model_extra or {}).get("reasoning")) else []
            assert "".join(pieces["content"]) == whole.content
            said = whole.model_extra.get("reasoning") or ""
            assert sorted("".join(pieces["reasoning"]).split("\n\n")) == sorted(said.split("\n\n"))
            assert len(pieces[key]) > 8
        stopped = client.chat.completions.create(model="experts/ivy", messages=USER, stream=True, stop=["="])
        content = "".join(chunk.choices[0].delta.content or "" for chunk in stopped)
        assert content
        assert "=" not in content
        text = client.completions.create(model="experts/ivy", prompt=SUM)
        streamed = list(client.completions.create(model="experts/ivy", prompt=SUM, stream=True))
        assert "".join(chunk.choices[0].text for chunk in streamed) == text.choices[0].text
        assert len(streamed) > 8


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_what_begins_as_a_stop_of_the_config_does_is_streamed_when_it_is_known_to_be_none(path):
    config = load_config("debaters/experts")
    # A stop that cuts the answer in two, and one that it only begins with.
    body = {"model": "experts/ivy", "prompt": SUM, "messages": USER}
    for key in ("prompt", "messages"):
        if (key == "prompt") != (path == "completions"):
            del body[key]
    with serving({"experts": config}) as served:
        whole = _content(*served.send("POST", f"/v1/{path}", {**body, "stream": True}))
    half = len(whole) // 2
    for stop, said in ((whole[half : half + 6], whole[:half]), (whole[half : half + 6] + "!", whole)):
        with serving({"experts": config.model_copy(update={"stop": (stop,)})}) as served:
            plain = json.loads(served.send("POST", f"/v1/{path}", body)[2])["choices"][0]
            content = plain["text"] if path == "completions" else plain["message"]["content"]
            assert said.startswith(content)
            assert _content(*served.send("POST", f"/v1/{path}", {**body, "stream": True})) == content


def _content(status, _, text):
    assert status == 200
    *events, done = [line.removeprefix("data: ") for line in text.decode().splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    pieces = [choice for one in map(json.loads, events) for choice in one["choices"]]
    return "".join(one.get("text") or one.get("delta", {}).get("content") or "" for one in pieces)


def test_an_answer_that_is_another_than_was_begun_is_an_error_in_the_stream():
    class Other:
        def opening(self):
            return [b"data: begun\n\n"]

        def closing(self, outcome):
            raise ApiError(502, "another than was begun", code="engine_failed")

    async def read():
        job = Job.__new__(Job)
        job.id, job.events = "debate-1", asyncio.Queue()
        job.task = asyncio.get_running_loop().create_future()
        job.task.set_result([None])
        job.events.put_nowait(None)
        stream = JobStream(job, Other(), heartbeat_s=5, send_s=5, report=pytest.fail)
        return [piece async for piece in stream.body_iterator]

    first, last = asyncio.run(read())
    assert first == b"data: begun\n\n"
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "engine_failed"


def test_thoughts_are_no_content_of_a_stream():
    config = smoke(options={"script": {"result": "<think>hm, 14?</think>Answer: 15"}})

    async def ask(served):
        async with served.async_client() as client:
            found = await client.chat.completions.create(model="smoke/ada", messages=USER, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in found])

    with serving({"smoke": config}) as served:
        assert asyncio.run(ask(served)) == "Answer: 15"
        with served.client() as client, pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="no", messages=USER, stream=True)
