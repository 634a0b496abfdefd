"""A mock whose every answer depends on all that it read, and which keeps what it was asked."""

import hashlib

from agents.backends.mock import MockBackend

ASKED = []


class RecallingBackend(MockBackend):
    """Answers with a number made of what it read and of the seed."""

    def __init__(self, model="mock", **options):
        super().__init__(model, reply=_digest, **options)

    def submit(self, request):
        pending = super().submit(request)
        ASKED.append(request)
        return pending


def _digest(read, request):
    drawn = int(hashlib.sha256(f"{read}|{request.sampling.seed}".encode()).hexdigest(), 16)
    return f"Answer: {drawn % 1000}"
