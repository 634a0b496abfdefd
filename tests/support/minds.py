"""What every generating model of a design of its own has to do in the transformers engine."""

import torch
from support.plain_loops import generate, plain_cipher_loop

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.engine import Engine


def keep_sharpened(model, tokenizer, folder):
    """Write a model and its tokenizer to a folder, with weights so large that its beliefs are no longer flat."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 if weight.dim() == 1 else 8)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def assert_says_what_a_plain_loop_says(model, *, max_tokens):
    """CIPHER equals a loop over the plain model, and one-hot beliefs are their tokens; return the greedy tokens."""
    text = "Speak, what say you?"
    request = Request(Prompt.of(text), Sampling(temperature=0.8, max_tokens=max_tokens), "expectation")
    (ours,) = generate(Engine(model), [request])
    ids = model.tokenizer(f"{text}\nAnswer:").input_ids
    vectors, nearest = plain_cipher_loop(model.model, ids, 0.8, max_tokens, model.stop_ids)
    assert list(ours.message.token_ids) == nearest
    torch.testing.assert_close(ours.message.cipher.vectors.double(), vectors, rtol=1e-4, atol=1e-5)
    text_and_token = [Request(Prompt.of(text), Sampling(0.0, max_tokens=max_tokens), way) for way in (None, "token")]
    greedy = [generate(Engine(model), [one])[0].message.token_ids for one in text_and_token]
    assert greedy[0] == greedy[1]
    return greedy[0]


def assert_hears_alone_as_in_company(model, *, count=7, before="", max_tokens=lambda n: 8):
    """Vectors are heard to the same bytes alone and in company; return the requests and the digests of what was said.

    Args:
        model: with room for four rows.
        count: number of requests.
        before: what every prompt begins with.
        max_tokens: of a request, by its number.
    """
    (said,) = generate(Engine(model), [Request(Prompt.of("So."), Sampling(1.0, max_tokens=9), "expectation")])
    requests = [
        Request(
            Prompt.of(f"{before}{n} said: ", said.message, " and?"),
            Sampling(0.7, max_tokens=max_tokens(n), seed=n),
            ("expectation", None)[n % 2],
        )
        for n in range(count)
    ]
    alone = [generate(Engine(model, max_num_seqs=4), [request])[0].message.digest for request in requests]
    together = [one.message.digest for one in generate(Engine(model, max_num_seqs=4), requests)]
    assert alone == together
    return requests, together
