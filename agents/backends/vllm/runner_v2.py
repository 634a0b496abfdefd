"""vLLM's Model Runner V2 (GPUs with Triton), decoding CIPHER requests beside text requests. Not yet run on a GPU.

The same three places as in V1 (runner.py), where V2 has them: `add_requests` and `finish_requests` (a preempted request is
removed there and added again with what it said as part of its prompt; its vectors are kept meanwhile), the model state's
`prepare_inputs_embeds`, and the sampler's `sample`. V2 samples on the device without waiting for the CPU; what is said here
stays on the device as well, in the order of the stream.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from agents.backends.vllm.speaking import Place, SpeakingRunner
from agents.errors import ConfigError

Answer = Callable[[Tensor, Tensor, Any], Tensor]


class CipherRunnerV2(SpeakingRunner):
    """Mixed in before a V2 GPUModelRunner."""

    # Of vLLM's runner.
    model: Any
    model_state: Any
    sampler: Any

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Load the weights, and make ready to speak on their table.

        Raises:
            ConfigError: a sampler or model state of another kind than is hooked here.
        """
        super().load_model(*args, **kwargs)  # type: ignore[misc]
        if not hasattr(self, "speaker"):
            self._make_ready(self.model)
        # Of vLLM's requests: temperatures that its sampler divides logits by.
        self._divisors: dict[str, float] = {}
        prepare = self.model_state.prepare_inputs_embeds

        def with_vectors(encoder_inputs: Any, input_batch: Any, req_states: Any) -> Tensor:
            inputs: Tensor = prepare(encoder_inputs, input_batch, req_states)
            if self.speaker:
                self._hear_oneself(inputs, input_batch)
            return inputs

        self.model_state.prepare_inputs_embeds = with_vectors
        hook(self.sampler, self._answer)

    def finish_requests(self, scheduler_output: Any) -> None:
        """See vLLM; preempted requests go on speaking later."""
        for request in scheduler_output.finished_req_ids:
            self._end(request)
            self._divisors.pop(request, None)
        super().finish_requests(scheduler_output)  # type: ignore[misc]

    def add_requests(self, scheduler_output: Any) -> None:
        """See vLLM."""
        super().add_requests(scheduler_output)  # type: ignore[misc]
        for new in scheduler_output.scheduled_new_reqs:
            if new.req_id in self.speaker:
                self.resumed += 1
                continue
            self._begin(new.req_id, new.sampling_params, new.prompt_len)
            if new.sampling_params is not None and new.sampling_params.temperature > 0:
                self._divisors[new.req_id] = float(new.sampling_params.temperature)

    def _hear_oneself(self, inputs: Tensor, batch: Any) -> None:
        """Write kept vectors over inputs [N, D]."""
        places: list[tuple[str, int]] = []
        rows: list[int] = []
        for index, request in enumerate(batch.req_ids):
            if request not in self.speaker:
                continue
            first, start = int(batch.num_computed_tokens_np[index]), int(batch.query_start_loc_np[index])
            for _, step, offset in self.speaker.kept(request, first, int(batch.num_scheduled_tokens[index])):
                places.append((request, step))
                rows.append(start + offset)
        self.speaker.fill(inputs, places, rows)

    def _answer(self, sampled: Tensor, processed: Tensor, batch: Any) -> Tensor:
        """Return the sampled tokens [B] with those of our rows in place, from the processed logits [B, V]."""
        spoken: list[Place] = []
        drawn: list[Place] = []
        for row, request in enumerate(batch.req_ids):
            mine = spoken if request in self.speaker else drawn if request in self.drawer else None
            if mine is None:
                continue
            position = int(batch.num_computed_tokens_np[row]) + int(batch.num_scheduled_tokens[row])
            # A prompt read in part, or a preempted request that is being recomputed, yields no token yet.
            if position < int(batch.prefill_len_np[row]):
                self.held_back += mine is spoken
                continue
            mine.append(Place(row, request, position))
        places = spoken + drawn
        if not places:
            return sampled
        rows = torch.tensor([place.row for place in places], device=processed.device)
        divisors = torch.tensor([self._divisors.get(place.request, 1.0) for place in places], device=processed.device)
        sampled[rows] = self._tokens(processed[rows].float() * divisors[:, None], spoken, drawn).to(sampled.dtype)
        return sampled


def hook(sampler: Any, answer: Answer) -> None:
    """Have `answer` look over what a V2 sampler sampled.

    Raises:
        ConfigError: no sampler of vLLM's own kind, or one whose logits are spread over ranks.
    """
    from vllm.v1.worker.gpu.sample.sampler import Sampler

    if type(sampler) is not Sampler:
        raise ConfigError(
            f"backend 'vllm': a {type(sampler).__name__} cannot be told to speak; watermarks are not supported"
        )
    # FlashInfer's fused sampler restricts inside and hands the logits on unrestricted, which would be said as they are.
    sampler.use_flashinfer = False
    sampler.__class__ = _hooked(Sampler)
    sampler.answer, sampler.batch = answer, None


def _hooked(base: Any) -> Any:
    class CipherSamplerV2(base):  # type: ignore[misc]
        """vLLM's V2 sampler: everything that it does to logits happens before."""

        def __call__(self, logits: Tensor, input_batch: Any) -> Any:
            self.batch = input_batch
            return super().__call__(logits, input_batch)

        def sample(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
            sampled, processed = super().sample(*args, **kwargs)
            return self.answer(sampled, processed, self.batch), processed

    return CipherSamplerV2
