"""An exchanged attention and a quantised cache in the engine: equal where they must be, invariant, and refused where they
cannot be.
"""

import pytest
import torch
from support.plain_loops import generate, say
from transformers.cache_utils import DynamicCache

from agents.attention.options import attention_of, cache_of
from agents.attention.staircase import StaircaseCache
from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.backend import TransformersBackend
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.exchanged import exchange
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, RequestError
from agents.whole_model import whole_model

STAIR = "staircase(bits=(8, 4), chunk=8)"
KINDS = ["combiner(segment=16)", "probabilistic(block=8)", "harmonic(share=0.8)"]


@pytest.fixture(scope="module")
def load(request):
    """Return a function: options → the tiny Llama with them, loaded once each."""
    tiny, made = request.getfixturevalue("tiny"), {}

    def get(attention=None, cache=None, rows=3):
        key = (attention, cache, rows)
        if key not in made:
            made[key] = LoadedModel(
                tiny(), name="llama", dtype="float32", device="cpu", rows=rows,
                exchanged=None if attention is None else attention_of(attention),
                stair=None if cache is None else cache_of(cache),
            )  # fmt: skip
        return made[key]

    return get


def requests(count=5):
    begun = "a beginning that every prompt shares, and that is longer than one block of positions; "
    return [
        Request(
            Prompt.of(begun + "abc " * n), Sampling(temperature=0.7, max_tokens=6 + n, seed=n),
            (None, "expectation")[n % 2],
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(("attention", "cache"), [*((kind, None) for kind in KINDS), (None, STAIR), (KINDS[0], STAIR)])
def test_a_message_has_the_same_bytes_alone_and_in_company(load, attention, cache):
    model, asked = load(attention, cache), requests()
    alone = [generate(Engine(model, max_num_seqs=3, prefix_cache=False), [request])[0] for request in asked]
    batch = generate(Engine(model, max_num_seqs=3), asked)
    assert [a.message.digest for a in alone] == [b.message.digest for b in batch]
    cached = sum(generation.usage.cached_tokens for generation in batch)
    # What a quantised prefix is depends on what comes after it, so none is shared.
    assert (cached == 0) == (cache is not None)
    assert [g.message.digest for g in batch] != [g.message.digest for g in generate(Engine(load()), asked)]


@pytest.mark.parametrize("attention", ["combiner(segment=1)", "harmonic(share=1.0)", "probabilistic(exponent=0.0)"])
def test_where_it_is_full_attention_the_message_is_the_models(load, attention):
    asked = requests(4)
    own, other = (generate(Engine(load(kind)), asked) for kind in (None, attention))
    assert [g.message.token_ids for g in own] == [g.message.token_ids for g in other]
    torch.testing.assert_close(own[1].message.cipher.vectors, other[1].message.cipher.vectors, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("attention", KINDS)
def test_decoding_is_the_models_own_uncached_pass_with_that_attention(load, attention):
    model = load(attention)
    (said,) = generate(Engine(model), [Request(Prompt.of("one two three, and so on"), Sampling(0, max_tokens=30))])
    ids = model.tokenizer("one two three, and so on").input_ids + model.tokenizer("\nAnswer:").input_ids
    spoken = list(said.message.token_ids)
    with torch.inference_mode():
        logits = model.model(torch.tensor([ids + spoken]), use_cache=False).logits[0]
    assert logits[len(ids) - 1 : -1].argmax(-1).tolist() == spoken


def test_a_slot_holds_what_the_cache_of_codes_stands_for(load):
    model = load(cache=STAIR)
    vectors = torch.randn(30, model.table.weight.shape[1], generator=torch.Generator().manual_seed(0))
    ours = model.new_cache()
    ours.reserve(2, 40)
    theirs = StaircaseCache(cache_of(STAIR), model.num_layers)
    model.prefill(ours, 1, 0, vectors[:20])
    with torch.inference_mode():
        model.model(inputs_embeds=vectors[None, :20], past_key_values=theirs)
        for place in range(20, 30):
            found = model.decode(ours, vectors[place : place + 1], torch.tensor([place]), slots=[1])
            expected = model.model(inputs_embeds=vectors[None, place : place + 1], past_key_values=theirs).logits[0, -1]
            torch.testing.assert_close(found[0], expected, atol=2e-3, rtol=1e-3)
    seen = theirs.update(
        torch.zeros(1, 1, 0, 1).expand_as(theirs.layers[0].keys[:, :, :0]), theirs.layers[0].values[:, :, :0], 0
    )
    off = (ours.layers[0].keys[1, :, :24] - seen[0][0, :, :24]).abs()
    # A value that rounding puts on the other side of a border has the next code: few, and by no more than a step.
    assert (off > 1e-4).float().mean() < 0.05
    assert off.max() < 0.01


def test_hard_attention_in_a_layer_that_the_model_has_not_is_refused(load):
    load("hard(keys=4, layers=[1])")
    with pytest.raises(ConfigError, match="in layer 9, and the model has the layers 0 to"):
        load("hard(keys=4, layers=(1, 9))")


def test_what_reads_a_text_again_is_refused(load):
    weighed = Request(Prompt.of("a"), choices=("b", "c"))
    with pytest.raises(RequestError, match="leave the option `cache` out"):
        Engine(load(cache=STAIR)).prepare(weighed)
    Engine(load(KINDS[0])).prepare(weighed)
    with pytest.raises(RequestError, match="option `attention`"):
        Engine(load(KINDS[0])).prepare(Request(Prompt.of("a"), decoding="hso(steps=2)"))


def test_weighing_with_another_attention_is_its_log_likelihood(load):
    model = load(KINDS[0])
    (found,) = generate(Engine(model), [Request(Prompt.of("ab" * 20), choices=("cd" * 12, "e", "fgh"))])
    ids = model.tokenizer("ab" * 20).input_ids + model.tokenizer("\nAnswer:").input_ids
    for text, likely in zip(("cd" * 12, "e", "fgh"), found.log_likelihoods, strict=True):
        own = model.tokenizer(" " + text, add_special_tokens=False).input_ids
        with torch.inference_mode():
            logits = model.model(torch.tensor([ids + own]), use_cache=False).logits[0].double().log_softmax(-1)
        expected = sum(float(logits[len(ids) - 1 + i, token]) for i, token in enumerate(own))
        assert likely == pytest.approx(expected, abs=1e-3) or likely < 0


def test_models_that_attend_in_a_way_of_their_own_are_refused(tiny):
    with pytest.raises(ConfigError, match="leave them out"):
        LoadedModel(
            tiny("mistral-window"), name="m", dtype="float32", device="cpu", exchanged=attention_of("combiner")
        )  # fmt: skip


def test_padding_and_earlier_queries_are_refused(tiny, load):
    model = whole_model(tiny(), load().model.config, "llama", dtype=torch.float32, attention="eager")
    exchange(model, attention_of("combiner(segment=2)"), "llama")
    ids = torch.arange(3, 9)[None]
    with pytest.raises(NotImplementedError, match="padding"):
        model(ids, attention_mask=torch.tensor([[0, 1, 1, 1, 1, 1]]))
    cache = DynamicCache(config=model.config)
    model(ids, past_key_values=cache)
    with pytest.raises(NotImplementedError, match="queries of earlier tokens"):
        model(ids, past_key_values=cache)


def test_the_backend_says_what_is_exchanged(tiny):
    backend = TransformersBackend(str(tiny()), dtype="float32", cache=STAIR, attention="harmonic", max_num_seqs=3)
    assert backend.decoding["cache"] == "Staircase(bits=(8, 4), chunk=8)"
    assert backend.decoding["attention"] == "Harmonic(share=0.9)"
    assert not backend.capabilities.weighs
    assert not backend.capabilities.decodes
    (said,) = say(backend, requests(1))
    assert said.message.num_tokens
    with pytest.raises(ConfigError, match="segment"):
        TransformersBackend(str(tiny()), attention="combiner(segment=0)")
