"""Agents: messages, prompts, backends. Public names are resolved lazily, so importing this package costs nothing.

The name also belongs to a package on PyPI (`openai-agents`); `debate doctor` says so where both are installed.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Backend": "agents.backend",
    "Capabilities": "agents.backend",
    "Cipher": "agents.message",
    "Generation": "agents.backend",
    "Message": "agents.message",
    "ModelFingerprint": "agents.fingerprint",
    "Request": "agents.backend",
    "Sampling": "agents.backend",
    "create_backend": "agents.registry",
    "read_message": "agents.message_file",
    "rerender": "agents.rerender",
    "write_message": "agents.message_file",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
