"""What crosses process borders: requests out, generations and errors back; vectors without a copy.

Ray pickles between processes that it started for this run and for nobody else; nothing is read from disk this way. A
message's tensors travel as raw arrays that the receiver maps from shared memory: they are read-only there. A large
CIPHER message is put into the object store once, however many hear it; a small one travels inside the requests. So is the
table of one who hears a message on another table than its speaker's.
"""

import warnings
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch

from agents.backend import ChatTurn, Generation, Request
from agents.fingerprint import ModelFingerprint
from agents.hearing_table import HearingTable
from agents.message import Cipher, Message
from kernels import EmbeddingTable
from kernels.content import Content, rendered_name

# Below this a reference costs more than the vectors that it stands for.
SHARE_BYTES = 64 * 1024

Outcome = Generation | BaseException


@dataclass(frozen=True)
class Shared:
    """A message that is in the object store."""

    ref: Any


@dataclass(frozen=True)
class SharedTable:
    """The table of one who will hear a message, which is in the object store, and what is rendered on it."""

    model: ModelFingerprint
    content: Content
    ref: Any


class Shelf:
    """What the driver has put into the object store: messages, freed when it forgets them, and the tables of hearers."""

    def __init__(self) -> None:
        self._refs: weakref.WeakKeyDictionary[Message, Any] = weakref.WeakKeyDictionary()
        self._tables: dict[str, Any] = {}
        self.num_puts = 0

    def packed(self, request: Request) -> Request:
        """Return a request with references in place of its large CIPHER messages and of the tables that it is rendered on."""
        if request.hearers:
            tables: Any = tuple(map(self._shared_table, request.hearers))
            request = replace(request, hearers=tables)
        if not any(_is_large(part) for turn in request.prompt.turns for part in turn.parts):
            return request
        turns = tuple(
            ChatTurn(turn.role, tuple(self._shared(part) if _is_large(part) else part for part in turn.parts))
            for turn in request.prompt.turns
        )
        return replace(request, prompt=replace(request.prompt, turns=turns))

    def _shared_table(self, hearer: HearingTable) -> SharedTable:
        name = hearer.model.table
        if name not in self._tables:
            self._tables[name] = ray.put(hearer.table)
        return SharedTable(hearer.model, hearer.content, self._tables[name])

    def _shared(self, message: Any) -> Any:
        if message not in self._refs:
            self._refs[message] = ray.put(message)
            self.num_puts += 1
        return Shared(self._refs[message])


async def unpacked(request: Request, tables: dict[str, HearingTable]) -> Request:
    """Return a request with its messages fetched; from the same machine's store they are mapped, not copied.

    Args:
        request: of `Shelf.packed`.
        tables: those of hearers that were fetched before, by name; what is fetched now is added.
    """
    if request.hearers:
        request = replace(request, hearers=tuple([await _fetched(shared, tables) for shared in request.hearers]))
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
    ray.util.register_serializer(
        Cipher,
        serializer=lambda cipher: _to_arrays(cipher.tensors()),
        deserializer=lambda arrays: Cipher.of(_from_arrays(arrays)),
    )
    ray.util.register_serializer(
        EmbeddingTable,
        serializer=lambda table: _to_arrays({"weight": table.weight}),
        deserializer=lambda arrays: EmbeddingTable(_from_arrays(arrays)["weight"]),
    )


async def _fetched(shared: Any, tables: dict[str, HearingTable]) -> HearingTable:
    """Return a hearer's table, one object for all requests: what it computes about itself it computes once."""
    name = rendered_name(shared.content, shared.model.table)
    if name not in tables:
        of_table = (found.table for found in tables.values() if found.model.table == shared.model.table)
        table = next(of_table, None) or await shared.ref
        tables[name] = HearingTable(shared.model, table, shared.content)
    return tables[name]


def _is_large(part: Any) -> bool:
    return isinstance(part, Message) and part.cipher is not None and part.num_bytes >= SHARE_BYTES


def _to_arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name, found in tensors.items():
        tensor = found.detach().cpu().contiguous()
        # numpy has no bfloat16; two bytes are two bytes.
        array = (tensor.view(torch.int16) if tensor.element_size() == 2 else tensor).numpy()
        arrays[name] = (str(tensor.dtype).removeprefix("torch."), array)
    return arrays


def _from_arrays(arrays: dict[str, Any]) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        # They are read-only, and nobody writes into a message or a table.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return {name: torch.from_numpy(array).view(getattr(torch, dtype)) for name, (dtype, array) in arrays.items()}
