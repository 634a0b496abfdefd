"""Message files with a digest that fits their content, as an attacker would make them."""

import hashlib
import json

import torch
from safetensors.torch import save as save_tensors

from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from agents.message_header import KEY

MODEL = ModelFingerprint("tiny", "a" * 64, "b" * 64, vocabulary=20, width=4)
TEXT = Message("héllo 中 🙂", MODEL, 0.7, (1, 2, 3))
CIPHER = Message(
    "abc",
    MODEL,
    0,
    (0, 1, 2),
    "topk(k=2)",
    Cipher(
        vectors=torch.arange(12.0).reshape(3, 4).bfloat16(),
        nearest=torch.arange(3),
        entropy=torch.tensor([0.0, 0.5, 0.6]),
        max_probability=torch.tensor([1.0, 0.9, 0.8]),
        top_ids=torch.arange(6).reshape(3, 2),
        top_probabilities=torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5]]),
    ),
)


def parts(blob):
    """Return the header of a file, the message's own header in it, and the bytes after it."""
    length = int.from_bytes(blob[:8], "little")
    table = json.loads(blob[8 : 8 + length])
    return table, json.loads(table["__metadata__"][KEY]), blob[8 + length :]


def fitted(header, tensors):
    """Return a file with a digest that fits its content."""
    digested = {key: value for key, value in header.items() if key not in ("format", "digest")}
    sha = hashlib.sha256(json.dumps(digested, sort_keys=True).encode())
    if header.get("encoder") is not None:
        for name, tensor in tensors.items():
            sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            sha.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return save_tensors(tensors, metadata={KEY: json.dumps({**header, "digest": sha.hexdigest()}, sort_keys=True)})
