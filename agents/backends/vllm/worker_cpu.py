"""The worker for vLLM on CPUs: `worker_cls="agents.backends.vllm.worker_cpu.CipherCPUWorker"`."""

from vllm.v1.worker.cpu_model_runner import CPUModelRunner
from vllm.v1.worker.cpu_worker import CPUWorker

from agents.backends.vllm.last_words import LastWords
from agents.backends.vllm.rpc import CipherCalls
from agents.backends.vllm.runner import CipherRunner


class CipherCPUModelRunner(CipherRunner, CPUModelRunner):
    """vLLM's CPU runner with the three hooks."""


class CipherCPUWorker(LastWords, CipherCalls, CPUWorker):
    """vLLM's CPU worker with the hooked runner."""

    def init_device(self) -> None:
        """Set the device up as vLLM does, and hook its runner."""
        super().init_device()
        # CPUWorker makes its runner in the middle of this method and offers no other place. The class adds methods only.
        self.model_runner.__class__ = CipherCPUModelRunner
