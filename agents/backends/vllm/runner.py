"""vLLM's V1 model runner, decoding CIPHER requests beside text requests.

Three hooks, each a method that vLLM's runner has: `_update_states` (requests come and go), `_preprocess` (kept vectors are
written over the input embeddings of every position past a CIPHER request's prompt: one a step, all of them again after a
preemption) and `_sample` (vectors and nearest tokens from the processed logits; rows that yield no token yet are left out).
"""

from typing import Any

import torch

from agents.backends.vllm.directive import KEY, read
from agents.backends.vllm.draw import Drawer
from agents.backends.vllm.embedding import table_hash, vocabulary_of
from agents.backends.vllm.sampler import CipherSampler
from agents.backends.vllm.speaker import Speaker, Vocabulary
from agents.errors import RequestError


class CipherRunner:
    """Mixed in before a V1 GPUModelRunner."""

    speaker: Speaker
    drawer: Drawer
    vocabulary: Vocabulary
    # SHA-256 of the table, as in ModelFingerprint.
    table_hash: str
    # CIPHER requests that came back after a preemption, and rows of theirs that yielded no step yet.
    resumed = 0
    held_back = 0
    # Of vLLM's runner.
    device: torch.device
    model: Any
    model_config: Any
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

    def load_lora_model(self, model: Any, *args: Any) -> Any:
        """Wrap the model for adapters; its table is looked at before, while it can be called without a batch."""
        self._make_ready(model)
        return super().load_lora_model(model, *args)  # type: ignore[misc]

    def _make_ready(self, model: Any) -> None:
        from vllm.distributed import get_tp_group

        num_tokens = self.model_config.get_vocab_size()
        self.table_hash = table_hash(model, num_tokens)
        self.vocabulary = vocabulary_of(model, num_tokens, get_tp_group())
        self.speaker = Speaker(self.vocabulary, self.device, num_tokens=num_tokens)
        self.drawer = Drawer()

    def render(self, ids: list[list[int]], weights: list[list[float]]) -> torch.Tensor:
        """Return [T, D] in the table's dtype: step t is the sum of weights[t][k] times the row of ids[t][k], in float32."""
        rows = self.vocabulary.rows(torch.tensor(ids, device=self.device).flatten()).float()
        mixed = torch.tensor(weights, device=self.device)[..., None] * rows.view(len(ids), -1, rows.shape[-1])
        return mixed.sum(dim=1).to(self.vocabulary.dtype)

    def _update_states(self, scheduler_output: Any) -> Any:
        for request in scheduler_output.finished_req_ids:
            self.speaker.end(request)
            self.drawer.end(request)
        self.resumed += sum(r in self.speaker for r in scheduler_output.scheduled_cached_reqs.resumed_req_ids)
        done = super()._update_states(scheduler_output)  # type: ignore[misc]
        for new in scheduler_output.scheduled_new_reqs:
            self._begin(new)
        return done

    def _begin(self, new: Any) -> None:
        params = new.sampling_params
        if params is None:
            return
        try:
            directive = read(params.extra_args)
        except RequestError as error:
            given = params.extra_args[KEY]
            key = given.get("key") if isinstance(given, dict) else None
            self.speaker.refuse(new.req_id, key if isinstance(key, str) else None, str(error))
            return
        length = self.requests[new.req_id].num_prompt_tokens
        if directive is None:
            self.drawer.begin(new.req_id, params.extra_args, length)
        else:
            self.speaker.begin(
                new.req_id, directive, temperature=params.temperature, seed=params.seed or 0, prompt_length=length
            )

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
        spoken: list[tuple[int, str, int]] = []
        drawn: list[tuple[int, str, int]] = []
        restricts = False
        for row, request in enumerate(self.input_batch.req_ids):
            mine = spoken if request in self.speaker else drawn if request in self.drawer else None
            if mine is None:
                continue
            # A prompt read in part, or a preempted request that is being recomputed, yields no token yet.
            if self.discard_request_mask.np[row]:
                self.held_back += mine is spoken
                continue
            mine.append((row, request, int(self.optimistic_seq_lens_cpu[row])))
            params = self.requests[request].sampling_params
            restricts |= params.min_p > 0 or params.top_k > 0 or params.top_p < 1
        if spoken or drawn:
            rows = [row for row, _, _ in spoken + drawn]
            self.sampler.answer(rows, lambda belief: self._tokens(belief, spoken, drawn), restricts=restricts)

    def _tokens(
        self, logits: torch.Tensor, spoken: list[tuple[int, str, int]], drawn: list[tuple[int, str, int]]
    ) -> torch.Tensor:
        """Return the tokens of spoken, then drawn (row, request, position), from their logits [n, V] in that order."""
        found: list[torch.Tensor] = []
        if spoken:
            requests = [request for _, request, _ in spoken]
            steps = [self.speaker.step_at(request, position) for _, request, position in spoken]
            found.append(self.speaker.say(logits[: len(spoken)], requests, steps))
        if drawn:
            requests = [request for _, request, _ in drawn]
            found.append(self.drawer.draw(logits[len(spoken) :], requests, [position for _, _, position in drawn]))
        return torch.cat(found)
