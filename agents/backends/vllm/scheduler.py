"""vLLM's scheduler, with prefix-cache keys that fit vectors.

Two things that vLLM's own keys do not know of. The blocks that a CIPHER request decodes hold the keys and values of vectors
while their hash is that of the nearest tokens: here they are salted with the request's id, so nobody else can take them,
and the request itself finds them again after a preemption. And the mask of a prompt that mixes tokens and vectors is not in
the hash (vllm-project/vllm#56655), while a block of its tokens alone is hashed with an (empty) embedding: here the blocks
before the first vector are hashed like any text, so the common prefix is shared, and from there on the mask is part of the
hash.
"""

import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from vllm.v1.core.kv_cache_utils import BlockHash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from agents.backends.vllm.directive import KEY
from agents.backends.vllm.orphan import end_with_parent

Hasher = Callable[[Any], list[BlockHash]]


def with_vectors(hasher: Hasher, block_size: int) -> Hasher:
    """Return a block hasher for one request that has vectors in its prompt or in what it says.

    Args:
        hasher: vLLM's own.
        block_size: tokens a hash.
    """

    def hashes(request: Any) -> list[BlockHash]:
        done = len(request.block_hashes)
        # Asked at every token; there is something to do once a block.
        if (done + 1) * block_size > request.num_tokens:
            return []
        found: list[BlockHash] = []
        mask: list[bool] | None = request.prompt_is_token_ids
        if mask is not None and False in mask and done * block_size < (first := mask.index(False)):
            found = hasher(_as_if(request, num_tokens=first, prompt_embeds=None))
        rest = _as_if(request, block_hashes=[*request.block_hashes, *found])
        for index, value in enumerate(hasher(rest), start=done + len(found)):
            start, end = index * block_size, (index + 1) * block_size
            salt = b""
            if mask is not None:
                salt += bytes(mask[start:end])
            if end > request.num_prompt_tokens and _speaks_vectors(request):
                salt += request.request_id.encode()
            found.append(BlockHash(hashlib.sha256(bytes(value) + salt).digest()) if salt else value)
        return found

    return hashes


# What a hasher looks at.
READ = (
    *("block_hashes", "num_tokens", "all_token_ids", "mm_features", "lora_request", "cache_salt"),
    *("prompt_embeds", "_prompt_embeds_per_block_hashes"),
)


def _as_if(request: Any, **changes: Any) -> Any:
    """The request with some things other than they are, as far as a hasher looks at it."""
    return SimpleNamespace(**{name: getattr(request, name) for name in READ} | changes)


def _speaks_vectors(request: Any) -> bool:
    params = request.sampling_params
    return bool(params is not None and params.extra_args and KEY in params.extra_args)


class CipherKeys:
    """Mixed in before a vLLM scheduler."""

    hash_block_size: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The one part of ours that lives in the engine's own process whatever its workers are; they watch it in turn.
        end_with_parent()

    def add_request(self, request: Any) -> None:
        """Queue a request, its blocks hashed so that nobody takes vectors for tokens."""
        if request._block_hasher is not None and (
            _speaks_vectors(request) or request.prompt_is_token_ids is not None or request.prompt_embeds is not None
        ):
            request._block_hasher = with_vectors(request._block_hasher, self.hash_block_size)
            request.block_hashes.clear()
            request.update_block_hashes()
        super().add_request(request)  # type: ignore[misc]


class CipherScheduler(CipherKeys, Scheduler):
    """For engines that schedule one step at a time (CPUs)."""


class CipherAsyncScheduler(CipherKeys, AsyncScheduler):
    """For engines that schedule a step while the one before runs (GPUs)."""
