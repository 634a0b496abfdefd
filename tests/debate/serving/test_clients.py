"""The openai package against a served debate: whole, streamed, many at once, refused; and the same bytes as unserved."""

import asyncio
import json
import threading
from collections import Counter

import openai
import pytest
from support.serving import SUM, asking, serving, smoke, until

from agents.signing import SigningKey
from debate import DebateSession
from debate.config.execution import ExecutionConfig
from debate.config.load import load_config
from debate.run_folder.reader import RunReader
from debate.run_folder.verify import verify_run
from debate.serving.growing import told
from debate.transcript import Transcript
from evals import evaluate_sync
from evals.methods import method_config

IMAGE = [{"type": "image_url", "image_url": {"url": "x"}}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]
USER = [{"role": "user", "content": SUM}]


@pytest.fixture(scope="module")
def served():
    with serving({"smoke": smoke(), "open": smoke(prompts="open")}) as found:
        yield found


@pytest.fixture(scope="module")
def client(served):
    with served.client() as found:
        yield found


def streamed(chunks):
    """Return what the deltas of a stream come to: reasoning, content, finish reasons, usage."""
    reasoning, content, ends, usage, extra = "", "", [], None, {}
    for place, chunk in enumerate(chunks):
        if chunk.usage is not None:
            usage = chunk.usage
            assert chunk.choices == []
            continue
        (choice,) = chunk.choices
        assert (choice.delta.role == "assistant") == (place == 0)
        more = choice.delta.model_extra
        assert more.get("reasoning") == more.get("reasoning_content")
        reasoning += more.get("reasoning") or ""
        content += choice.delta.content or ""
        if choice.finish_reason:
            ends.append(choice.finish_reason)
            extra = chunk.model_extra["debate"]
    return reasoning, content, ends, usage, extra


def test_models_are_configs_and_their_agents(client):
    assert [model.id for model in client.models.list()] == [
        "smoke",
        "smoke/ada",
        "smoke/ben",
        "open",
        "open/ada",
        "open/ben",
    ]
    assert client.models.retrieve("smoke/ada").owned_by == "cipher-debate"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4' is served here") as refused:
        client.models.retrieve("gpt-4")
    assert refused.value.code == "model_not_found"


def test_a_whole_answer_is_the_debate_of_the_session(client):
    found = client.chat.completions.create(
        model="smoke", messages=USER, seed=5, extra_body={"debate": {"id": "question-1"}}
    )
    with DebateSession(smoke(seed=5)) as ask:
        said = ask(SUM)
    (choice,) = found.choices
    assert choice.message.content == said.transcript.last_of("ada").message.text
    assert choice.finish_reason == "stop"
    assert choice.message.reasoning == choice.message.reasoning_content == "".join(map(told, said.transcript.turns))
    assert found.debate["answer"] == said.answer
    assert found.debate["reason"] == said.decision.reason
    turns = said.transcript.turns
    assert found.usage.prompt_tokens == sum(turn.usage.prompt_tokens for turn in turns)
    assert found.usage.completion_tokens == said.transcript.generated_tokens
    answer = said.transcript.last_of("ada").usage.generated_tokens
    assert found.usage.completion_tokens_details.reasoning_tokens == said.transcript.generated_tokens - answer
    assert found.usage.prompt_tokens_details.cached_tokens == 0


