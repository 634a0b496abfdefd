"""The worker for vLLM on GPUs: `worker_cls="agents.backends.vllm.worker_gpu.CipherGPUWorker"`. Not yet run on a GPU."""

from typing import Any

from vllm.v1.worker.gpu_worker import Worker

from agents.backends.vllm.last_words import LastWords
from agents.backends.vllm.rpc import CipherCalls
from agents.backends.vllm.speaking_worker import have_speak


class CipherGPUWorker(LastWords, CipherCalls, Worker):
    """vLLM's GPU worker with the hooked runner, V2 or V1 as vLLM chose."""

    def _make_model_runner(self) -> Any:
        runner = super()._make_model_runner()
        have_speak(runner, is_v2=self.use_v2_model_runner)
        return runner
