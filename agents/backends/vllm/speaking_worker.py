"""Which hooks a worker's model runner gets: those of the runner that vLLM chose, on GPUs and on CPUs alike."""

from typing import Any

from agents.backends.vllm.runner import CipherRunner
from agents.backends.vllm.runner_v2 import CipherRunnerV2


def have_speak(runner: Any, *, is_v2: bool) -> None:
    """Mix the hooks into a runner that was made and has loaded nothing yet: a class that adds methods only."""
    mixin = CipherRunnerV2 if is_v2 else CipherRunner
    runner.__class__ = type(f"{mixin.__name__}On{type(runner).__name__}", (mixin, type(runner)), {})
