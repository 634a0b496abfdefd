"""A backend around another, for those that add something to it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agents.backend import Backend, Capabilities, Load, Pending, Request
from agents.fingerprint import ModelFingerprint

if TYPE_CHECKING:
    from kernels import EmbeddingTable


class Wrapped(Backend):
    """Everything as the inner backend has it; derive from it and change what is to be different.

    Args:
        inner: the backend that answers.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    @property
    def tokenizer(self) -> Any:
        """The model's."""
        return self.inner.tokenizer

    @property
    def table(self) -> "EmbeddingTable | None":  # type: ignore[override]
        """The model's."""
        return self.inner.table

    @property
    def load(self) -> Load:  # type: ignore[override]
        """The inner backend's totals."""
        return self.inner.load

    @property
    def capabilities(self) -> Capabilities:
        """The inner backend's."""
        return self.inner.capabilities

    @property
    def fingerprint(self) -> ModelFingerprint:
        """The model's."""
        return self.inner.fingerprint

    @property
    def decoding(self) -> Mapping[str, Any]:
        """The inner backend's."""
        return self.inner.decoding

    def submit(self, request: Request) -> Pending:
        """Queue a request with the inner backend."""
        return self.inner.submit(request)

    async def close(self) -> None:
        """Close the inner backend."""
        await self.inner.close()
