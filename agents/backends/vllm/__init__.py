"""CIPHER decoding inside an unmodified vLLM. The backend is imported on first use: what one module needs alone costs no more."""

from typing import TYPE_CHECKING

from kernels.lazy import lazy_names

if TYPE_CHECKING:
    from agents.backends.vllm.backend import VLLMBackend as VLLMBackend
__all__, __getattr__, __dir__ = lazy_names(__name__, {"VLLMBackend": "agents.backends.vllm.backend"})
