"""The hooks for Model Runner V2, without a GPU: a stand-in that calls them as V2 does, around a real tiny model.

The stand-in keeps no cache: it remembers the inputs of each position and runs the model over all of them. What is tested is
whose vector is fed where and what a step yields, in parts, side by side and after preemption; the names and signatures that
V2 must have are looked up in the contract test.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agents.backend import Prompt, Request, Sampling
from agents.backends.vllm.directive import Directive
from agents.backends.vllm.draw import Draw, Drawer
from agents.backends.vllm.speaker import Speaker, WholeTable
from agents.errors import ConfigError
from kernels import EmbeddingTable

pytestmark = [pytest.mark.filterwarnings("default")]
pytest.importorskip("vllm")


class FakeSampler:
    """Greedy; leaves out what is masked, and divides by the temperature, as V2's sampler does before it samples."""

    def __init__(self, temperatures):
        self.temperatures = temperatures

    def __call__(self, logits, input_batch):
        divisors = [self.temperatures.get(request) or 1.0 for request in input_batch.req_ids]
        sampled, _ = self.sample(logits / torch.tensor(divisors)[:, None])
        return sampled

    def sample(self, logits):
        return logits.argmax(dim=1), logits


class FakeRunner:
    """As much of V2's runner as the hooks see."""

    def __init__(self, model):
        self.model, self.device = model, torch.device("cpu")
        self.embed = model.get_input_embeddings()
        self.buffer = torch.zeros(4096, self.embed.embedding_dim)
        self.ids, self.computed, self.inputs, self.temperatures = {}, {}, {}, {}

    def load_model(self):
        self.model_state = SimpleNamespace(prepare_inputs_embeds=self._prepare)
        self.sampler = FakeSampler(self.temperatures)

    def _prepare(self, encoder_inputs, batch, req_states):
        self.buffer[: len(batch.input_ids)] = self.embed(batch.input_ids)
        return self.buffer[: len(batch.input_ids)]

    def finish_requests(self, scheduler_output):
        for request in scheduler_output.finished_req_ids | scheduler_output.preempted_req_ids:
            for of in (self.ids, self.computed, self.inputs):
                of.pop(request)

    def add_requests(self, scheduler_output):
        for new in scheduler_output.scheduled_new_reqs:
            self.ids[new.req_id], self.computed[new.req_id], self.inputs[new.req_id] = (
                list(new.prefill_token_ids),
                0,
                [],
            )
            self.prefill[new.req_id] = len(new.prefill_token_ids)
            self.temperatures[new.req_id] = new.sampling_params.temperature

    prefill: dict

    @torch.inference_mode()
    def step(self, scheduled, new=(), finished=(), preempted=()):
        """Return the token of each request that yielded one."""
        output = SimpleNamespace(
            scheduled_new_reqs=list(new), finished_req_ids=set(finished), preempted_req_ids=set(preempted)
        )
        self.finish_requests(output)
        self.add_requests(output)
        if not scheduled:
            return {}
        names, counts = list(scheduled), list(scheduled.values())
        first = [self.computed[name] for name in names]
        ids = [self.ids[name][a : a + n] for name, a, n in zip(names, first, counts, strict=True)]
        batch = SimpleNamespace(
            req_ids=names,
            num_computed_tokens_np=np.array(first),
            num_scheduled_tokens=np.array(counts),
            prefill_len_np=np.array([self.prefill[name] for name in names]),
            query_start_loc_np=np.cumsum([0, *counts]),
            input_ids=torch.tensor([token for part in ids for token in part]),
        )
        inputs = self.model_state.prepare_inputs_embeds({}, batch, None)
        logits = []
        for index, name in enumerate(names):
            start, end = batch.query_start_loc_np[index : index + 2]
            self.inputs[name].append(inputs[start:end].clone())
            whole = torch.cat(self.inputs[name])[None]
            logits.append(self.model(inputs_embeds=whole, use_cache=False).logits[0, -1])
            self.computed[name] += int(end - start)
        sampled = self.sampler(torch.stack(logits), batch)
        said = {}
        for name, token in zip(names, sampled.tolist(), strict=True):
            if self.computed[name] >= self.prefill[name]:
                self.ids[name].append(token)
                said[name] = token
        return said


@pytest.fixture
def runner(tiny, monkeypatch):
    from transformers import AutoModelForCausalLM

    from agents.backends.vllm.runner_v2 import CipherRunnerV2

    monkeypatch.setattr("vllm.v1.worker.gpu.sample.sampler.Sampler", FakeSampler)

    class Runner(CipherRunnerV2, FakeRunner):
        def _make_ready(self, model):
            table = EmbeddingTable(self.embed.weight.detach())
            self.speaker = Speaker(WholeTable(table), self.device, num_tokens=table.num_tokens)
            self.drawer = Drawer()

    one = Runner(AutoModelForCausalLM.from_pretrained(tiny("llama-wide"), dtype=torch.float32).eval())
    one.prefill = {}
    one.load_model()
    return one


