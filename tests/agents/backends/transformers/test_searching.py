"""A text that is searched for: the engine's beam against the same search over uncached passes, in any company; and refusals."""

import math
from dataclasses import replace

import pytest
import torch
from support.plain_loops import ARCHITECTURES, generate

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.decoding.acbs import conditional_beam
from agents.decoding.attributes import AttributeClassifier, read_classifier, write_classifier
from agents.decoding.ending import kept_before_stop
from agents.decoding.rules import parse_decoding
from agents.errors import RequestError

INVARIANT = [name for name in ARCHITECTURES if name != "gemma2-softcap"]


def load(folder, dtype="float32", rows=None):
    return LoadedModel(folder, name=folder.name, dtype=dtype, device="cpu", rows=rows)


def asked(text="The sum of two and three, please", decoding="acbs(width=4)", **sampling):
    return Request(Prompt.of(text), Sampling(**{"max_tokens": 12, "likelihood": True, **sampling}), decoding=decoding)


@torch.inference_mode()
def searched_plainly(model, request):
    """Return the search over the model's own passes: every prefix is read from its beginning."""
    ids = model.tokenizer(request.prompt.turns[0].parts[0], add_special_tokens=False).input_ids
    ids += model.tokenizer("\nAnswer:").input_ids
    held = {"prefixes": [()]}
    settings = parse_decoding(request.decoding)
    q = read_classifier(settings.classifier)[0] if settings.classifier else None

    def read(prefix):
        inputs = torch.tensor([[*ids, *prefix]])
        found = model.model(input_ids=inputs, use_cache=False, output_hidden_states=True)
        return torch.log_softmax(found.logits[0, -1].double(), dim=0), found.hidden_states[-1][:, -1]

    def advance(parents, tokens):
        held["prefixes"] = [(*held["prefixes"][at], token) for at, token in zip(parents, tokens, strict=True)]
        likely, states = zip(*map(read, held["prefixes"]), strict=True)
        if q is None:
            return torch.stack(likely), None
        left = [
            bound - len(held["prefixes"][0])
            for bound in (settings.least, settings.most or request.sampling.max_tokens - 1)
        ]
        return torch.stack(likely), q.log_q(torch.cat(states), *left, loop=settings.loop)

    return conditional_beam(
        read(())[0], advance, settings, ends=model.stop_ids, limit=request.sampling.max_tokens,
        cut=lambda tokens: kept_before_stop(tokens, request.sampling.stop, model.tokenizer),
    )  # fmt: skip


