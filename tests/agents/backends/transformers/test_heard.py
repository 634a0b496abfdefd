"""A hearer that adapts what it hears: against a plain loop, in any company, beside others in the cache; and refusals."""

import asyncio
import hashlib
from dataclasses import replace

import pytest
import torch
from support.plain_loops import ARCHITECTURES, generate

from agents.backend import Prompt, Request, Sampling
from agents.backends.openai.chat import body
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.decoding.hso import HiddenStateOptimisation, optimised
from agents.errors import RequestError
from agents.registry import create_backend
from agents.remote_request import request_body

HSO = "hso(steps=2, rate=0.05, bound=0.5)"
BEGINNING = "a beginning that every prompt shares, and that is longer than one block of positions; so they said: "


def load(folder, dtype="float32", rows=None):
    return LoadedModel(folder, name=folder.name, dtype=dtype, device="cpu", rows=rows)


def said(model, text, steps=12, seed=0):
    """Return a CIPHER message of a model."""
    request = Request(Prompt.of(text), Sampling(temperature=1.5, max_tokens=steps, seed=seed), "expectation")
    return generate(Engine(model), [request])[0].message


def requests_of(model, decoding):
    """Return requests that hear vectors, and one that hears none, of one beginning."""
    one, two = said(model, "one"), said(model, "two", steps=7)
    parts = [
        (BEGINNING, one, " and ", two, " so?"),
        (BEGINNING, one, " or ", two, " so?"),
        (BEGINNING, two, " and nothing else"),
        (BEGINNING, "only words"),
        (one,),
    ]
    return [
        Request(
            Prompt.of(*found), Sampling(temperature=0.6, max_tokens=9, seed=number),
            "expectation" if number % 2 else None, decoding=decoding,
        )
        for number, found in enumerate(parts)
    ]  # fmt: skip


def digests(generations):
    return [generation.message.digest for generation in generations]


@torch.enable_grad()
def test_what_is_heard_is_adapted_to_its_own_prompt_and_nothing_else(tiny):
    """The engine's text is a greedy loop over the prompt that `optimised` returns on the model's own forward pass."""
    model = load(tiny("llama"))
    message = said(model, "one")
    before, after = "The sum of: ", " is, as everybody knows"
    asked = Request(
        Prompt.of(before, message, after), Sampling(temperature=0, max_tokens=15, ignore_eos=True), decoding=HSO
    )
    (ours,) = generate(Engine(model), [asked])
    ids = [model.tokenizer(text, add_special_tokens=False).input_ids for text in (before, f"{after}\nAnswer:")]
    table = model.table.weight.clone()
    vectors = message.cipher.vectors
    inputs = torch.cat([table[ids[0]], vectors, table[ids[1]]])
    near = (
        torch.nn.functional.normalize(vectors.double(), dim=1) @ torch.nn.functional.normalize(table.double(), dim=1).T
    )
    targets = torch.tensor([*ids[0], *near.argmax(dim=1).tolist(), *ids[1]])
    heard = torch.arange(len(ids[0]), len(ids[0]) + len(vectors))

    def logits_of(fed):
        return model.model(inputs_embeds=fed[None], use_cache=False).logits[0]

    unit = float(table.square().mean().sqrt())
    x = optimised(inputs, heard, targets, logits_of, HiddenStateOptimisation(2, 0.05, 0.5), unit=unit)
    assert float((x - inputs)[heard].norm() / inputs[heard].norm()) > 0.05
    for token in ours.message.token_ids:
        assert token == int(logits_of(x)[-1].argmax())
        x = torch.cat([x, table[[token]]])


def test_the_adapted_hearer_is_not_the_plain_one(tiny):
    model = load(tiny("llama"), rows=4)
    plain, adapted = (digests(generate(Engine(model), requests_of(model, decoding))) for decoding in (None, HSO))
    assert plain[3] == adapted[3], "who hears words alone has nothing to adapt"
    assert all(one != other for at, (one, other) in enumerate(zip(plain, adapted, strict=True)) if at in (1, 2))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_steps_are_the_plain_hearer_byte_for_byte(tiny, dtype):
    model = load(tiny("llama"), dtype, rows=4)
    plain = generate(Engine(model, max_num_seqs=4), requests_of(model, None))
    none = generate(Engine(model, max_num_seqs=4), requests_of(model, "hso(steps=0)"))
    assert digests(plain) == digests(none)
    assert [one.usage for one in plain] == [one.usage for one in none]


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [*((name, "float32") for name in ARCHITECTURES if name != "gemma2-softcap"), ("llama", "bfloat16")],
)
def test_the_same_bytes_alone_and_in_any_company(tiny, architecture, dtype):
    """Beside plain rows of the same prompt, too, whose keys and values are others."""
    model = load(tiny(architecture), dtype, rows=4)
    requests = [asked for pair in zip(requests_of(model, HSO), requests_of(model, None), strict=True) for asked in pair]
    alone = [generate(Engine(model, max_num_seqs=4, prefix_cache=False), [request])[0] for request in requests]
    engine = Engine(model, max_num_seqs=4)
    batch = generate(engine, requests)
    again = generate(engine, requests[::-1])[::-1]
    assert digests(alone) == digests(batch) == digests(again)
    assert any(one.usage.cached_tokens for one in again), "prefixes are shared, or the test shows nothing"


