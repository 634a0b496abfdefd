"""The CIPHER vectors of a prompt, adapted to it before the engine reads it (`decoding: hso`).

A prompt is adapted alone, in a forward and backward pass of its own for each step, over all of it, whatever is cached and
whoever is answered between two steps: so what a row hears does not depend on its company. Its keys say that its vectors are
no longer those that were sent, so that no other prompt takes them from the cache.
"""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.truth import give_attention, uncached
from agents.decoding.hso import HiddenStateOptimisation, optimising
from agents.decoding.rules import Decoding
from agents.message import Message
from agents.tokenization import Key, Segment
from kernels import nearest_token


@dataclass(frozen=True)
class HeardVectors:
    """Where a prompt has vectors.

    Attributes:
        settings: how they are adapted.
        positions: of them, ascending.
        tokens: the token at every position, -1 of a vector.
    """

    settings: HiddenStateOptimisation
    positions: tuple[int, ...]
    tokens: tuple[int, ...]

    def keys(self, keys: Sequence[Key]) -> list[Key]:
        """Return the keys of the adapted prompt: of an adapted vector, all that it was adapted to."""
        whole = hashlib.sha256(repr((self.settings, keys)).encode()).hexdigest()
        found = list(keys)
        for position in self.positions:
            found[position] = (f"adapted {whole}", position)
        return found

    def adapting(
        self, model: LoadedModel, prompt: torch.Tensor, adapter: str | None
    ) -> Generator[None, None, torch.Tensor]:
        """Yield between the steps of the adaptation, and return the prompt [P, D] with its vectors adapted.

        At each yield the model is as the engine has it, so that others may go on.

        Raises:
            ArithmeticError: it cannot be: a loss that is not finite, or a model that has no gradient.
        """
        steps: Generator[None, None, torch.Tensor] | None = None
        while True:
            with _differentiable(model, adapter):
                try:
                    if steps is None:
                        steps = self._steps(model, prompt)
                    next(steps)
                except StopIteration as done:
                    found: torch.Tensor = done.value
                    return found.detach()
            yield

    def _steps(self, model: LoadedModel, prompt: torch.Tensor) -> Generator[None, None, torch.Tensor]:
        inputs = prompt.clone()
        heard = torch.tensor(self.positions, device=model.device)
        targets = torch.tensor(self.tokens, device=model.device)
        # As received, on the hearer's own table: what stands in a message beside its vectors, a control does not send.
        targets[heard] = nearest_token(inputs[heard], model.table).ids
        return optimising(
            inputs, heard, targets, lambda fed: uncached(model.model, fed), self.settings, unit=model.coordinate
        )


@contextmanager
def _differentiable(model: LoadedModel, adapter: str | None) -> Iterator[None]:
    """Within it gradients are recorded and a model's attention has some.

    Eager attention is differentiated by products and sums alone, the same in every run. What chooses among the kernels of the
    other is a setting of the whole process, and engines have threads of their own.

    Raises:
        ArithmeticError: the model has no gradient.
    """
    model.adapters.use([adapter])
    give_attention(model.model, "eager")
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    except RuntimeError as error:
        # An out-of-memory error is for the engine to tell.
        if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error):
            raise
        raise ArithmeticError(f"its model has no gradient of what it hears: {error}") from error
    finally:
        give_attention(model.model, model.mode.attention)


def heard_in(found: Sequence[Segment], decoding: Decoding | None) -> HeardVectors | None:
    """Return where a prompt has vectors that are to be adapted; None where nothing is."""
    if not isinstance(decoding, HiddenStateOptimisation) or not decoding.steps:
        return None
    tokens: list[int] = []
    positions: list[int] = []
    for segment in found:
        if isinstance(segment, Message):
            positions += range(len(tokens), len(tokens) + segment.num_tokens)
            tokens += [-1] * segment.num_tokens
        else:
            tokens += segment
    return HeardVectors(decoding, tuple(positions), tuple(tokens)) if positions else None
