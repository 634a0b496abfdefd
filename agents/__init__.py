"""Agents: messages, prompts, backends. Public names are resolved lazily, so importing this package costs nothing.

The name also belongs to a package on PyPI (`openai-agents`); `debate doctor` says so where both are installed.
"""

from typing import TYPE_CHECKING

from kernels.lazy import lazy_names

if TYPE_CHECKING:
    from agents.backend import Backend as Backend
    from agents.backend import Capabilities as Capabilities
    from agents.backend import Generation as Generation
    from agents.backend import Request as Request
    from agents.backend import Sampling as Sampling
    from agents.fingerprint import ModelFingerprint as ModelFingerprint
    from agents.message import Cipher as Cipher
    from agents.message import Message as Message
    from agents.message_file import read_message as read_message
    from agents.message_file import write_message as write_message
    from agents.registry import create_backend as create_backend
    from agents.rerender import rerender as rerender
__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
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
    },
)