def test_attention_of_its_own_kind_is_differentiated_too(tiny):
    model = load(tiny("gemma2-softcap"))
    plain, adapted = (digests(generate(Engine(model), requests_of(model, decoding))) for decoding in (None, HSO))
    assert plain[1] != adapted[1]


def test_the_same_prompt_twice_is_adapted_once_to_the_same_and_cached(tiny):
    model = load(tiny("llama"), rows=4)
    request = requests_of(model, HSO)[0]
    engine = Engine(model, max_num_seqs=4)
    first, second = (generate(engine, [request])[0] for _ in range(2))
    assert first.message.digest == second.message.digest
    length = len(engine.prepare(request).keys)
    assert second.usage.cached_tokens == (length - 1) // model.block * model.block > 0


def test_weights_never_change(tiny):
    model = load(tiny("llama"))

    def hashed():
        sha = hashlib.sha256()
        for name, weight in model.model.state_dict().items():
            sha.update(name.encode() + weight.numpy().tobytes())
        return sha.hexdigest()

    before = hashed()
    generate(Engine(model), requests_of(model, HSO))
    assert hashed() == before
    assert all(weight.grad is None and not weight.requires_grad for weight in model.model.parameters())


def test_a_control_in_a_messages_place_tells_nothing_of_the_message(tiny):
    """Targets are read off the vectors that arrive: what else the message's value holds changes nothing."""
    model = load(tiny("llama"))
    message = said(model, "one")
    noise = torch.randn(message.cipher.vectors.shape, generator=torch.Generator().manual_seed(5))
    asked = []
    for nearest in (message.cipher.nearest, (message.cipher.nearest + 7) % 256):
        cipher = replace(message.cipher, vectors=noise, nearest=nearest)
        heard = replace(message, cipher=cipher, token_ids=tuple(nearest.tolist()))
        sampling = Sampling(temperature=0.7, max_tokens=8)
        asked.append(Request(Prompt.of("So: ", heard, " and?"), sampling, "expectation", decoding=HSO))
    first, second = (generate(Engine(model), [request])[0] for request in asked)
    assert first.message.digest == second.message.digest


def test_choices_are_weighed_and_messages_forced_behind_what_was_adapted(tiny):
    model = load(tiny("llama"))
    plain, adapted = requests_of(model, None)[0], requests_of(model, HSO)[0]
    weighed = [
        generate(Engine(model), [replace(request, choices=("yes", "no"))])[0].log_likelihoods
        for request in (plain, adapted)
    ]
    assert weighed[0] != weighed[1]
    (text,) = generate(Engine(model), [replace(adapted, sampling=Sampling(0, max_tokens=6, ignore_eos=True))])
    forced = [
        generate(Engine(model), [replace(request, forced=text.message)])[0].beliefs for request in (plain, adapted)
    ]
    assert forced[1].argmax(dim=1).tolist() == list(text.message.token_ids)
    assert not torch.allclose(forced[0], forced[1])


def test_a_model_without_a_gradient_fails_its_row_alone(tiny, monkeypatch):
    model = load(tiny("llama"))
    requests = [requests_of(model, HSO)[0], requests_of(model, None)[3]]
    monkeypatch.setattr(
        "agents.backends.transformers.heard.uncached",
        lambda of, fed: of(inputs_embeds=fed.detach()[None], use_cache=False).logits[0],
    )
    engine = Engine(model)
    rows = [engine.prepare(request) for request in requests]
    for row in rows:
        engine.add(row)
    while not engine.is_idle:
        engine.step()
    assert "no gradient of what it hears" in rows[0].failure
    assert rows[1].failure is None
    assert rows[1].step > 0


def test_other_engines_refuse_in_a_sentence(tiny):
    asked = Request(Prompt.of("Why?"), decoding=HSO)
    with pytest.raises(RequestError, match="use the backend transformers, or leave `decoding` out"):
        body(asked, "gpt", token_limit="max_tokens", sends_top_k=False, extra={})
    with pytest.raises(RequestError, match="on another machine"):
        request_body(asked, "ada")

    async def on_the_mock():
        await create_backend("mock").submit(asked)

    with pytest.raises(RequestError, match="the mock decodes in its own way alone"):
        asyncio.run(on_the_mock())
    with pytest.raises(RequestError, match="Did you mean 'hso'"):
        Engine(load(tiny("llama"))).prepare(replace(asked, decoding="hsoo"))
