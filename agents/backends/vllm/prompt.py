"""A prompt as vLLM takes it, and how likely it finds texts after one."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load

from agents.backend import TokenRead, read_whole
from agents.backends.vllm.engine import Engine
from agents.backends.vllm.pending import VLLMPending
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.rerender import vectors_for
from agents.tokenization import Segment


async def vllm_prompt(
    engine: Engine,
    found: Sequence[Segment],
    weights: Sequence[torch.Tensor | None],
    *,
    model: ModelFingerprint,
    dtype: torch.dtype,
) -> tuple[Any, int]:
    """Return the prompt for vLLM, and its length; text alone goes as tokens, so that its blocks are text's blocks.

    Args:
        engine: renders messages of other models on its table.
        found: the prompt.
        weights: of each message the weights of its beliefs on this model's table, [T, K]; None where its vectors are.
        model, dtype: of the table.
    """
    from vllm.inputs.engine import embeds_input, tokens_input

    if not any(isinstance(segment, Message) for segment in found):
        ids = [token for segment in found for token in segment]  # type: ignore[union-attr]
        return tokens_input(ids), len(ids)
    tokens: list[int] = []
    is_token: list[bool] = []
    parts: list[torch.Tensor] = []
    for segment, share in zip(found, weights, strict=True):
        if isinstance(segment, Message):
            vectors = await _vectors(engine, segment, share, model, dtype)
            tokens += [0] * len(vectors)
            is_token += [False] * len(vectors)
            parts.append(vectors)
        else:
            tokens += segment
            is_token += [True] * len(segment)
            parts.append(torch.zeros(len(segment), model.width, dtype=dtype))
    embeds = torch.cat(parts)
    return embeds_input(embeds, prompt_token_ids=tokens, is_token_ids=is_token), len(tokens)


async def log_likelihoods(
    engine: Engine, ids: list[int], choices: Sequence[list[int]], pending: VLLMPending, *, adapter: Any, number: str
) -> list[float]:
    """Return the log-likelihood of each choice after a prompt, in nats; fewer where the request is cancelled.

    Args:
        engine: where each is read behind the prompt, as a prompt of its own.
        ids: the prompt.
        choices: the tokens of each.
        pending: asks between two of them whether anybody still waits.
        adapter: vLLM's request for it, or None.
        number: of the request.
    """
    from vllm import SamplingParams
    from vllm.inputs.engine import tokens_input

    # A token must be generated; none is looked at. vLLM computes a prompt anew whose log-probabilities are asked for.
    params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False)
    found: list[float] = []
    for place, choice in enumerate(choices):
        if pending.is_cancelled:
            break
        likely: list[dict[int, Any] | None] = []
        async for output in engine.generate(tokens_input(ids + choice), params, f"{number}-{place}", adapter):
            likely = output.prompt_logprobs or likely
        told = zip(choice, likely[len(ids) :], strict=True)
        found.append(math.fsum(at[token].logprob for token, at in told if at is not None))
    return found


async def tokens_read(
    engine: Engine, ids: Sequence[int], pending: VLLMPending, *, adapter: Any, number: str
) -> tuple[TokenRead, ...]:
    """Return each token with how likely it is after those before it, and the likeliest one after them; () where cancelled.

    Args:
        engine: where they are read.
        ids: the tokens.
        pending: says whether anybody still waits.
        adapter: vLLM's request for it, or None.
        number: of the request.
    """
    from vllm import SamplingParams
    from vllm.inputs.engine import tokens_input

    # The last once more: what stands there, whatever it is, is what comes after it.
    params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=1, detokenize=False)
    whole = [*ids, ids[-1]]
    likely: list[dict[int, Any] | None] = []
    async for output in pending.while_wanted(engine.generate(tokens_input(whole), params, number, adapter)):
        likely = output.prompt_logprobs or likely
    if pending.is_cancelled:
        return ()
    after = zip(whole[1:], likely[1:], strict=True)
    return read_whole(ids, [_token_read(token, at) for token, at in after if at is not None])


def _token_read(token: int, at: dict[int, Any]) -> TokenRead:
    best = max(at, key=lambda id: at[id].logprob)
    return TokenRead(token, at[token].logprob, best, at[best].logprob)


async def _vectors(
    engine: Engine, message: Message, weights: torch.Tensor | None, model: ModelFingerprint, dtype: torch.dtype
) -> torch.Tensor:
    """Return a message's vectors on this model's table, [T, D]."""
    assert message.cipher is not None
    if weights is None:
        there = vectors_for(message, model)
        assert there is not None, "kept beliefs come with weights"
        return there.to("cpu", dtype)
    if not len(weights):
        return torch.zeros(0, model.width, dtype=dtype)
    ids: list[list[int]] = message.cipher.top_ids.tolist()
    data = await engine.call("cipher_render", ids, weights.tolist())
    vectors: torch.Tensor = load(bytes(data))["vectors"]
    return vectors
