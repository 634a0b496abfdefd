"""Content controls: what a hearer gets in place of a soft message, to find out what the message carries.

For each step, with q the distribution that the encoder mixes over the table's tokens, v its likeliest token (the lowest id of
equals), and every permutation drawn from (seed, step) alone:

top1            E_v: the likeliest token and nothing else
tail            q without v, renormalised
shuffled-tail   v keeps q_v, and the weights of all other tokens are permuted among these
hull-noise      the weights of all tokens are permuted: a random convex combination of rows with exactly q's entropy
noise           a random direction with the length of the message's own vector

They answer "a soft token is its top-1 token" (arXiv:2508.03440) and "latent content is redundant" (arXiv:2512.21711). Whole
beliefs are needed, so they are rendered at the step where the belief is; a row's result does not depend on the rows beside it.

B rows, V tokens, D embedding width.
"""

import torch
from torch import Tensor

from kernels import noise
from kernels.belief import as_temperature, check_maxima, first_argmax, scaled_logits
from kernels.content import RENDERED_CONTENTS
from kernels.encoders.base import Encoder
from kernels.encoders.rules import Expectation
from kernels.errors import InvalidBelief
from kernels.table import EmbeddingTable, as_table

# Of `noise.uniform` and `noise.normal`: encoders draw from lower ones.
_PERMUTATION, _DIRECTION = 64, 40


def controlled_vectors(
    content: str,
    encoder: Encoder,
    logits: Tensor,
    table: EmbeddingTable | Tensor,
    *,
    temperature: Tensor | float,
    seeds: Tensor,
    steps: Tensor,
) -> Tensor:
    """Return the vectors [B, D] of a control, in the table's dtype.

    Args:
        content: one of RENDERED_CONTENTS.
        encoder: how the intact message is mixed.
        logits: [B, V]; -inf marks tokens that must not be mixed in.
        table: [V, D].
        temperature, seeds, steps: [B], as for `Encoder.encode`.

    Raises:
        InvalidBelief: a row is no belief, or has no tail: at temperature 0 it is one token.
        ValueError: no such control, or the encoder's weights are no distribution.
    """
    table = as_table(table)
    if content == "noise":
        vectors = encoder.encode(logits, table, temperature=temperature, seeds=seeds, steps=steps).vectors
        return _random_directions(vectors, noise.row_keys(seeds, steps))
    if content == "top1" and type(encoder) is Expectation:
        # What is likeliest does not change with the temperature: no weights in float64 are needed to find it.
        as_temperature(temperature, logits.shape[0], logits.device)
        maxima = logits.amax(dim=-1)
        check_maxima(maxima.detach())
        return table.weight[first_argmax(logits, maxima)]
    log_q = controlled_log_weights(content, encoder, logits, temperature=temperature, seeds=seeds, steps=steps)
    if content == "top1":
        # Copied: nothing is added up.
        return table.weight[log_q.argmax(dim=-1)]
    ones = torch.ones(len(log_q), device=logits.device)
    return Expectation().encode(log_q.float(), table, temperature=ones, seeds=seeds, steps=steps).vectors


def controlled_log_weights(
    content: str,
    encoder: Encoder,
    logits: Tensor,
    *,
    temperature: Tensor | float,
    seeds: Tensor,
    steps: Tensor,
) -> Tensor:
    """Return log q' [B, V] float64 of a control that is a mixture of rows: any but `noise`; see `controlled_vectors`."""
    if content not in RENDERED_CONTENTS or content == "noise":
        known = ", ".join(name for name in RENDERED_CONTENTS if name != "noise")
        raise ValueError(f"content {content!r} is no mixture; known: {known}")
    if encoder.may_exceed:
        raise ValueError(
            f"content {content} needs an encoder that mixes by a distribution, and {encoder}'s weights are none"
        )
    temperatures = as_temperature(temperature, logits.shape[0], logits.device)
    with torch.no_grad():
        z = logits.double()
        # In float64 the tail of a sharp belief is there, which float32 rounds to nothing.
        scaled = scaled_logits(z, temperatures)
        q = encoder.weights(scaled, z, seeds, steps).double()
        q = torch.where((temperatures == 0)[:, None], scaled.softmax(dim=-1), q)
        log_q = (q / q.sum(dim=-1, keepdim=True)).log()
        best = (log_q == log_q.amax(dim=-1, keepdim=True)).to(torch.uint8).argmax(dim=-1, keepdim=True)
        if content == "top1":
            return torch.full_like(log_q, float("-inf")).scatter(1, best, 0.0)
        if content == "tail":
            return _tail(log_q, scaled, best)
        kept = torch.isfinite(z)
        if content == "shuffled-tail":
            kept = kept.scatter(1, best, value=False)
        return _permuted(log_q, kept, noise.row_keys(seeds, steps))


def _tail(log_q: Tensor, scaled: Tensor, best: Tensor) -> Tensor:
    """log q without its likeliest token; of a q that is this token alone the belief without it."""
    rest = log_q.scatter(1, best, float("-inf"))
    empty = ~torch.isfinite(rest).any(dim=-1, keepdim=True)
    rest = torch.where(empty, scaled.scatter(1, best, float("-inf")), rest)
    if bool((nothing := ~torch.isfinite(rest).any(dim=-1)).any()):
        rows = tuple(nothing.nonzero()[:, 0].tolist())
        raise InvalidBelief(f"logits row {rows[0]}: the belief is one token, which leaves no tail", rows)
    return rest.log_softmax(dim=-1)


def _permuted(log_q: Tensor, allowed: Tensor, keys: Tensor) -> Tensor:
    """log q [B, V] with the entries of the allowed tokens permuted among these, by each row's key [B]."""
    found = log_q.clone()
    for row, key in enumerate(keys):
        tokens = allowed[row].nonzero()[:, 0]
        order = noise.uniform(key[None, None], tokens[None], _PERMUTATION)[0].argsort(stable=True)
        found[row, tokens] = log_q[row, tokens[order]]
    return found


def _random_directions(vectors: Tensor, keys: Tensor) -> Tensor:
    """Directions drawn evenly from the sphere, each as long as the row of `vectors` [B, D] in its place."""
    places = torch.arange(vectors.shape[1], device=vectors.device)
    drawn = noise.normal(keys[:, None], places, _DIRECTION).double()
    lengths = vectors.double().norm(dim=-1, keepdim=True)
    made: Tensor = drawn * (lengths / drawn.norm(dim=-1, keepdim=True))
    return made.to(vectors.dtype)
