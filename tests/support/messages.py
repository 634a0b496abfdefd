"""Messages written by hand, in text and in CIPHER."""

import torch

from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message

MODEL = ModelFingerprint("m", "t", "k", 100, 4)


def text(said):
    return Message(said, MODEL, 1.0, tuple(range(len(said.split()))))


def cipher(said, *, probability=0.9, entropy=0.1, steps=None):
    """Return a CIPHER message; `steps` are beliefs as {token: weight}, the first the nearest."""
    steps = steps or [{1: 1.0}]
    width = max(map(len, steps))
    ids = torch.tensor([[*step, *[0] * (width - len(step))] for step in steps])
    weights = torch.tensor([[*step.values(), *[0.0] * (width - len(step))] for step in steps])
    count = len(steps)
    vectors = torch.zeros(count, 4)
    vectors[:, 0] = 1.0
    parts = (vectors, ids[:, 0], torch.full((count,), entropy), torch.full((count,), probability), ids, weights)
    return Message(said, MODEL, 1.0, tuple(ids[:, 0].tolist()), "expectation", Cipher(*parts))
