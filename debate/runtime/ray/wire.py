"""What crosses process borders: requests out, generations and errors back; vectors without a copy.

Ray pickles between processes that it started for this run and for nobody else; nothing is read from disk this way. A
message's tensors travel as raw arrays that the receiver maps from shared memory: they are read-only there. A large
CIPHER message is put into the object store once, however many hear it; a small one travels inside the requests.
"""

import warnings
import weakref
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch

from agents.backend import ChatTurn, Generation, Request
from agents.message import Cipher, Message

# Below this a reference costs more than the vectors that it stands for.
SHARE_BYTES = 64 * 1024

Outcome = Generation | BaseException


@dataclass(frozen=True)
class Shared:
    """A message that is in the object store."""

    ref: Any


class Shelf:
    """The messages that the driver has put into the object store; one is freed when the driver forgets the message."""

    def __init__(self) -> None:
        self._refs: weakref.WeakKeyDictionary[Message, Any] = weakref.WeakKeyDictionary()
        self.num_puts = 0

    def packed(self, request: Request) -> Request:
        """Return a request with references in place of its large CIPHER messages."""
        if not any(_is_large(part) for turn in request.prompt.turns for part in turn.parts):
            return request
        turns = tuple(
            ChatTurn(turn.role, tuple(self._shared(part) if _is_large(part) else part for part in turn.parts))
            for turn in request.prompt.turns
        )
        return replace(request, prompt=replace(request.prompt, turns=turns))

    def _shared(self, message: Any) -> Any:
        if message not in self._refs:
            self._refs[message] = ray.put(message)
            self.num_puts += 1
        return Shared(self._refs[message])


async def unpacked(request: Request) -> Request:
    """Return a request with its messages fetched; from the same machine's store they are mapped, not copied."""
    parts = [part for turn in request.prompt.turns for part in turn.parts]
    if not any(isinstance(part, Shared) for part in parts):
        return request
    turns = [
        ChatTurn(turn.role, tuple([await part.ref if isinstance(part, Shared) else part for part in turn.parts]))
        for turn in request.prompt.turns
    ]
    return replace(request, prompt=replace(request.prompt, turns=tuple(turns)))


def register() -> None:
    """Teach Ray in this process how tensors of messages travel."""
    ray.util.register_serializer(Cipher, serializer=_to_arrays, deserializer=_from_arrays)


def _is_large(part: Any) -> bool:
    return isinstance(part, Message) and part.cipher is not None and part.num_bytes >= SHARE_BYTES


def _to_arrays(cipher: Cipher) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name, found in cipher.tensors().items():
        tensor = found.detach().cpu().contiguous()
        # numpy has no bfloat16; two bytes are two bytes.
        array = (tensor.view(torch.int16) if tensor.element_size() == 2 else tensor).numpy()
        arrays[name] = (str(tensor.dtype).removeprefix("torch."), array)
    return arrays


def _from_arrays(arrays: dict[str, Any]) -> Cipher:
    with warnings.catch_warnings():
        # They are read-only, and nobody writes into a message.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensors = {name: torch.from_numpy(array).view(getattr(torch, dtype)) for name, (dtype, array) in arrays.items()}
    return Cipher.of(tensors)
