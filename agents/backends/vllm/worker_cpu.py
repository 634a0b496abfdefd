"""The worker for vLLM on CPUs: `worker_cls="agents.backends.vllm.worker_cpu.CipherCPUWorker"`."""

from vllm.v1.worker.cpu_worker import CPUWorker

from agents.backends.vllm.last_words import LastWords
from agents.backends.vllm.rpc import CipherCalls
from agents.backends.vllm.speaking_worker import have_speak


class CipherCPUWorker(LastWords, CipherCalls, CPUWorker):
    """vLLM's CPU worker with the hooked runner, V1 or, where Triton runs on CPUs, V2 as vLLM chose."""

    def init_device(self) -> None:
        """Set the device up as vLLM does, and hook its runner."""
        super().init_device()
        # CPUWorker makes its runner in the middle of this method and offers no other place.
        have_speak(self.model_runner, is_v2=self.use_v2_model_runner)
