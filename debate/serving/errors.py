"""What went wrong, as an HTTP status and a body in the form of OpenAI's errors."""

from collections.abc import Mapping
from typing import Any

from agents.errors import (
    BackendFailed,
    ConfigError,
    MessageError,
    MessageMismatch,
    PromptError,
    PromptTooLong,
    RequestError,
    UnknownName,
)
from debate.runtime.faults import GivenUp


class ApiError(Exception):
    """A request that is not answered as asked.

    Args:
        status: of HTTP.
        message: what was given, what is allowed, what to do.
        code: for programs.
        param: the key of the request that it is about.
        headers: of the response.
        detail: what programs need besides, as JSON values.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers, self.detail = dict(headers or {}), dict(detail or {})

    @property
    def body(self) -> dict[str, Any]:
        """The body of the response."""
        error = {"message": self.message, "type": _kind(self.status), "param": self.param, "code": self.code}
        return {"error": {**error, "detail": self.detail} if self.detail else error}


def as_api_error(error: BaseException) -> ApiError:
    """Return the response to an exception; one that is a fault of ours says nothing of its inside."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, PromptTooLong):
        counts = {name: getattr(error, name) for name in ("prompt_tokens", "max_tokens", "context")}
        return ApiError(400, str(error), code="context_length_exceeded", param="messages", detail=counts)
    if isinstance(error, GivenUp | BackendFailed):
        return ApiError(502, f"the engine failed: {error}", code="engine_failed")
    if isinstance(error, MessageMismatch):
        return ApiError(400, str(error), code="message_mismatch")
    if isinstance(error, MessageError):
        return ApiError(400, str(error), code="invalid_message")
    if isinstance(error, RequestError | ConfigError | PromptError | UnknownName):
        return ApiError(400, str(error), code="invalid_request")
    return ApiError(500, "the server failed over this request; its log says why", code="internal_error")


def _kind(status: int) -> str:
    if status == 401:
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