def asked(i, encoder="expectation", temperature=0.7, tokens=12):
    sampling = Sampling(temperature=temperature, max_tokens=tokens, seed=i, ignore_eos=True)
    return Request(Prompt.of(f"{'a b c d e f '[: 3 + i]}number {i}"), sampling, encoder)


def new_request(name, request, tiny, said=(), temperature=0.0):
    """As V2's scheduler hands a request over, after a preemption with what it said."""
    from transformers import AutoTokenizer

    from agents.fingerprint import ModelFingerprint
    from agents.tokenization import segments

    tokenizer = AutoTokenizer.from_pretrained(tiny("llama-wide"))
    model = ModelFingerprint(model="m", table="t", tokenizer="k", vocabulary=1, width=1)
    (ids,) = segments(request.prompt, tokenizer, model)
    sampling = request.sampling
    if request.encoder is None:
        extra = Draw(sampling.temperature, sampling.seed).extra_args()
    else:
        own = None if temperature else sampling.temperature
        extra = Directive(request.encoder, key=name, temperature=own, seed=sampling.seed, beliefs=8).extra_args()
    params = SimpleNamespace(extra_args=extra, temperature=temperature, seed=sampling.seed)
    return SimpleNamespace(req_id=name, prompt_len=len(ids), prefill_token_ids=[*ids, *said], sampling_params=params)


def check(runner, name, wanted, said):
    length = wanted.message.num_tokens
    assert said[:length] == list(wanted.message.token_ids)
    if wanted.message.cipher is None:
        return
    taken = runner.speaker.take(name, length)
    error = (taken["vectors"] - wanted.message.cipher.vectors).norm(dim=1)
    assert bool((error <= 1e-4 * wanted.message.cipher.vectors.norm(dim=1)).all())


def test_read_in_parts_side_by_side_and_after_preemption(runner, tiny, expected):
    """Two CIPHER requests and a text request; one prompt is read three tokens at a time, one request is preempted."""
    requests = {"a": asked(1), "b": asked(2, "topk(k=5)"), "c": asked(3, None)}
    wanted = dict(zip(requests, expected(list(requests.values())), strict=True))
    new = {name: new_request(name, request, tiny) for name, request in requests.items()}
    said = {name: [] for name in requests}

    def step(scheduled, **changes):
        for name, token in runner.step(scheduled, **changes).items():
            said[name].append(token)

    left = len(new["a"].prefill_token_ids)
    step({"a": 3, "c": len(new["c"].prefill_token_ids)}, new=[new["a"], new["c"]])
    while (left := left - 3) > 3:
        step({"a": 3, "c": 1})
    assert runner.held_back > 1
    step({"a": left, "b": len(new["b"].prefill_token_ids), "c": 1}, new=[new["b"]])
    for _ in range(5):
        step({"b": 1, "a": 1, "c": 1})
    # a gives its place to the others, with what it said.
    step({"b": 1, "c": 1}, preempted={"a"})
    again = new_request("a", requests["a"], tiny, said=said["a"])
    total = len(again.prefill_token_ids)
    step({"a": total - 2, "b": 1}, new=[again])
    step({"a": 2, "b": 1})
    assert runner.resumed == 1
    while left := {name: 1 for name in said if len(said[name]) < 12}:
        step(left)
    step({}, finished=set(requests))
    for name in requests:
        check(runner, name, wanted[name], said[name])
    assert runner.speaker.store.blocks_lent == 0
    assert not runner.speaker
    assert not runner.drawer


def test_a_temperature_that_vllm_divided_by_is_undone(runner, tiny, expected):
    """A request that leaves its temperature to vLLM's own parameter."""
    request = asked(4)
    (wanted,) = expected([request])
    new = new_request("a", request, tiny, temperature=0.7)
    said = [*runner.step({"a": len(new.prefill_token_ids)}, new=[new]).values()]
    while len(said) < 12:
        said += runner.step({"a": 1}).values()
    check(runner, "a", wanted, said)


def test_another_sampler_is_refused(runner, monkeypatch):
    from agents.backends.vllm.runner_v2 import hook

    with pytest.raises(ConfigError, match="a Other cannot be told to speak"):
        hook(type("Other", (), {})(), lambda *given: None)


def test_the_workers_of_both_runners_can_be_made():
    """The hooked classes of the GPU worker, as Python makes them; nothing is started."""
    from vllm.v1.worker.gpu.model_runner import GPUModelRunner as RunnerV2
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner as RunnerV1
    from vllm.v1.worker.gpu_worker import Worker

    from agents.backends.vllm.runner import CipherRunner
    from agents.backends.vllm.runner_v2 import CipherRunnerV2
    from agents.backends.vllm.worker_gpu import CipherGPUWorker

    for is_v2, mixin, base in ((True, CipherRunnerV2, RunnerV2), (False, CipherRunner, RunnerV1)):
        worker = CipherGPUWorker.__new__(CipherGPUWorker)
        worker.use_v2_model_runner = is_v2
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Worker, "_make_model_runner", lambda self, base=base: base.__new__(base))
            made = worker._make_model_runner()
        assert isinstance(made, base)
        assert type(made).__mro__[1] is mixin
        assert type(made).load_model is mixin.load_model
