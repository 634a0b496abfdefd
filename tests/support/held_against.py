"""Generations of an engine held against a model's own uncached forward pass, step by step."""

import torch

from agents.backend import Prompt, Request, Sampling
from agents.message import Message
from agents.tokenization import segments

# One passes the windows (8 and 16) while it is answered, one the switch (64) and a block (64) of prompts.
TEXTS = ["Hi", "What is it?", "Tell me, step by step, what twelve and seven are in", "A big number, " * 6]
STEPS = 8
TOLERANCE = 1e-4


def requests(count, texts=TEXTS):
    """Return requests for text and for vectors in turn."""
    return [asked(Prompt.of(texts[index // 2 % len(texts)]), vectors=index % 2 == 1) for index in range(count)]


def asked(prompt, *, vectors):
    """Return a greedy request for text, or one for vectors."""
    sampling = Sampling(temperature=float(vectors), max_tokens=STEPS, ignore_eos=True)
    return Request(prompt, sampling, "expectation" if vectors else None)


@torch.inference_mode()
def check(own, tokenizer, fingerprint, request, generation, tolerance=TOLERANCE):
    """Assert that each step is the next of the model's own forward pass over what stands before it.

    Args:
        own: the model of transformers, with eager attention.
        tokenizer, fingerprint: the engine's.
        request, generation: what was asked and said.
        tolerance: of a text's logit below the best, over their spread; of a vector's difference, over its length.
    """
    table = own.get_input_embeddings()(torch.arange(fingerprint.vocabulary))
    heard = [
        part.cipher.vectors if isinstance(part, Message) else table[part]
        for part in segments(request.prompt, tokenizer, fingerprint)
    ]
    said = list(generation.message.token_ids)
    assert len(said) == STEPS
    fed = table[said] if request.encoder is None else generation.message.cipher.vectors
    for step in range(STEPS):
        inputs = torch.cat([*heard, fed[:step]])[None]
        logits = own(inputs_embeds=inputs, use_cache=False).logits[0, -1].double()
        if request.encoder is None:
            assert logits[said[step]] >= logits.max() - tolerance * (logits.max() - logits.mean())
        else:
            right = torch.softmax(logits, 0)[: len(table)] @ table.double()
            assert (fed[step] - right).norm() <= tolerance * right.norm(), (
                f"step {step} after {inputs.shape[1]} positions"
            )
