"""Tokens of a served model, and how likely it finds a prompt: by the openai package, against the engine itself."""

import json

import openai
import pytest
import torch
from support.serving import SUM, serving, smoke

from agents.backend import Generation, Usage
from agents.backends.mock import MockBackend
from agents.message import Message
from agents.registry import create_backend
from debate.config.load import load_config


@pytest.fixture(scope="module")
def served():
    with serving({"experts": load_config("debaters/experts")}) as found:
        yield found


@pytest.fixture(scope="module")
def mixed():
    with serving({"smoke": smoke(), "experts": load_config("debaters/experts")}) as found:
        yield found


def asked(served, path, body=None, method="POST"):
    status, _, text = served.send(method, path, body)
    return status, json.loads(text)


def test_texts_become_tokens_and_tokens_texts(served, mixed):
    for model in ({}, {"model": "experts/jay"}):
        status, found = asked(served, "/tokenize", {"prompt": SUM, **model})
        assert (status, found["count"]) == (200, len(found["tokens"]))
        assert asked(served, "/detokenize", {"tokens": found["tokens"], **model}) == (200, {"prompt": SUM})
    status, info = asked(served, "/tokenizer_info", method="GET")
    assert (status, info["eos_token"] is not None) == (200, True)
    assert asked(mixed, "/tokenizer_info?model=smoke", method="GET")[1]["eos_token"] is None
    assert asked(mixed, "/tokenize", {"prompt": "ab", "model": "smoke"})[1]["tokens"] == [97, 98]


READ = {"logprobs": 1, "echo": True, "max_tokens": 1}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/tokenize", {"prompt": SUM}, "2 tokenizers"),
        ("/tokenize", {"prompt": 1}, "prompt"),
        ("/tokenize", {"prompt": SUM, "model": "no"}, "no model"),
        ("/detokenize", {"tokens": [99999], "model": "smoke"}, "beyond"),
        ("/detokenize", {"tokens": [-1], "model": "smoke"}, "tokens"),
        ("/v1/completions", {"model": "experts", "prompt": "x", **READ}, "CONFIG/AGENT"),
        ("/v1/completions", {"model": "experts/ivy", "prompt": "x", "logprobs": 1}, "echo"),
        ("/v1/completions", {"model": "experts/ivy", "prompt": "x", "logprobs": 5, "echo": True, "max_tokens": 1}, "logprobs"),
        ("/v1/completions", {"model": "experts/ivy", "prompt": [[99999]], **READ}, "beyond"),
        ("/v1/completions", {"model": "experts/ivy", "prompt": [["a"]]}, "prompt"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(mixed, path, body, said):
    status, found = asked(mixed, path, body)
    assert status in (400, 404)
    assert said in found["error"]["message"]


def test_a_prompts_tokens_are_as_likely_as_the_model_finds_them(served, run):
    async def reference(ids):
        backend = create_backend("transformers", model="tiny/ivy", dtype="float32", max_num_seqs=32)
        model = backend.engine.model.model
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        await backend.close()
        return torch.log_softmax(logits.double(), dim=1)

    with served.client() as client:
        ids = asked(served, "/tokenize", {"prompt": SUM})[1]["tokens"]
        options = {"model": "experts/ivy", "max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0}
        by_text = client.completions.create(prompt=SUM, **options).choices[0].logprobs
        (first, second) = client.completions.create(prompt=[ids, ids[:5]], **options).choices
    assert by_text == first.logprobs
    assert first.logprobs.token_logprobs[0] is None
    assert len(first.logprobs.tokens) == len(ids) + 1
    assert "".join(first.logprobs.tokens[:-1]) == SUM
    assert second.logprobs.token_logprobs[1:5] == pytest.approx(first.logprobs.token_logprobs[1:5], abs=1e-4)
    likely = run(reference(ids))
    for place, value in enumerate(first.logprobs.token_logprobs[1:-1], start=1):
        assert value == pytest.approx(float(likely[place - 1, ids[place]]), abs=1e-4)
        assert max(first.logprobs.top_logprobs[place].values()) == pytest.approx(
            float(likely[place - 1].max()), abs=1e-4
        )
    assert first.logprobs.token_logprobs[-1] == pytest.approx(float(likely[-1].max()), abs=1e-4)


def test_a_read_that_a_stop_cuts_is_to_be_asked_again(mixed, monkeypatch):
    def cut(self, request, read, text):
        message = Message("", self.fingerprint, 0.0, ())
        return Generation(message, Usage(1, 0, 0), "cancelled")

    monkeypatch.setattr(MockBackend, "_read", cut)
    status, found = asked(mixed, "/v1/completions", {"model": "smoke/ada", "prompt": "ab", **READ})
    assert (status, found["error"]["code"]) == (503, "stopping")


def test_tokens_are_debated_as_the_text_that_they_are(served):
    with served.client() as client:
        ids = asked(served, "/tokenize", {"prompt": SUM})[1]["tokens"]
        by_ids, by_text = (
            client.completions.create(model="experts/ivy", prompt=prompt, echo=True).choices[0].text
            for prompt in (ids, SUM)
        )
        assert by_ids == by_text
        assert by_ids.startswith(SUM)
        with pytest.raises(openai.BadRequestError, match="none of them empty"):
            client.completions.create(model="experts/ivy", prompt=[[]])
