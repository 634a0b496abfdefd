"""The worker for vLLM on GPUs: `worker_cls="agents.backends.vllm.worker_gpu.CipherGPUWorker"`. Not yet run on a GPU."""

from typing import Any

from vllm.v1.worker.gpu_worker import Worker

from agents.backends.vllm.last_words import LastWords
from agents.backends.vllm.rpc import CipherCalls
from agents.backends.vllm.runner import CipherRunner
from agents.backends.vllm.runner_v2 import CipherRunnerV2


class CipherGPUWorker(LastWords, CipherCalls, Worker):
    """vLLM's GPU worker with the hooked runner, V2 or V1 as vLLM chose."""

    def _make_model_runner(self) -> Any:
        runner = super()._make_model_runner()
        mixin = CipherRunnerV2 if self.use_v2_model_runner else CipherRunner
        # The class adds methods only.
        runner.__class__ = type(f"{mixin.__name__}On{type(runner).__name__}", (mixin, type(runner)), {})
        return runner
