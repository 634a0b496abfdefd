"""CIPHER decoding inside an unmodified vLLM."""

from agents.backends.vllm.backend import VLLMBackend

__all__ = ["VLLMBackend"]
