"""The proof at load: decoding as the engine does it gives what the model's own uncached forward pass gives.

On a miniature of the model (`miniature.py`) in float32, rows of different length are read, in pieces and behind a shared prefix,
decode together and alone, join and leave, and pass the window and the switch; their inputs are vectors that are no token's.
Every logit is compared with the uncached pass over the same row alone, by the model's own eager attention. The ways are tried
from the fastest to the plainest, and the first that holds is how the model is decoded. Whether a row has the same bits in
company is tried in the model's own dtype, at its own sizes.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from agents.backends.transformers.company import variant_of
from agents.backends.transformers.decoder import Mode, Way
from agents.backends.transformers.miniature import Miniature, miniature
from agents.backends.transformers.rehearsal import BLOCK, LENGTH, Rehearsal
from agents.backends.transformers.truth import Fails, Truth, check_alternative, give_attention, in_words
from agents.errors import ModelError

WAYS: tuple[Way, ...] = ("by_row", "masked", "single")
ROWS = 4
APART = "its attention does not read rows of different lengths together"


@dataclass(frozen=True)
class Verdict:
    """How a model is decoded, and why not in a faster way.

    Attributes:
        way: see `Mode`.
        invariant: whether a row has the same bits alone and in company, where a step is padded.
        switch: see `Mode`.
        windows: positions after which attention forgets, by the config.
        refused: way → why it does not hold.
        variant: why a row has other bits in company; empty where it has not.
        layers: how many the miniature had.
        context: positions to which it is held; None: all that it has.
        beyond: what does not hold after them.
    """

    way: Way
    invariant: bool
    switch: int | None = None
    windows: tuple[int, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    layers: int = 0
    context: int | None = None
    beyond: str = ""

    def mode(self, rows: int | None) -> Mode:
        """Return the mode, padded to a number of rows where that was asked for and helps."""
        if rows is None or not self.invariant:
            return Mode(self.way, None, self.switch)
        return Mode(self.way, 1 if self.way == "single" else rows, self.switch)

    def caveat(self, name: str) -> str:
        """Return a sentence on what a model does without; empty where it does without nothing."""
        parts = []
        if self.context is not None:
            parts.append(f"is held to its first {self.context} positions, since after them {self.beyond}")
        if self.way == "single":
            parts.append(f"is decoded one request at a time: {APART}")
        elif not self.invariant:
            company = "the last bits of a message depend on what shares its batch"
            parts.append(f"is not batch invariant ({company}): {self.variant}")
        return f"{name} {'; it '.join(parts)}" if parts else ""


@torch.inference_mode()
def prove(model: Any, name: str, table: torch.Tensor, context: int, rows: int | None) -> Verdict:
    """Return how a model can be decoded.

    Args:
        model: loaded, of transformers; left as it is.
        name: of the model, for errors.
        table: [V, D], its input embeddings.
        context: positions that it has.
        rows: that a decode step is padded to, so that a row has the same bits in company; None: that is not asked for.

    Raises:
        ModelError: in no way; the text says why.
    """
    called = f"{name} ({type(model).__name__})"
    inputs = _inputs(table, min(LENGTH, context))
    try:
        return _proven(model, inputs, rows, near=True)
    except Fails as error:
        beyond = str(error)
    try:
        verdict = _proven(model, inputs, rows, near=False)
    except Fails as error:
        raise ModelError(f"{called} cannot be decoded: {error}") from error
    far = min([*verdict.windows, *([] if verdict.switch is None else [verdict.switch])], default=0)
    if far < len(inputs[0]):
        raise ModelError(f"{called} cannot be decoded: {beyond}")
    return replace(verdict, switch=None, context=far, beyond=beyond)


def _proven(model: Any, inputs: torch.Tensor, rows: int | None, *, near: bool) -> Verdict:
    """Return the verdict; raise Fails where no way holds. Where not `near`, windows and the switch are not passed."""
    small, truth = _small_and_truth(model, inputs, near=near)
    if near and truth.switch is not None and len(small.switches) > 1:
        raise Fails("it reads a text anew from several lengths on")
    refused: dict[str, str] = {}
    for way in WAYS:
        why = _fault(small, Mode(way, ROWS, truth.switch), inputs, truth)
        if not why:
            switch = min(small.switches, default=None) if truth.switch is not None or not near else None
            try:
                variant = variant_of(model, inputs.to(model.dtype), Mode(way, rows))
            except Exception as error:  # the model's own code: anything may come
                variant = in_words(error)
            return Verdict(way, not variant, switch, tuple(sorted(small.windows)), refused, variant, small.layers)
        refused[way] = why
    raise Fails(refused[WAYS[-1]])


def _inputs(table: torch.Tensor, length: int) -> torch.Tensor:
    """Return vectors [ROWS, length, D] in float32, each a mixture of three tokens; row 2 begins as row 1 does."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(len(table), (ROWS, length, 3), generator=draw)
    shares = torch.softmax(torch.randn(ROWS, length, 3, generator=draw), dim=2).to(table.device)
    inputs = (shares[..., None] * table[ids.to(table.device)].float()).sum(2)
    inputs[2, : 2 * BLOCK] = inputs[1, : 2 * BLOCK]
    return inputs


def _small_and_truth(model: Any, inputs: torch.Tensor, *, near: bool) -> tuple[Miniature, Truth]:
    for slices_head in (True, False):
        try:
            small = miniature(model, torch.float32, near=near, slices_head=slices_head)
            truth = Truth(small, inputs)
            check_alternative(small.model, inputs[0], truth)
            return small, truth
        except Fails:
            raise
        except Exception as error:  # the model's own code: anything may come
            reason = in_words(error)
    raise Fails(f"its forward pass does not take vectors: {reason}")


def _fault(small: Miniature, mode: Mode, inputs: torch.Tensor, truth: Truth) -> str:
    """Return why a way of decoding does not hold; empty if it does."""
    give_attention(small.model, mode.attention)
    if small.model.config._attn_implementation != mode.attention:
        return "its attention is its own and cannot be exchanged"
    game = Rehearsal(small, mode, inputs, truth)
    try:
        game.play()
    except Fails as error:
        return game.stateless() or str(error)
    except Exception as error:  # the model's own code: anything may come
        return in_words(error)
    return ""
