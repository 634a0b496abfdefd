"""An agent of a debate that is served on another machine: text and CIPHER over HTTP."""

from agents.backends.remote.backend import RemoteBackend

__all__ = ["RemoteBackend"]
