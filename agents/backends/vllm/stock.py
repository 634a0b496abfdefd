"""vLLM as it comes, beside our requests in one engine: text that is drawn by vLLM's own sampler, for comparison."""

import asyncio
from collections.abc import Sequence

from agents.backends.vllm.backend import VLLMBackend


async def stock(backend: VLLMBackend, prompts: Sequence[Sequence[int]], *, tokens: int, temperature: float) -> int:
    """Return how many tokens vLLM itself generated after some prompts of token ids, all at once.

    Args:
        backend: running.
        prompts: token ids.
        tokens: that each request generates.
        temperature: of all.
    """
    return sum(await asyncio.gather(*(_one(backend, list(ids), tokens, temperature) for ids in prompts)))


async def _one(backend: VLLMBackend, ids: list[int], tokens: int, temperature: float) -> int:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    params = SamplingParams(
        temperature=temperature,
        max_tokens=tokens,
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )
    return await backend.untouched(ids, params)
