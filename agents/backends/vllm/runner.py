"""vLLM's V1 model runner, decoding CIPHER requests beside text requests.

Three hooks, each a method that vLLM's runner has: `_update_states` (requests come and go), `_preprocess` (kept vectors are
written over the input embeddings of every position past a CIPHER request's prompt: one a step, all of them again after a
preemption) and `_sample` (vectors and nearest tokens from the processed logits; rows that yield no token yet are left out).
"""

from typing import Any

import torch

from agents.backends.vllm.sampler import CipherSampler
from agents.backends.vllm.speaking import Place, SpeakingRunner


class CipherRunner(SpeakingRunner):
    """Mixed in before a V1 GPUModelRunner."""

    # Of vLLM's runner.
    model: Any
    input_batch: Any
    requests: dict[str, Any]
    discard_request_mask: Any
    optimistic_seq_lens_cpu: torch.Tensor
    query_start_loc: Any

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Load the weights, and make ready to speak on their table."""
        super().load_model(*args, **kwargs)  # type: ignore[misc]
        if not hasattr(self, "speaker"):
            self._make_ready(self.model)
        own: Any = self.sampler  # type: ignore[has-type]
        self.sampler = CipherSampler(own.logprobs_mode, own.use_fp64_gumbel)

    def _update_states(self, scheduler_output: Any) -> Any:
        for request in scheduler_output.finished_req_ids:
            self._end(request)
        self.resumed += sum(r in self.speaker for r in scheduler_output.scheduled_cached_reqs.resumed_req_ids)
        done = super()._update_states(scheduler_output)  # type: ignore[misc]
        for new in scheduler_output.scheduled_new_reqs:
            self._begin(new.req_id, new.sampling_params, self.requests[new.req_id].num_prompt_tokens)
        return done

    def _preprocess(self, scheduler_output: Any, num_input_tokens: int, intermediate_tensors: Any = None) -> Any:
        prepared = super()._preprocess(scheduler_output, num_input_tokens, intermediate_tensors)  # type: ignore[misc]
        inputs = prepared[1]
        if self.speaker and inputs is not None:
            self._hear_oneself(inputs, scheduler_output.num_scheduled_tokens)
        return prepared

    def _hear_oneself(self, inputs: torch.Tensor, scheduled: dict[str, int]) -> None:
        """Write kept vectors over inputs [N, D]."""
        places: list[tuple[str, int]] = []
        rows: list[int] = []
        for index, request in enumerate(self.input_batch.req_ids):
            if request not in self.speaker:
                continue
            first = int(self.input_batch.num_computed_tokens_cpu[index])
            start = int(self.query_start_loc.np[index])
            for _, step, offset in self.speaker.kept(request, first, scheduled[request]):
                places.append((request, step))
                rows.append(start + offset)
        self.speaker.fill(inputs, places, rows)

    def _sample(self, logits: torch.Tensor | None, spec_decode_metadata: Any) -> Any:
        if (self.speaker or self.drawer) and logits is not None:
            self._answer()
        return super()._sample(logits, spec_decode_metadata)  # type: ignore[misc]

    def _answer(self) -> None:
        """Take the rows of this step that are ours from the sampler."""
        spoken: list[Place] = []
        drawn: list[Place] = []
        restricts = False
        for row, request in enumerate(self.input_batch.req_ids):
            mine = spoken if request in self.speaker else drawn if request in self.drawer else None
            if mine is None:
                continue
            # A prompt read in part, or a preempted request that is being recomputed, yields no token yet.
            if self.discard_request_mask.np[row]:
                self.held_back += mine is spoken
                continue
            mine.append(Place(row, request, int(self.optimistic_seq_lens_cpu[row])))
            params = self.requests[request].sampling_params
            restricts |= params.min_p > 0 or params.top_k > 0 or params.top_p < 1
        if spoken or drawn:
            self.sampler.answer(
                len(spoken) + len(drawn), lambda belief: self._tokens(belief, spoken, drawn), restricts=restricts
            )