def test_a_stream_comes_to_the_whole_answer(client):
    whole = client.chat.completions.create(model="smoke", messages=USER)
    chunks = client.chat.completions.create(
        model="smoke", messages=USER, stream=True, stream_options={"include_usage": True}
    )
    reasoning, content, ends, usage, extra = streamed(chunks)
    assert content == whole.choices[0].message.content
    # Of turns that are said at once, the order is that in which they were said.
    assert Counter(reasoning.split("\n\n")) == Counter(whole.choices[0].message.reasoning.split("\n\n"))
    assert ends == ["stop"]
    assert usage == whole.usage
    assert {**extra, "id": ""} == {**whole.debate, "id": ""}
    without = list(client.chat.completions.create(model="smoke", messages=USER, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in without)


def test_a_stream_is_framed_as_events(served):
    status, headers, body = served.send("POST", "/v1/chat/completions", asking(SUM, stream=True))
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    *events, last, end = body.decode().split("\n\n")
    assert (last, end) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert {chunk["id"] for chunk in chunks} == {headers["x-debate-id"]}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


def test_a_single_agent_has_no_reasoning(client):
    found = client.chat.completions.create(model="smoke/ben", messages=USER)
    assert found.choices[0].message.model_extra == {}
    assert found.usage.completion_tokens_details.reasoning_tokens == 0
    reasoning, content, *_ = streamed(client.chat.completions.create(model="smoke/ben", messages=USER, stream=True))
    assert (reasoning, content) == ("", found.choices[0].message.content)


def test_completions_whole_streamed_and_of_several_prompts(client):
    other = "What is the result of 1+1*2+3-4*1?"
    chat = client.chat.completions.create(model="smoke", messages=USER)
    both = client.completions.create(model="smoke", prompt=[other, SUM], echo=True)
    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.choices[1].text == SUM + chat.choices[0].message.content
    assert both.choices[0].text.startswith(other)
    chunks = list(client.completions.create(model="smoke", prompt=SUM, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == chat.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_the_same_request_is_the_same_debate_and_a_seed_another(client):
    said = [client.chat.completions.create(model="smoke", messages=USER, seed=seed) for seed in (1, 1, *range(2, 12))]
    assert said[0].choices == said[1].choices
    assert said[0].id != said[1].id
    assert len({answer.choices[0].message.reasoning for answer in said}) > 3


def test_a_stop_cuts_the_answer_and_max_tokens_every_message(client):
    whole = client.chat.completions.create(model="smoke/ada", messages=USER).choices[0].message.content
    found = client.chat.completions.create(model="smoke/ada", messages=USER, stop=["Answer:", "nowhere"])
    assert found.choices[0].message.content == whole[: whole.index("Answer:")]
    short = client.chat.completions.create(model="smoke/ada", messages=USER, max_tokens=5)
    assert short.choices[0].message.content == whole[:5]
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 5
    # A limit above the config's raises nothing.
    assert (
        client.chat.completions.create(model="smoke/ada", messages=USER, max_tokens=999).choices[0].message.content
        == whole
    )


def test_overrides_are_the_methods_and_rounds_of_the_config(client):
    asked = {"rounds": 2, "method": "text", "temperature": 0.3, "seed": 4, "id": "q"}
    found = client.chat.completions.create(model="smoke", messages=USER, extra_body={"debate": asked})
    text = method_config(smoke(), "text")
    agents = {name: agent.model_copy(update={"temperature": 0.3}) for name, agent in text.agents.items()}
    with DebateSession(text.model_copy(update={"rounds": 2, "seed": 4, "agents": agents})) as ask:
        said = ask(SUM, id="q")
    assert found.choices[0].message.reasoning == "".join(map(told, said.transcript.turns))
    assert (found.debate["method"], found.debate["rounds"], found.debate["question_id"]) == ("text", 2, "q")


def test_sampling_of_the_request_is_named_as_ignored(client):
    plain = client.chat.completions.create(model="smoke", messages=USER)
    given = client.chat.completions.create(model="smoke", messages=USER, temperature=0, top_p=0.5, user="me")
    assert given.choices == plain.choices
    assert given.debate["ignored"] == ["temperature", "top_p"]


@pytest.mark.parametrize("choice", [{}, {"tool_choice": "auto"}, {"tool_choice": "none"}])
def test_tools_that_may_be_called_are_named_as_ignored(client, choice):
    """Chat interfaces offer some with every request; a model may always answer without."""
    plain = client.chat.completions.create(model="smoke", messages=USER)
    given = client.chat.completions.create(model="smoke", messages=USER, tools=TOOLS, **choice)
    assert given.choices == plain.choices
    assert given.debate["ignored"] == ["tools"]


@pytest.mark.parametrize(
    ("more", "param", "sentence"),
    [
        ({"n": 2}, "n", "one answer"),
        ({"tools": TOOLS, "tool_choice": "required"}, "tool_choice", "calls no tools"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice", "calls no tools"),
        ({"logprobs": True}, "logprobs", "no log-probabilities"),
        ({"response_format": {"type": "json_object"}}, "response_format", "plain text"),
        ({"stop": [""]}, "stop", "none of them empty"),
        ({"extra_body": {"debate": {"rounds": 9}}}, "debate.rounds", "allows up to 3"),
        ({"extra_body": {"debate": {"round": 1}}}, "debate.round", "Known: rounds, method"),
        ({"extra_body": {"debate": {"method": "singel"}}}, None, "Did you mean 'single'"),
        ({"model": "smoke/ada", "extra_body": {"debate": {"rounds": 2}}}, "debate", "one agent, which speaks once"),
        ({"messages": [*USER, {"role": "assistant", "content": "15"}]}, "messages", "end with the user's question"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}, *USER]}, "messages", "role 'tool'"),
        ({"messages": [{"role": "user", "content": IMAGE}]}, "messages", "only text"),
        ({"messages": [{"role": "user", "content": "\ue0000\ue001"}]}, None, "U+E000"),
    ],
)  # fmt: skip
def test_what_is_not_done_is_refused_in_a_sentence(client, more, param, sentence):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**{"model": "smoke", "messages": USER, **more})
    assert sentence in refused.value.message
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


def test_earlier_turns_are_part_of_the_question_and_the_system_message_goes_to_every_agent(tmp_path):
    with serving({"smoke": smoke(prompts="open")}, out=tmp_path) as served, served.client() as client:
        asked = [
            {"role": "system", "content": "Speak {{ politely }}."},
            {"role": "user", "content": "My number is 7."},
            {"role": "assistant", "content": "I see."},
            {"role": "user", "content": [{"type": "text", "text": "What is my "}, {"type": "text", "text": "number?"}]},
        ]
        found = client.chat.completions.create(model="smoke", messages=asked)
        plain = client.chat.completions.create(model="smoke", messages=asked[1:])
        # Three more prompts' worth of words: each agent in each of its rounds.
        extra = found.usage.prompt_tokens - plain.usage.prompt_tokens
        assert extra % 6 == 0
        assert extra >= 6 * len(asked[0]["content"])
    ((transcript, decision),) = stored(tmp_path / found.id)
    assert transcript.question.text == (
        "Earlier in this conversation:\n\nUser: My number is 7.\n\nAssistant: I see.\n\nNow:\n\nWhat is my number?"
    )
    assert found.choices[0].message.reasoning == "".join(map(told, transcript.turns))
    assert decision["answer"] == found.debate["answer"]


