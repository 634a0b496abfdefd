"""vLLM's Model Runner V2 (GPUs with Triton), decoding CIPHER requests beside text requests.

V2 asks a model's class which `ModelState` serves it. Ours is the one that vLLM would take, with three of its own methods:
`add_request` takes a request up, `prepare_inputs_embeds` writes kept vectors over the inputs of every position past a prompt, and
`custom_sampler` puts a sampler in place that answers for our rows. A preempted request is removed and added again with what it
said as part of its prompt; its vectors are kept meanwhile, so the runner itself is asked which requests have really ended.

V2 samples on the device without waiting for the CPU; what is said here stays on the device as well, in the order of the stream.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from agents.backends.vllm.speaking import Place, SpeakingRunner
from agents.errors import ConfigError

Answer = Callable[[Tensor, Tensor, Any], Tensor]

# By which V2 asks a model for its state.
CHOICE = "get_model_state_cls"


class CipherRunnerV2(SpeakingRunner):
    """Mixed in before a V2 GPUModelRunner."""

    # Of vLLM's runner.
    vllm_config: Any

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Load the weights, and make ready to speak on their table.

        Raises:
            ConfigError: a sampler of another kind than vLLM's own.
        """
        # Of vLLM's requests: temperatures that its sampler divides logits by.
        self._divisors: dict[str, float] = {}
        with states_chosen(self.vllm_config, self._speaking_state):
            super().load_model(*args, **kwargs)  # type: ignore[misc]

    def finish_requests(self, scheduler_output: Any) -> None:
        """See vLLM; preempted requests go on speaking later."""
        for request in scheduler_output.finished_req_ids:
            self._end(request)
            self._divisors.pop(request, None)
        super().finish_requests(scheduler_output)  # type: ignore[misc]

    def _speaking_state(self, base: Any) -> Any:
        """Return a class of model states that speak, derived from the one that vLLM takes for the model."""
        runner = self

        class CipherModelState(base):  # type: ignore[misc]
            """vLLM's state of this model, which speaks."""

            def __init__(self, vllm_config: Any, model: Any, *args: Any) -> None:
                super().__init__(vllm_config, model, *args)
                if not hasattr(runner, "speaker"):
                    runner._make_ready(model)

            def add_request(self, req_index: int, new_req_data: Any) -> None:
                super().add_request(req_index, new_req_data)
                runner._take_up(new_req_data)

            def prepare_inputs_embeds(self, encoder_inputs: Any, input_batch: Any, req_states: Any) -> Any:
                inputs = super().prepare_inputs_embeds(encoder_inputs, input_batch, req_states)
                if runner.speaker:
                    runner._hear_oneself(inputs, input_batch)
                return inputs

            def custom_sampler(self, sampler: Any) -> tuple[Any, None]:
                if super().custom_sampler(sampler) is not None:
                    raise ConfigError(
                        f"backend 'vllm': {type(self.model).__name__} has a sampler of its own, which cannot be told to speak"
                    )
                return speaking_sampler(sampler, runner._answer), None

        return CipherModelState

    def _take_up(self, new: Any) -> None:
        if new.req_id in self.speaker:
            self.resumed += 1
            return
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
        if spoken or drawn:
            divisors = [self._divisors.get(place.request, 1.0) for place in spoken + drawn]
            rows, tokens = self._tokens(processed, spoken, drawn, divisors)
            sampled[rows] = tokens.to(sampled.dtype)
        return sampled


@contextmanager
def states_chosen(vllm_config: Any, derive: Callable[[Any], Any]) -> Iterator[None]:
    """Have the model that is loaded meanwhile be served by a state of a class that is derived from vLLM's own choice.

    Args:
        vllm_config: of the model.
        derive: vLLM's choice → the class.
    """
    from vllm.model_executor.model_loader.utils import get_model_cls
    from vllm.v1.worker.gpu.model_states import resolve_model_state_cls

    model_class = get_model_cls(vllm_config.model_config)
    own = vars(model_class).get(CHOICE)

    def give_back() -> None:
        if own is not None:
            setattr(model_class, CHOICE, own)
        elif CHOICE in vars(model_class):
            delattr(model_class, CHOICE)

    def chosen(model: Any) -> Any:
        give_back()
        return derive(resolve_model_state_cls(vllm_config, model))

    setattr(model_class, CHOICE, chosen)
    try:
        yield
    finally:
        give_back()


def speaking_sampler(sampler: Any, answer: Answer) -> Any:
    """Return a V2 sampler like another one, in which `answer` looks over what was sampled.

    Raises:
        ConfigError: no sampler of vLLM's own kind.
    """
    from vllm.v1.worker.gpu.sample.sampler import Sampler

    if type(sampler) is not Sampler:
        raise ConfigError(
            f"backend 'vllm': a {type(sampler).__name__} cannot be told to speak; watermarks are not supported"
        )

    class CipherSamplerV2(Sampler):  # type: ignore[misc]
        """vLLM's V2 sampler: everything that it does to logits happens before."""

        def __init__(self) -> None:
            self.__dict__.update(vars(sampler))
            # FlashInfer's fused sampler restricts inside and hands the logits on unrestricted, which would be said as they are.
            self.use_flashinfer = False

        def __call__(self, logits: Tensor, input_batch: Any) -> Any:
            self.batch = input_batch
            return super().__call__(logits, input_batch)

        def sample(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
            sampled, processed = super().sample(*args, **kwargs)
            return answer(sampled, processed, self.batch), processed

    return CipherSamplerV2()
