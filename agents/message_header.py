"""The part of a message file that says what the rest is: read strictly, before a tensor is made of anything.

A file is 8 bytes with the length of a JSON object, the object, the tensors (the safetensors format). The object names the
tensors' dtypes, shapes and places, and its `__metadata__` holds one text, the message's own header, again as JSON.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.errors import MessageError
from agents.fingerprint import ModelFingerprint
from agents.signature import Signature, read_signature

FORMAT = 1
KEY = "cipher-debate"
# The header of the longest texts that models say is a tenth of this.
LARGEST_HEADER = 8 << 20
LARGEST_SIZE = 1 << 31
CIPHER_TENSORS = ("embeddings", "nearest", "entropy", "max_probability", "top_ids", "top_probabilities")
# Before the hash of another table, in the name of the vectors that were rendered on it.
RENDERED = "rendered."
MOST_RENDERED = 12
DTYPES = ("I64", "F32", "BF16", "F16")
# Of reasoning models: both stand in a header, or neither; and of signed messages.
OPTIONAL = ("thinking", "thinking_tokens", "signature")
# A message has an object, the metadata's, and three a tensor; this many cannot be nested too deep for a parser.
MOST_BRACKETS = 64
_LENGTH_BYTES = 8
# To its closing quote or, where that is missing, to the end: one way to match, whatever the input.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
# SHA-256 in hexadecimal of our own backends; others may name theirs as they like.
_HASH = re.compile(r"[0-9A-Za-z._:+/=-]{0,128}")


@dataclass(frozen=True)
class MessageHeader:
    """Everything of a message but its tensors, and its digest.

    Attributes:
        token_ids: of a text; None where the tensor `nearest` has them.
        thinking, thinking_tokens: of a reasoning model; empty and 0 where the header has neither.
        signature: what is to vouch for it, not verified; None where the header has none.
    """

    text: str
    model: ModelFingerprint
    temperature: float
    encoder: str | None
    digest: str
    token_ids: tuple[int, ...] | None
    thinking: str = ""
    thinking_tokens: int = 0
    signature: Signature | None = None

    def fields(self) -> dict[str, object]:
        """Return what the digest is of, beside the tensors, as JSON values; token ids only where no tensor has them."""
        found: dict[str, object] = {
            "text": self.text,
            "model": self.model.sender(),
            "temperature": self.temperature,
            "encoder": self.encoder,
        }
        if self.thinking or self.thinking_tokens:
            found |= {"thinking": self.thinking, "thinking_tokens": self.thinking_tokens}
        return found if self.token_ids is None else {**found, "token_ids": list(self.token_ids)}


def read_header(blob: bytes) -> MessageHeader:
    """Return the header of a message file, with every field of its type and in its range.

    Raises:
        MessageError: no such file, or a field that is missing, unknown, or not what it has to be.
    """
    table = _read_json(_table(blob))
    metadata = table.pop("__metadata__", None)
    if not isinstance(metadata, dict) or list(metadata) != [KEY] or not isinstance(metadata[KEY], str):
        raise MessageError(f"a safetensors file, but not a message: its metadata has no {KEY!r} header")
    header = _message_header(_read_json(metadata[KEY]))
    wanted = ("token_ids",) if header.encoder is None else CIPHER_TENSORS
    if missing := [name for name in wanted if name not in table]:
        raise MessageError(f"the tensors {', '.join(missing)} are missing")
    more = [name for name in table if name not in wanted]
    strange = more if header.encoder is None else [name for name in more if not _is_rendered(name)]
    if strange or len(more) > MOST_RENDERED:
        kind = "a text" if header.encoder is None else "a CIPHER message"
        raise MessageError(f"a tensor that {kind} does not have: {shortened((strange or more)[0])}")
    for name, place in table.items():
        _check_tensor(name, place)
    return header


def _is_rendered(name: str) -> bool:
    table = name.removeprefix(RENDERED)
    return table not in ("", name) and _HASH.fullmatch(table) is not None


def _table(blob: bytes) -> str:
    """Return the safetensors header as text."""
    length = int.from_bytes(blob[:_LENGTH_BYTES], "little")
    if len(blob) < _LENGTH_BYTES or length > len(blob) - _LENGTH_BYTES:
        raise MessageError(f"truncated, or not a safetensors file ({len(blob)} bytes)")
    if length > LARGEST_HEADER:
        raise MessageError(f"the header has {length:,} bytes; a message's has at most {LARGEST_HEADER:,}")
    try:
        return blob[_LENGTH_BYTES : _LENGTH_BYTES + length].decode()
    except UnicodeDecodeError as error:
        raise MessageError(f"truncated, or not a safetensors file ({error.reason} in its header)") from error


def _read_json(text: str) -> dict[str, Any]:
    """Return the object in a text, which may not be nested deeper, or have more parts, than a message's."""
    outside = text if text.count("[") + text.count("{") <= MOST_BRACKETS else _STRING.sub("", text)
    if outside.count("[") + outside.count("{") > MOST_BRACKETS:
        raise MessageError("the header is malformed: it has more objects and lists than a message's")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise MessageError(f"the header is malformed: it is no JSON ({shortened(str(error))})") from error
    if not isinstance(value, dict):
        raise MessageError(f"the header is malformed: it is a {type(value).__name__}, not an object")
    return value