@pytest.mark.parametrize(
    "decoding", ["acbs(width=1)", "acbs(width=5)", "acbs(width=3, least=6)", "acbs(least=9, loop=1)"]
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_the_search_over_uncached_passes(tiny, architecture, decoding):
    model = load(tiny(architecture))
    request = asked(decoding=decoding)
    (ours,) = generate(Engine(model), [request])
    plain = searched_plainly(model, request)
    assert ours.message.token_ids == plain.tokens[: plain.kept]
    assert ours.finish_reason == plain.finish
    assert ours.log_likelihood == pytest.approx(plain.log_probability, abs=1e-4)


def test_an_end_that_a_model_cannot_say_ends_nothing():
    """A config may have −1 for "none", and a tokenizer an end of its own, for which the model has no row."""
    draw = torch.Generator().manual_seed(0)
    likely = torch.log_softmax(torch.randn(6, 9, 9, generator=draw, dtype=torch.float64), dim=-1)

    def search(ends):
        steps = iter(likely[1:])
        return conditional_beam(
            likely[0, 0], lambda parents, tokens: (next(steps)[list(tokens)], None), parse_decoding("acbs(width=3)"),
            ends=ends, limit=5,
        )  # fmt: skip

    assert search({-1, 2, 99}) == search({2})
    assert search({-1, 99}) == search(())


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Return what writes a classifier of random weights for a model, of whose texts nothing it says is true."""
    folder = tmp_path_factory.mktemp("classifiers")

    def written(model):
        torch.manual_seed(0)
        made = AttributeClassifier(model.table.weight.shape[1], 12, 1)
        with torch.no_grad():
            made.layers[-1].weight.mul_(30)
        path = folder / f"{model.name}.safetensors"
        write_classifier(made, path, model.fingerprint)
        return path

    return written


@pytest.mark.parametrize("more", ["", ", least=6, loop=1", ", least=5, most=5, considered=9, weight=3.0"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_with_a_classifier_too(tiny, architecture, more, classifier):
    model = load(tiny(architecture), rows=4 if architecture in INVARIANT else None)
    request = asked(decoding=f'acbs(width=2, classifier="{classifier(model)}"{more})')
    without = asked(decoding=f"acbs(width=2{more.partition(', considered')[0]})")
    ours, other = (generate(Engine(model, max_num_seqs=4), [one])[0] for one in (request, without))
    plain = searched_plainly(model, request)
    assert ours.message.token_ids == plain.tokens[: plain.kept]
    assert ours.finish_reason == plain.finish
    assert ours.usage.generated_tokens > other.usage.generated_tokens


def test_a_classifier_of_another_model_is_refused(tiny, classifier):
    model, other = load(tiny("llama")), load(tiny("qwen3"))
    with pytest.raises(RequestError, match="has other weights: train one on its own states"):
        Engine(model).prepare(asked(decoding=f'acbs(classifier="{classifier(other)}")'))
    with pytest.raises(RequestError, match="there is no classifier"):
        Engine(model).prepare(asked(decoding='acbs(classifier="nowhere")'))
    with pytest.raises(RequestError, match="knows of texts that end"):
        Engine(model).prepare(asked(decoding=f'acbs(classifier="{classifier(model)}")', ignore_eos=True))


@pytest.mark.parametrize(("architecture", "dtype"), [*((name, "float32") for name in INVARIANT), ("llama", "bfloat16")])
def test_the_same_bytes_alone_and_in_any_company(tiny, architecture, dtype):
    model = load(tiny(architecture), dtype, rows=4)
    text = "a beginning that every prompt shares, and that is longer than one block of positions; number "
    requests = [
        asked(f"{text}{n}", ("acbs(width=3)", None, "acbs(width=7, least=4)")[n % 3], seed=n, temperature=0.8)
        for n in range(9)
    ]
    requests[1::3] = [
        replace(one, encoder="expectation", sampling=replace(one.sampling, likelihood=False)) for one in requests[1::3]
    ]
    alone = [generate(Engine(model, max_num_seqs=4, prefix_cache=False), [request])[0] for request in requests]
    engine = Engine(model, max_num_seqs=4)
    batch, again = generate(engine, requests), generate(engine, requests[::-1])[::-1]
    for one, two, three in zip(alone, batch, again, strict=True):
        assert one.message.digest == two.message.digest == three.message.digest
        assert one.log_likelihood == two.log_likelihood == three.log_likelihood


def test_it_is_at_least_as_likely_as_the_greedy_text_and_says_so(tiny):
    model = load(tiny("llama"))
    greedy, found = (
        generate(Engine(model), [asked(decoding=decoding, temperature=0)])[0] for decoding in (None, "acbs(width=8)")
    )
    assert greedy.finish_reason == "length" or found.log_likelihood >= greedy.log_likelihood - 1e-9
    ids = [*model.tokenizer("The sum of two and three, please", add_special_tokens=False).input_ids]
    ids += [*model.tokenizer("\nAnswer:").input_ids, *found.message.token_ids]
    (read,) = generate(Engine(model), [Request(Prompt(()), tokens=tuple(ids))])
    said = [one.log_likelihood for one in read.read[-found.message.num_tokens - 1 : -1]]
    end = 0.0
    if found.finish_reason == "stop":
        logits = model.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
        end = max(float(torch.log_softmax(logits, dim=0)[token]) for token in model.stop_ids)
    assert found.log_likelihood == pytest.approx(math.fsum(said) + end, abs=1e-4)


def test_a_stop_string_ends_it_and_a_length_is_kept_to(tiny):
    model = load(tiny("llama"))
    (free,) = generate(Engine(model), [asked(ignore_eos=True, decoding="acbs(width=3)")])
    stop = free.message.text[4:6]
    (stopped,) = generate(Engine(model), [asked(ignore_eos=True, decoding="acbs(width=3)", stop=(stop,))])
    assert stop not in stopped.message.text
    assert stopped.finish_reason == "stop"
    (exact,) = generate(Engine(model), [asked(decoding="acbs(width=4, least=7, most=7)")])
    assert (exact.message.num_tokens, exact.finish_reason) == (7, "stop")


def test_the_likeliest_text_of_all_is_empty_and_of_those_with_a_token_is_not(tiny):
    """A model of random weights would rather say nothing; who debates is asked for at least a token."""
    model = load(tiny("llama"))
    (nothing,) = generate(Engine(model), [asked(decoding="acbs(width=4, least=0)")])
    assert (nothing.message.text, nothing.finish_reason) == ("", "stop")
    (something,) = generate(Engine(model), [asked(decoding="acbs(width=4)")])
    assert something.message.num_tokens
    assert something.log_likelihood < nothing.log_likelihood


def test_what_it_cost_is_counted(tiny):
    model = load(tiny("llama"))
    (found,) = generate(Engine(model), [asked(decoding="acbs(width=4)", ignore_eos=True)])
    # The first token follows from the prompt; then four prefixes a step, and none behind the last token.
    assert found.usage.generated_tokens == 1 + 4 * 11


def test_what_is_read_is_not_searched_for_and_vectors_are_not_either(tiny):
    model = load(tiny("llama"))
    weighed = [
        generate(Engine(model), [replace(asked(decoding=decoding), choices=("yes", "no"))])[0].log_likelihoods
        for decoding in (None, "acbs")
    ]
    assert weighed[0] == weighed[1]
    with pytest.raises(RequestError, match="decoding acbs searches for a text"):
        Engine(model).prepare(replace(asked(), encoder="expectation"))
    with pytest.raises(RequestError, match="top_p and top_k mean nothing"):
        Engine(model).prepare(asked(top_p=0.9))