def test_what_is_kept_of_a_served_debate_is_signed_where_there_is_a_key(tmp_path):
    key, _ = SigningKey.generate().write(tmp_path / "key")
    config = smoke(execution=ExecutionConfig(sign_with=str(key)))
    with serving({"smoke": config}, out=tmp_path / "kept") as served, served.client() as client:
        found = client.chat.completions.create(model="smoke", messages=USER)
    checks = {check.name: check for check in verify_run(tmp_path / "kept" / found.id).checks}
    assert checks["signatures"].verdict == "signed", checks["signatures"].detail
    assert "6 turns are signed" in checks["signatures"].detail


def stored(path):
    """Return transcript and decision of each debate of a run."""
    reader = RunReader(path)
    return [(debate.transcript, debate.decision) for name in reader.state.methods for debate in reader.debates(name)]


def test_titles_and_tags_of_chat_interfaces_are_answered_by_one_agent(client):
    asked = [{"role": "user", "content": f"### Task:\nGenerate a concise title.\n### Chat History:\n{SUM}"}]
    found = client.chat.completions.create(model="smoke", messages=asked)
    assert found.debate["method"] == "single"
    assert found.choices[0].message.model_extra == {}


def test_thirty_two_at_once_say_what_one_says(served):
    async def main():
        async with served.async_client() as client:
            return await asyncio.gather(
                *(
                    client.chat.completions.create(model=model, messages=USER, seed=seed)
                    for seed in range(16)
                    for model in ("smoke", "open/ada")
                )
            )

    together = asyncio.run(main())
    with served.client() as client:
        for place in (0, 7, 13, 31):
            found = together[place]
            again = client.chat.completions.create(model=found.model, messages=USER, seed=place // 2)
            assert found.choices == again.choices


# The tiny debaters on the engine of transformers, in a mixture of requests, whole and streamed.


@pytest.fixture(scope="module")
def experts():
    return load_config("debaters/experts")


@pytest.fixture(scope="module")
def unserved(experts, tmp_path_factory):
    out = tmp_path_factory.mktemp("eval")
    evaluate_sync(experts, out=out, methods=["single", "text", "cipher"], limit=4)
    reader = RunReader(out)
    return {
        method: {debate.transcript.question.id: debate.transcript for debate in reader.debates(method)}
        for method in ("single", "text", "cipher")
    }


def test_tiny_debaters_say_when_served_what_they_say_in_an_evaluation(experts, unserved):
    mixture = [(method, transcript) for method, debates in unserved.items() for transcript in debates.values()]
    assert len(mixture) == 12

    async def ask(client, method, transcript: Transcript, stream: bool):
        model = "experts/ivy" if method == "single" and stream else "experts"
        own = {} if model == "experts/ivy" else {"method": method}
        body = {"debate": {**own, "id": transcript.question.id}}
        asked = [{"role": "user", "content": transcript.question.text}]
        found = await client.chat.completions.create(model=model, messages=asked, extra_body=body, stream=stream)
        if not stream:
            message = found.choices[0].message
            return message.content, message.model_extra.get("reasoning", ""), found.debate["answer"]
        reasoning, content, _, _, extra = streamed([chunk async for chunk in found])
        return content, reasoning, extra["answer"]

    async def main(served):
        async with served.async_client() as client:
            return await asyncio.gather(
                *(ask(client, *each, stream) for each in mixture for stream in (False, True)),
                # Among others, of which nothing is compared.
                *(ask(client, "cipher", transcript, True) for _, transcript in mixture[:4]),
            )

    with serving({"experts": experts, "smoke": smoke()}) as served:
        # Some go away in the midst of theirs.
        leaving = [served.open(asking(SUM, "experts", seed=seed, stream=seed % 2 == 0)) for seed in range(6)]
        until(lambda: served.metric("debate_serve_turns_total") >= 2, 30)
        threading.Timer(0.2, lambda: [connection.close() for connection in leaving]).start()
        found = asyncio.run(main(served))
        assert served.metric('debate_serve_debates_total{outcome="cancelled"}') > 0
    for place, (method, transcript) in enumerate(mixture):
        for content, reasoning, _ in found[2 * place : 2 * place + 2]:
            assert content == transcript.last_of("ivy").message.text
            if method == "single":
                assert reasoning == ""
            else:
                assert sorted(reasoning.split("\n\n")) == sorted("".join(map(told, transcript.turns)).split("\n\n"))
    assert found[8][2] is not None
