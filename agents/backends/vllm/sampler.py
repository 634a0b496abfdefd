"""vLLM's sampler (V1), with some rows answered by somebody else."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p
from vllm.v1.sample.sampler import Sampler

Say = Callable[[Tensor], Tensor]


class CipherSampler(Sampler):
    """Everything that vLLM does to logits happens before: penalties, bad words, biases, structured output.

    Rows that are not named to `answer` are sampled as ever.
    """

    _rows: Sequence[int] = ()
    _say: Say | None = None
    _restricts = False

    def answer(self, rows: Sequence[int], say: Say, *, restricts: bool) -> None:
        """Have `say` choose the tokens of some rows at the next call.

        Args:
            rows: which rows of the logits.
            say: their processed logits [n, V] float32 → tokens [n].
            restricts: whether any of the rows asks for min-p, top-k or top-p.
        """
        self._rows, self._say, self._restricts = rows, say, restricts

    def sample(self, logits: Tensor, sampling_metadata: Any, logprobs_mode_override: Any = None) -> Any:
        """Return (tokens [B], processed log-probabilities or None); see vLLM."""
        if self._say is None:
            return super().sample(logits, sampling_metadata, logprobs_mode_override)
        rows, say = self._rows, self._say
        self._say = None
        is_alone = len(rows) == len(logits)
        # The sampler works in place: what is read here is taken before.
        is_whole = list(rows) == list(range(len(logits)))
        belief = logits if is_whole else logits[list(rows)]
        if self._restricts:
            belief = belief.masked_fill(self._left_out(logits.clone(), sampling_metadata)[list(rows)], float("-inf"))
        if is_alone and self.logprobs_mode not in ("processed_logits", "processed_logprobs"):
            tokens = torch.empty(len(rows), dtype=torch.int64, device=logits.device)
            tokens[self._index(rows, logits)] = say(belief)
            return tokens, None
        sampled, processed = super().sample(logits, sampling_metadata, logprobs_mode_override)
        sampled = sampled.long()
        sampled[self._index(rows, logits)] = say(belief)
        return sampled, processed

    @staticmethod
    def _index(rows: Sequence[int], logits: Tensor) -> Tensor:
        return torch.tensor(list(rows), device=logits.device)

    def _left_out(self, logits: Tensor, metadata: Any) -> Tensor:
        """Which tokens min-p, top-k and top-p remove, [B, V] bool."""
        if metadata.temperature is None:
            return torch.zeros_like(logits, dtype=torch.bool)
        scaled = self.apply_temperature(logits, metadata.temperature, metadata.all_random)
        for processor in metadata.logitsprocs.argmax_invariant:
            scaled = processor.apply(scaled)
        return torch.isneginf(apply_top_k_top_p(scaled, metadata.top_k, metadata.top_p))
