"""The CIPHER vectors of a prompt, adapted to it before the engine reads it (`decoding: hso`).

A prompt is adapted alone, in a forward and backward pass of its own for each step, over all of it, whatever is cached: so
what a row hears does not depend on its company. Its keys say that its vectors are no longer those that were sent, so that no
other prompt takes them from the cache.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.truth import give_attention, uncached
from agents.decoding.hso import HiddenStateOptimisation, optimised
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

    def adapted(self, model: LoadedModel, prompt: torch.Tensor, adapter: str | None) -> torch.Tensor:
        """Return the prompt [P, D] with its vectors adapted.

        Raises:
            ArithmeticError: it cannot be: a loss that is not finite, or a model that has no gradient.
        """
        model.adapters.use([adapter])
        # Eager attention is differentiated by products and sums alone, the same in every run. What chooses among the kernels of
        # the other is a setting of the whole process, and engines have threads of their own.
        give_attention(model.model, "eager")
        try:
            return self._adapted(model, prompt)
        except RuntimeError as error:
            # An out-of-memory error is for the engine to tell.
            if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error):
                raise
            raise ArithmeticError(f"its model has no gradient of what it hears: {error}") from error
        finally:
            give_attention(model.model, model.mode.attention)

    def _adapted(self, model: LoadedModel, prompt: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            inputs = prompt.clone()
            heard = torch.tensor(self.positions, device=model.device)
            targets = torch.tensor(self.tokens, device=model.device)
            # As received, on the hearer's own table: what stands in a message beside its vectors, a control does not send.
            targets[heard] = nearest_token(inputs[heard], model.table).ids
            found = optimised(
                inputs, heard, targets, lambda fed: uncached(model.model, fed), self.settings, unit=model.coordinate
            )
        return found.detach()


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
