"""vLLM's sampler (V1), with some rows answered by somebody else."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p
from vllm.v1.sample.sampler import Sampler

Say = Callable[[Tensor], tuple[Tensor, Tensor]]


class CipherSampler(Sampler):
    """Everything that vLLM does to logits happens before: penalties, bad words, biases, structured output.

    Rows that nobody answers for are sampled as ever.
    """

    _say: Say | None = None
    _count = 0
    _restricts = False

    def answer(self, count: int, say: Say, *, restricts: bool) -> None:
        """Have `say` choose the tokens of some rows at the next call.

        Args:
            count: n, how many rows.
            say: processed logits [B, V] float32 of all rows → which rows it chooses for [n], and their tokens [n].
            restricts: whether any of the rows asks for min-p, top-k or top-p.
        """
        self._count, self._say, self._restricts = count, say, restricts

    def sample(self, logits: Tensor, sampling_metadata: Any, logprobs_mode_override: Any = None) -> Any:
        """Return (tokens [B], processed log-probabilities or None); see vLLM."""
        if self._say is None:
            return super().sample(logits, sampling_metadata, logprobs_mode_override)
        say, self._say = self._say, None
        belief = logits
        if self._restricts:
            belief = logits.masked_fill(self._left_out(logits.clone(), sampling_metadata), float("-inf"))
        # Before vLLM samples the rest, which it does in place.
        rows, said = say(belief)
        if self._count == len(logits) and self.logprobs_mode not in ("processed_logits", "processed_logprobs"):
            sampled, processed = torch.empty_like(said), None
        else:
            sampled, processed = super().sample(logits, sampling_metadata, logprobs_mode_override)
            sampled = sampled.long()
        sampled[rows] = said
        return sampled, processed

    def _left_out(self, logits: Tensor, metadata: Any) -> Tensor:
        """Which tokens min-p, top-k and top-p remove, [B, V] bool."""
        if metadata.temperature is None:
            return torch.zeros_like(logits, dtype=torch.bool)
        scaled = self.apply_temperature(logits, metadata.temperature, metadata.all_random)
        for processor in metadata.logitsprocs.argmax_invariant:
            scaled = processor.apply(scaled)
        return torch.isneginf(apply_top_k_top_p(scaled, metadata.top_k, metadata.top_p))
