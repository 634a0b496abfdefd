"""What the server answers, as an OpenAPI description: for programs that read one, and for tests that try everything in it."""

from typing import Any

from pydantic import BaseModel

from agents.installed import installed_version
from agents.remote_request import FILE_TYPE, RemoteRequest
from debate.serving.requests import ChatAsked, CompletionAsked, DetokenizeAsked, TokenizeAsked

ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}
JSON = "application/json"
# Path, method, what it does, the body, whether the answer may be a stream.
POSTS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("/v1/chat/completions", "Debate the last message of a conversation", ChatAsked),
    ("/v1/completions", "Debate a text, or say how likely its tokens are", CompletionAsked),
    ("/v1/cipher/speak", "Let one agent say a message, CIPHER vectors included", RemoteRequest),
    ("/tokenize", "Return the tokens of a text", TokenizeAsked),
    ("/detokenize", "Return the text of tokens", DetokenizeAsked),
)
GETS = (
    ("/health", "Say that requests are answered"),
    ("/metrics", "Return counters for Prometheus"),
    ("/v1/models", "List what is served"),
    ("/v1/models/{id}", "Return one of them"),
    ("/v1/cipher/agents/{id}", "Return what an agent takes and gives"),
    ("/v1/cipher/tokenizers/{id}", "Return an agent's tokenizer"),
    ("/tokenizer_info", "Return what clients ask of a tokenizer"),
)


def description(token: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of a server.

    Args:
        token: whether it asks for one.
    """
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Error": ERROR}
    for path, summary in GETS:
        paths[path] = {"get": {"summary": summary, "parameters": _parameters(path), "responses": _responses()}}
    for path, summary, kind in POSTS:
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[kind.__name__] = schema
        body = {"required": True, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}}
        paths[path] = {"post": {"summary": summary, "requestBody": body, "responses": _responses()}}
    blob = {"required": True, "content": {FILE_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
    model = {"name": "model", "in": "query", "required": True, "schema": {"type": "string"}}
    paths["/v1/cipher/hear"] = {
        "post": {
            "summary": "Hear a message, as its safetensors file",
            "parameters": [model],
            "requestBody": blob,
            "responses": _responses(),
        }
    }
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "cipher-debate", "version": installed_version("cipher-debate") or "0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _parameters(path: str) -> list[dict[str, Any]]:
    if path == "/tokenizer_info":
        return [{"name": "model", "in": "query", "required": False, "schema": {"type": "string"}}]
    return [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}] if "{id}" in path else []


def _responses() -> dict[str, Any]:
    """Return what every path may answer: 200, or an error in one form."""
    refused = {"description": "An error", "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {"200": {"description": "The answer"}, "4XX": refused, "5XX": refused}
