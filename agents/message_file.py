"""A message on disk or on the wire: one safetensors file, the header as JSON in its metadata. Nothing is unpickled.

Tensors of a CIPHER message: `embeddings` [T, D], `nearest` [T], `entropy` [T], `max_probability` [T], `top_ids` [T, K],
`top_probabilities` [T, K], and `rendered.TABLE` [T, D'] for each other table that it was rendered on. A text message has only
`token_ids` [T], which its header repeats. The same message is the same bytes.
"""

import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from agents.atomic_file import write_atomic
from agents.errors import MessageError, MessageMismatch
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message

FORMAT = 1
KEY = "cipher-debate"


def to_bytes(message: Message) -> bytes:
    """Return the message as one safetensors blob."""
    header = {"format": FORMAT, "digest": message.digest, **message.header()}
    if message.cipher is not None:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in message.cipher.tensors().items()}
    else:
        tensors = {"token_ids": torch.tensor(message.token_ids, dtype=torch.int64)}
    blob: bytes = save(tensors, metadata={KEY: json.dumps(header, sort_keys=True)})
    return blob


def from_bytes(blob: bytes, *, source: str = "message", receiver: ModelFingerprint | None = None) -> Message:
    """Return the message in a blob, checked: format, shapes, dtypes, finiteness, checksum, and the receiver if given.

    Raises:
        MessageError: a check failed; the text starts with `source` and says which.
        MessageMismatch: sound, but of a model whose tokenizer is not the receiver's.
    """
    try:
        tensors = load(blob)
        metadata = _metadata(blob)
    except (SafetensorError, ValueError, KeyError, struct.error) as error:
        raise MessageError(f"{source}: truncated, or not a safetensors file ({error})") from error
    if KEY not in metadata:
        raise MessageError(f"{source}: a safetensors file, but not a message: its metadata has no {KEY!r} header")
    try:
        message = _build(json.loads(metadata[KEY]), tensors)
    except MessageError as error:
        raise type(error)(f"{source}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise MessageError(f"{source}: the header is malformed ({error})") from error
    if receiver is not None:
        check_receiver(message, receiver, source=source)
    return message


def check_receiver(message: Message, receiver: ModelFingerprint, *, source: str = "message") -> None:
    """Raise MessageMismatch unless the receiver can take the message's vectors or render its beliefs."""
    if message.is_cipher and not message.model.same_tokenizer(receiver):
        raise MessageMismatch(
            f"{source}: vectors of {message.model} cannot go to {receiver}: the tokenizers differ. "
            "Exchange text between these two agents."
        )


def write_message(message: Message, path: Path, *, durable: bool = False) -> Path:
    """Write the message as a file that is complete or not there; return the path. `durable` waits until the disk has it."""
    return write_atomic(path, to_bytes(message), durable=durable)


def read_message(path: Path, *, receiver: ModelFingerprint | None = None) -> Message:
    """Return the message in a file; see `from_bytes`."""
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise MessageError(f"cannot read the message {path}: {error.strerror}") from error
    return from_bytes(blob, source=str(path), receiver=receiver)


def _metadata(blob: bytes) -> dict[str, str]:
    (length,) = struct.unpack("<Q", blob[:8])
    metadata = json.loads(blob[8 : 8 + length]).get("__metadata__", {})
    return dict(metadata)


def _build(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Message:
    if header["format"] != FORMAT:
        raise MessageError(f"format {header['format']}; this version reads format {FORMAT}")
    cipher = None
    if header["encoder"] is not None:
        cipher = Cipher.of(tensors)
    message = Message(
        text=header["text"],
        model=ModelFingerprint(**header["model"]),
        temperature=header["temperature"],
        token_ids=tuple(header["token_ids"] if cipher is None else cipher.nearest.tolist()),
        encoder=header["encoder"],
        cipher=cipher,
        thinking=header.get("thinking", ""),
        thinking_tokens=header.get("thinking_tokens", 0),
    )
    if message.digest != header["digest"]:
        raise MessageError("the checksum does not match: the content was changed or damaged")
    return message
