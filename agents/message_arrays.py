"""The numbers of a CIPHER message's file, for those who look at them: numpy arrays, checked, without torch.

Importing torch takes most of a second and 200 MB, which a page that shows messages has no other use for. What a model is to hear
is read by `message_file`.

T positions, D embedding width, K beliefs kept per position.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import MessageError
from agents.message_header import CIPHER_TENSORS, MessageHeader, read_header, shortened

# How safetensors calls a type, how torch does (the digest is over that name), and how its bytes are read here.
_TYPES = {
    "F32": ("torch.float32", "<f4"),
    "F16": ("torch.float16", "<f2"),
    "BF16": ("torch.bfloat16", "<u2"),
    "I64": ("torch.int64", "<i8"),
}
_INTEGERS = ("nearest", "top_ids")


@dataclass(frozen=True)
class CipherArrays:
    """A CIPHER message to be looked at; see `agents.message.Cipher`.

    Attributes:
        vectors: [T, D] float32.
        nearest: [T] int64.
        entropy, max_probability: [T] float32.
        top_ids: [T, K] int64.
        top_probabilities: [T, K] float32.
    """

    vectors: NDArray[np.float32]
    nearest: NDArray[np.int64]
    entropy: NDArray[np.float32]
    max_probability: NDArray[np.float32]
    top_ids: NDArray[np.int64]
    top_probabilities: NDArray[np.float32]


def read_arrays(blob: bytes, *, source: str = "message") -> tuple[MessageHeader, CipherArrays]:
    """Return the header and the numbers of a CIPHER message.

    Args:
        blob: the file's bytes.
        source: what errors begin with.

    Raises:
        MessageError: no message, no CIPHER message, or one whose content is not what its digest says.
    """
    try:
        return _read(blob)
    except MessageError as error:
        raise MessageError(f"{source}: {error}") from error


def _read(blob: bytes) -> tuple[MessageHeader, CipherArrays]:
    from safetensors import SafetensorError, deserialize

    header = read_header(blob)
    if header.encoder is None:
        raise MessageError("a text, which has no vectors")
    try:
        stored: dict[str, Any] = dict(deserialize(blob))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise MessageError(f"truncated, or not a safetensors file ({shortened(str(error))})") from error
    if _digest(header, stored) != header.digest:
        raise MessageError("the checksum does not match: the content was changed or damaged")
    arrays = CipherArrays(*(_array(stored[name]) for name in CIPHER_TENSORS))
    _check(arrays, header)
    return header, arrays


def _digest(header: MessageHeader, stored: Mapping[str, Any]) -> str:
    """Return what `Message.digest` is of the same message."""
    sha = hashlib.sha256(json.dumps(header.fields(), sort_keys=True).encode())
    for name in (*CIPHER_TENSORS, *sorted(name for name in stored if name not in CIPHER_TENSORS)):
        tensor = stored[name]
        sha.update(f"{name}{_TYPES[tensor['dtype']][0]}{tuple(tensor['shape'])}".encode())
        sha.update(tensor["data"])
    return sha.hexdigest()


def _array(tensor: Mapping[str, Any]) -> NDArray[Any]:
    found: NDArray[Any] = np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]][1]).reshape(tensor["shape"])
    if tensor["dtype"] == "BF16":
        return widened(found)
    return found if tensor["dtype"] == "I64" else found.astype(np.float32)


def widened(halves: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return bfloat16 numbers, given as their 16 bits, in float32."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _check(arrays: CipherArrays, header: MessageHeader) -> None:
    steps = arrays.nearest.size
    kept = arrays.top_ids.shape[1] if arrays.top_ids.ndim == 2 else -1
    shapes: dict[str, tuple[int, ...]] = {"nearest": (steps,), "entropy": (steps,), "max_probability": (steps,)}
    shapes |= {"top_ids": (steps, kept), "top_probabilities": (steps, kept), "vectors": (steps, header.model.width)}
    for name, shape in shapes.items():
        array = getattr(arrays, name)
        if array.shape != shape or (array.dtype == np.int64) != (name in _INTEGERS):
            raise MessageError(f"{name} must be {list(shape)}; got {list(array.shape)} in {array.dtype}")
        if name in _INTEGERS and array.size and not 0 <= array.min() <= array.max() < header.model.vocabulary:
            raise MessageError(f"{name} has an id outside the vocabulary of {header.model.vocabulary}")
        if not np.isfinite(array).all():
            raise MessageError(f"{name} has a number that is not finite")
