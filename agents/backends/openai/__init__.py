"""Text by API: chat completions of any server that speaks OpenAI's protocol."""

from agents.backends.openai.backend import OpenAIBackend

__all__ = ["OpenAIBackend"]
