"""The transformers engine: text and CIPHER requests side by side in one batch with a KV cache."""

from agents.backends.transformers.backend import TransformersBackend

__all__ = ["TransformersBackend"]
