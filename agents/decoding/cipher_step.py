"""One step of a CIPHER message, the same in every engine: the encoder that was asked for, its vectors, their nearest tokens."""

from dataclasses import replace

import torch
from torch import Tensor

from agents.errors import RequestError
from kernels import EmbeddingTable, nearest_token
from kernels.belief import NOT_FINITE
from kernels.encoders import Encoder, Encoding, parse

# The likeliest tokens, among which the nearest one mostly is and can then be proven without a search.
CANDIDATES = 4


def requested_encoder(spec: str) -> Encoder:
    """Return the encoder that a request names.

    Raises:
        RequestError: no such encoder; the text lists those that exist.
    """
    try:
        return parse(spec)
    except ValueError as error:
        raise RequestError(str(error)) from error


def cipher_step(
    encoder: Encoder,
    logits: Tensor,
    table: EmbeddingTable,
    *,
    temperature: Tensor,
    seeds: Tensor,
    steps: Tensor,
    top: int,
    deferred: bool = False,
) -> tuple[Encoding, Tensor]:
    """Return the encoding of logits [n, V] and the nearest token of each vector [n].

    At least one belief is kept, since the search for the nearest token begins there; see `Encoder.encode` for the rest. A row
    that is no belief gets its argmax token where that is `deferred`.
    """
    said = encoder.encode(
        logits, table, temperature=temperature, seeds=seeds, steps=steps, top=max(top, 1), deferred=deferred
    )
    nearest = nearest_token(said.vectors, table, candidates=said.top_ids[:, :CANDIDATES], trusted=deferred).ids
    return settled(without_padding(said), nearest)


def settled(said: Encoding, nearest: Tensor) -> tuple[Encoding, Tensor]:
    """Return an encoding and its nearest tokens [n], which where something is wrong with a row is its argmax.

    An encoding that was not deferred comes back as it is: it would have been refused.
    """
    if said.status is None:
        return said, nearest
    finite = torch.isfinite(said.vectors).all(dim=1)
    status = torch.where((said.status == 0) & ~finite, NOT_FINITE, said.status)
    return replace(said, status=status), torch.where(status == 0, nearest, said.argmax)


def without_padding(said: Encoding) -> Encoding:
    """Return an encoding whose beliefs of probability 0 are of token 0.

    Which tokens fill up a distribution of fewer than `top` says nothing, and must not depend on the batch.
    """
    return replace(said, top_ids=said.top_ids.masked_fill(said.top_probabilities == 0, 0))
