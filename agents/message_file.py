"""A message on disk or on the wire: one safetensors file, the header as JSON in its metadata. Nothing is unpickled.

Tensors of a CIPHER message: `embeddings` [T, D], `nearest` [T], `entropy` [T], `max_probability` [T], `top_ids` [T, K],
`top_probabilities` [T, K], and `rendered.TABLE` [T, D'] for each other table that it was rendered on. A text message has only
`token_ids` [T], which its header repeats. The same message is the same bytes.
"""

import json
from pathlib import Path

from agents.atomic_file import write_atomic
from agents.errors import MessageError, MessageMismatch
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from agents.message_header import FORMAT, KEY, read_header, shortened
from agents.ordinary_file import read_ordinary
from agents.signature import Signature

# The vectors of 65,536 steps of the widest models, four times over.
LARGEST_FILE = 1 << 33


def to_bytes(message: Message, signature: Signature | None = None) -> bytes:
    """Return the message, and what vouches for it, as one safetensors blob."""
    import torch
    from safetensors.torch import save

    header = {"format": FORMAT, "digest": message.digest, **message.header()}
    if signature is not None:
        header["signature"] = signature.header()
    if message.cipher is not None:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in message.cipher.tensors().items()}
    else:
        tensors = {"token_ids": torch.tensor(message.token_ids, dtype=torch.int64)}
    blob: bytes = save(tensors, metadata={KEY: json.dumps(header, sort_keys=True)})
    return blob


def from_bytes(blob: bytes, *, source: str = "message", receiver: ModelFingerprint | None = None) -> Message:
    """Return the message in a blob, checked: every field's type and range, checksum, canonical form, and the receiver if given.

    Raises:
        MessageError: a check failed; the text starts with `source` and says which. Nothing else is raised, whatever the bytes.
        MessageMismatch: sound, but of a model whose tokenizer is not the receiver's.
    """
    message, _ = read_signed(blob, source=source)
    if receiver is not None:
        check_receiver(message, receiver, source=source)
    return message


def read_signed(blob: bytes, *, source: str = "message") -> tuple[Message, Signature | None]:
    """Return the message in a blob, and what is to vouch for it, which is not verified; see `from_bytes`."""
    try:
        return _read(blob)
    except MessageError as error:
        raise type(error)(f"{source}: {error}") from error


def check_receiver(message: Message, receiver: ModelFingerprint, *, source: str = "message") -> None:
    """Raise MessageMismatch unless the receiver can take the message's vectors or render its beliefs."""
    if message.is_cipher and not message.model.same_tokenizer(receiver):
        raise MessageMismatch(
            f"{source}: vectors of {message.model} cannot go to {receiver}: the tokenizers differ. "
            "Exchange text between these two agents."
        )


def write_message(message: Message, path: Path, signature: Signature | None = None, *, durable: bool = False) -> Path:
    """Write the message as a file that is complete or not there; return the path.

    Args:
        message: what was said.
        path: the file.
        signature: what vouches for it.
        durable: wait until the disk has it.
    """
    return write_atomic(path, to_bytes(message, signature), durable=durable)


def read_message(path: Path, *, receiver: ModelFingerprint | None = None, follow: bool = True) -> Message:
    """Return the message in a file; see `from_bytes`. Unless it may `follow` one, a link is refused."""
    blob = read_message_bytes(path, follow=follow)
    return from_bytes(blob, source=str(path), receiver=receiver)


def read_message_bytes(path: Path, *, follow: bool = True) -> bytes:
    """Return the bytes of a message file, which are not looked at yet.

    Raises:
        MessageError: no ordinary file of a message's size, or not to be read.
    """
    try:
        return read_ordinary(path, most=LARGEST_FILE, follow=follow)
    except OSError as error:
        raise MessageError(f"cannot read the message {path}: {error.strerror}") from error


def _read(blob: bytes) -> tuple[Message, Signature | None]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    header = read_header(blob)
    try:
        tensors = load(blob)
    except SafetensorError as error:
        raise MessageError(f"truncated, or not a safetensors file ({shortened(str(error))})") from error
    if header.token_ids is None:
        cipher = Cipher.of(tensors)
        token_ids = tuple(cipher.nearest.tolist())
    else:
        cipher, token_ids = None, header.token_ids
    message = Message(
        text=header.text,
        model=header.model,
        temperature=header.temperature,
        token_ids=token_ids,
        encoder=header.encoder,
        cipher=cipher,
        thinking=header.thinking,
        thinking_tokens=header.thinking_tokens,
    )
    if message.digest != header.digest:
        raise MessageError("the checksum does not match: the content was changed or damaged")
    if to_bytes(message, header.signature) != blob:
        raise MessageError(
            "not in the one form that a message is written in: header and tensors disagree, or bytes were added"
        )
    return message, header.signature
