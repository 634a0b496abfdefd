"""Model Runner V2, which serves GPUs, on the CPU: vLLM's own runner, with Triton's interpreter in place of a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUPPORT = HERE.parents[2] / "support" / "triton_on_cpu"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
pytest.importorskip("vllm")
pytest.importorskip("triton")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("chosen", ["not long", pytest.param("long", marks=pytest.mark.long)])
def test_what_v2_says_is_what_transformers_says(chosen):
    """The cases of v2_cases.py: Triton decides at its import whether it interprets, hence a process of their own."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--timeout=800",
        "-m",
        chosen,
        str(HERE / "v2_cases.py"),
    ]
    environment = {
        "TRITON_INTERPRET": "1",
        "VLLM_USE_V2_MODEL_RUNNER": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, cwd=HERE.parents[3]
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


class Cls:
    """A model's class."""


@pytest.fixture
def choice(monkeypatch):
    from agents.backends.vllm import runner_v2

    monkeypatch.setattr("vllm.model_executor.model_loader.utils.get_model_cls", lambda config: Cls)
    return runner_v2


def test_the_choice_of_a_state_is_given_back(choice, monkeypatch):
    from types import SimpleNamespace

    config = SimpleNamespace(model_config=None)
    monkeypatch.setattr("vllm.v1.worker.gpu.model_states.resolve_model_state_cls", lambda *given: dict)
    with choice.states_chosen(config, lambda base: (base, "derived")):
        model = Cls()
        assert model.get_model_state_cls() == (dict, "derived")
        assert not hasattr(Cls, choice.CHOICE)
    with pytest.raises(ZeroDivisionError), choice.states_chosen(config, lambda base: base):
        _ = 1 / 0
    assert not hasattr(Cls, choice.CHOICE)


def test_another_sampler_is_refused():
    from agents.backends.vllm.runner_v2 import speaking_sampler
    from agents.errors import ConfigError

    with pytest.raises(ConfigError, match="cannot be told to speak"):
        speaking_sampler(object(), lambda *given: None)


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


@pytest.mark.gpu
def test_on_a_gpu_it_says_what_transformers_says(tiny, expected):
    import torch
    from support.plain_loops import say
    from support.vllm_engine import CRAMPED, engine

    from agents.backend import Prompt, Request, Sampling

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    encoders = ["expectation", None, "topk(k=5)", "gumbel"]
    requests = [
        Request(
            Prompt.of(f"case {number}, and what is asked in it?"),
            Sampling(temperature=0.7, max_tokens=24, seed=number, ignore_eos=True),
            encoders[number % 4],
        )
        for number in range(16)
    ]
    wanted = expected(requests)
    with engine(tiny("llama-wide"), gpu_memory_utilization=0.5, **CRAMPED) as backend:
        found = say(backend, requests)
        assert backend.state()["resumed"] > 0
    same = [one.message.token_ids == other.message.token_ids for one, other in zip(found, wanted, strict=True)]
    # Two ways of summing float32 may part at a tie; most requests have none.
    assert sum(same) >= 14, same
    for one, other, is_same in zip(found, wanted, same, strict=True):
        if is_same and one.message.cipher is not None:
            a, b = one.message.cipher.vectors.float(), other.message.cipher.vectors.float()
            assert bool(((a - b).norm(dim=1) <= 1e-3 * b.norm(dim=1)).all())