def _message_header(fields: dict[str, Any]) -> MessageHeader:
    if "format" in fields and (type(fields["format"]) is not int or fields["format"] != FORMAT):
        raise MessageError(f"format {shortened(fields['format'])}; this version reads format {FORMAT}")
    is_text = fields.get("encoder", "") is None
    names = ("digest", "encoder", "format", "model", "temperature", "text", *(("token_ids",) if is_text else ()))
    _expect_names("the header", fields, names, OPTIONAL)
    model = _model(fields["model"])
    return MessageHeader(
        text=_text("text", fields["text"]),
        model=model,
        temperature=_temperature(fields["temperature"]),
        encoder=None if is_text else _text("encoder", fields["encoder"]),
        digest=_hash("digest", fields["digest"]),
        token_ids=_ids(fields["token_ids"], model.vocabulary) if is_text else None,
        thinking=_text("thinking", fields.get("thinking", "")),
        thinking_tokens=_size("thinking_tokens", fields.get("thinking_tokens", 0)),
        signature=read_signature(fields["signature"]) if "signature" in fields else None,
    )


def _model(value: Any) -> ModelFingerprint:
    if not isinstance(value, dict):
        raise _wrong("model", "an object", value)
    _expect_names("model", value, ("model", "table", "tokenizer", "vocabulary", "width"))
    return ModelFingerprint(
        model=_text("model", value["model"]),
        table=_hash("table", value["table"]),
        tokenizer=_hash("tokenizer", value["tokenizer"]),
        vocabulary=_size("vocabulary", value["vocabulary"]),
        width=_size("width", value["width"]),
    )


def _size(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < LARGEST_SIZE:
        raise _wrong(name, f"a whole number of at least 0 and below {LARGEST_SIZE:,}", value)
    return value


def _ids(value: Any, vocabulary: int) -> tuple[int, ...]:
    # Of a model behind an API no vocabulary is known, and it has no ids.
    if not isinstance(value, list) or not all(type(token) is int and 0 <= token < vocabulary for token in value):
        raise _wrong("token_ids", f"a list of whole numbers of at least 0 and below {vocabulary:,}", value)
    return tuple(value)


def _temperature(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < LARGEST_SIZE:
        raise _wrong("temperature", f"a number of at least 0 and below {LARGEST_SIZE:,}", value)
    return float(value) if isinstance(value, float) else int(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise _wrong(name, "a text of valid Unicode", value)
    return value


def _hash(name: str, value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise _wrong(name, "a hash, in at most 128 letters, digits and ._:+/=-", value)
    return value


def _check_tensor(name: str, place: Any) -> None:
    """Refuse other types than a message's, and sizes that overflow where they are multiplied.

    That places, shapes and bytes agree is safetensors' to check.
    """
    if not isinstance(place, dict) or place.get("dtype") not in DTYPES:
        raise _wrong(
            f"dtype of {name}", f"one of {', '.join(DTYPES)}", place.get("dtype") if isinstance(place, dict) else place
        )
    shape = place.get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) > 2
        or not all(type(n) is int and 0 <= n < LARGEST_SIZE for n in shape)
    ):
        raise _wrong(f"shape of {name}", f"one or two sizes below {LARGEST_SIZE:,}", shape)


def _expect_names(where: str, fields: Mapping[str, Any], names: tuple[str, ...], more: tuple[str, ...] = ()) -> None:
    if missing := [name for name in names if name not in fields]:
        raise MessageError(f"the header is malformed: {where} lacks {', '.join(missing)}")
    if unknown := [name for name in fields if name not in (*names, *more)]:
        raise MessageError(f"the header is malformed: {where} has {shortened(unknown[0])}, which no message has")


def _wrong(name: str, wanted: str, given: Any) -> MessageError:
    return MessageError(f"the header is malformed: {name} must be {wanted}; got {shortened(given)}")


def shortened(value: Any) -> str:
    """Return the beginning of a value that may be long, in ASCII: it comes from a stranger and goes to a terminal."""
    text = ascii(value[:40] if isinstance(value, str | list) else value)
    return text if len(text) <= 60 else f"{text[:60]}…"
