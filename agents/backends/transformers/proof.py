"""The proof at load: decoding as the engine does it gives what the model's own uncached forward pass gives.

On a miniature of the model (`miniature.py`) in float32, rows of different length are read, in pieces and behind a shared prefix,
decode together and alone, join and leave, and pass the window and the switch; their inputs are vectors that are no token's.
Every logit is compared with the uncached pass over the same row alone, by the model's own eager attention. The ways are tried
from the fastest to the plainest, and the first that holds is how the model is decoded. Whether a row has the same bits in
company is tried in the model's own dtype, at its own sizes.
"""

import contextlib
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from agents.backends.transformers import attention
from agents.backends.transformers.cache import SlotCache
from agents.backends.transformers.decoder import Decoder, Mode, Way
from agents.backends.transformers.miniature import SWITCH, Miniature, miniature
from agents.errors import ModelError

WAYS: tuple[Way, ...] = ("by_row", "masked", "single")
# Of the difference of two rows of logits, over the spread of the right one. float32 leaves some 1e-6 in so few layers.
TOLERANCE = 1e-3
BLOCK = 8
LENGTH = 40
ROWS = 4
APART = "its attention does not read rows of different lengths together"
# Parts of the names of torch's operators that add up products, whose last bits depend on their shapes.
PRODUCTS = ("mm", "mv", "matmul", "linear", "conv", "einsum", "dot", "inner")


@dataclass(frozen=True)
class Verdict:
    """How a model is decoded, and why not in a faster way.

    Fields:
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
        if self.context is not None:
            return f"{name} is held to its first {self.context} positions, since after them {self.beyond}"
        if self.way == "single":
            return f"{name} is decoded one request at a time: {APART}"
        if not self.invariant:
            return f"{name} is not batch invariant (the last bits of a message depend on what shares its batch): {self.variant}"
        return ""


class _Fails(Exception):
    """A way does not hold; the text says why."""


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
    except _Fails as error:
        beyond = str(error)
    try:
        verdict = _proven(model, inputs, rows, near=False)
    except _Fails as error:
        raise ModelError(f"{called} cannot be decoded: {error}") from error
    far = min([*verdict.windows, *([] if verdict.switch is None else [verdict.switch])], default=0)
    if far < len(inputs[0]):
        raise ModelError(f"{called} cannot be decoded: {beyond}")
    return replace(verdict, switch=None, context=far, beyond=beyond)


def _proven(model: Any, inputs: torch.Tensor, rows: int | None, *, near: bool) -> Verdict:
    """Return the verdict; raise _Fails where no way holds. Where not `near`, windows and the switch are not passed."""
    small, truth = _small_and_truth(model, inputs, near=near)
    if near and truth.switch is not None and len(small.switches) > 1:
        raise _Fails("it reads a text anew from several lengths on")
    refused: dict[str, str] = {}
    for way in WAYS:
        why = _fault(small, Mode(way, ROWS, truth.switch), inputs, truth)
        if not why:
            switch = min(small.switches, default=None) if truth.switch is not None or not near else None
            variant = _variant(model, inputs, way, rows)
            return Verdict(way, not variant, switch, tuple(sorted(small.windows)), refused, variant, small.layers)
        refused[way] = why
    raise _Fails(refused[WAYS[-1]])


def _inputs(table: torch.Tensor, length: int) -> torch.Tensor:
    """Return vectors [ROWS, length, D] in float32, each a mixture of three tokens; row 2 begins as row 1 does."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(len(table), (ROWS, length, 3), generator=draw)
    shares = torch.softmax(torch.randn(ROWS, length, 3, generator=draw), dim=2).to(table.device)
    inputs = (shares[..., None] * table[ids.to(table.device)].float()).sum(2)
    inputs[2, : 2 * BLOCK] = inputs[1, : 2 * BLOCK]
    return inputs


class _Truth:
    """The logits of every position by the uncached forward pass.

    Args:
        small: with eager attention.
        inputs: [rows, L, D].
    """

    def __init__(self, small: Miniature, inputs: torch.Tensor) -> None:
        self._model = small.model
        self.switch: int | None = None
        length = inputs.shape[1]
        self._whole = [self._read(row) for row in inputs]
        self._near = self._whole
        few, half = self._read(inputs[0, : BLOCK + 1]), self._read(inputs[0, :SWITCH])
        if spread_error(few, half[: BLOCK + 1]) > TOLERANCE:
            raise _Fails("it reads what follows before it answers what precedes, so it is no causal language model")
        if spread_error(half, self._whole[0][: len(half)]) > TOLERANCE:
            beyond = self._read(inputs[0, : SWITCH + 1])
            if (
                length <= SWITCH + 1
                or not small.switches
                or spread_error(beyond, self._whole[0][: len(beyond)]) > TOLERANCE
            ):
                raise _Fails("it reads the beginning of a text anew with every position that follows")
            self.switch = SWITCH
            self._near = [self._read(row[:SWITCH]) for row in inputs]

    def _read(self, row: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = uncached(self._model, row)
        if not torch.isfinite(logits).all():
            raise _Fails("its logits are not finite")
        return logits

    def whole(self, row: int) -> torch.Tensor:
        """Return the logits [L, V] of a whole row."""
        return self._whole[row]

    def at(self, row: int, position: int) -> torch.Tensor:
        """Return the logits [V] after a row's input at a position."""
        near = self.switch is not None and position < self.switch
        return (self._near if near else self._whole)[row][position]


def uncached(model: Any, vectors: torch.Tensor) -> torch.Tensor:
    """Return the logits [L, V] of a model's own forward pass over vectors [L, D], without a cache."""
    logits: torch.Tensor = model(inputs_embeds=vectors.clone()[None], **without_cache(model)).logits[0]
    return logits


def without_cache(model: Any) -> dict[str, bool]:
    """Return the arguments by which a model keeps no cache."""
    return {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}


def _small_and_truth(model: Any, inputs: torch.Tensor, *, near: bool) -> tuple[Miniature, _Truth]:
    for slices_head in (True, False):
        try:
            small = miniature(model, torch.float32, near=near, slices_head=slices_head)
            truth = _Truth(small, inputs)
            _check_alternative(small.model, inputs[0], truth)
            return small, truth
        except _Fails:
            raise
        except Exception as error:  # the model's own code: anything may come
            reason = in_words(error)
    raise _Fails(f"its forward pass does not take vectors: {reason}")


def _check_alternative(model: Any, row: torch.Tensor, truth: _Truth) -> None:
    """Raise _Fails where a model's usual attention gives other logits than its eager one, and nobody knows which is right.

    Where a layer gives numbers that the usual one drops (a cap on scores, sinks), the eager one is right.
    """
    usual = attention.register()
    if model.get_correct_attn_implementation(None) != "sdpa":
        return
    _give_attention(model, usual)
    if model.config._attn_implementation != usual:
        model.config._attn_implementation = "sdpa"
    try:
        error = spread_error(uncached(model, row), truth.whole(0))
    except Exception:  # it cannot be run: there is no other way to compare with
        error = 0.0
    finally:
        model.config._attn_implementation = "eager"
    if error > TOLERANCE:
        raise _Fails(
            f"its own code gives two results: by eager and by sdpa attention logits are {error:.2g} of their spread apart"
        )


def spread_error(found: torch.Tensor, right: torch.Tensor) -> float:
    """Return the largest difference of rows of logits, over the spread of the right ones."""
    found, right = found.double(), right.double()
    spread = (right - right.mean(-1, keepdim=True)).norm(dim=-1).clamp_min(1e-12)
    return float(((found - right).norm(dim=-1) / spread).nan_to_num(torch.inf).max())


def _fault(small: Miniature, mode: Mode, inputs: torch.Tensor, truth: _Truth) -> str:
    """Return why a way of decoding does not hold; empty if it does."""
    _give_attention(small.model, mode.attention)
    if small.model.config._attn_implementation != mode.attention:
        return "its attention is its own and cannot be exchanged"
    game = _Game(small, mode, inputs, truth)
    try:
        game.play()
    except _Fails as error:
        return game.stateless() or str(error)
    except Exception as error:  # the model's own code: anything may come
        return in_words(error)
    return ""


def _give_attention(model: Any, name: str) -> None:
    """Let a model have an attention implementation, if it can."""
    if name == model.config._attn_implementation or not model._can_set_attn_implementation():
        return
    # Classes that have no plain attention refuse.
    with contextlib.suppress(ValueError):
        model.set_attn_implementation(name)


class _Game:
    """Rows that join, decode and leave as in the engine, each logit compared with the truth."""

    def __init__(self, small: Miniature, mode: Mode, inputs: torch.Tensor, truth: _Truth) -> None:
        self.inputs, self.truth = inputs, truth
        self.decoder = Decoder(small.model, mode, inputs.device, BLOCK)
        self.cache = SlotCache(self.decoder.num_layers)
        # By slot: which row, and how many positions of it are in the cache.
        self.rows: list[list[int]] = []

    def play(self) -> None:
        """Play; raises _Fails where a logit is not right."""
        length = self.inputs.shape[1]
        self.join(0, 5)
        self.join(1, max(1, min(19, length - 8)))
        self.step(2)
        self.join(2, max(1, min(33, length - 7)), shared=2 * BLOCK if length >= LENGTH else 0)
        self.step(3)
        self.leave(0)
        self.step(2)
        self.join(3, 7)
        self.step(1)
        self.leave(1)
        self.step(1)
        self.leave(0)
        self.step(2)

    def join(self, row: int, length: int, shared: int = 0) -> None:
        """Read a prompt into the next slot, its beginning copied from slot 1 if it is shared."""
        slot = len(self.rows)
        self.cache.reserve(slot + 1, self.inputs.shape[1])
        if self.decoder.crosses(length - 1, since=0):
            shared = 0
        if shared:
            self.cache.copy(1, slot, shared)
        logits = self.decoder.prefill(self.cache, slot, shared, self.inputs[row, shared:length])
        self.rows.append([row, length])
        self.check(row, length - 1, logits, "a prompt")

    def leave(self, slot: int) -> None:
        """Take a row out; the last one moves to its slot."""
        last = self.rows.pop()
        if slot < len(self.rows):
            self.cache.copy(len(self.rows), slot, last[1])
            self.rows[slot] = last

    def step(self, times: int) -> None:
        """Advance every row."""
        for _ in range(times):
            going = []
            for slot, (row, length) in enumerate(self.rows):
                if self.decoder.crosses(length, since=length):
                    logits = self.decoder.prefill(self.cache, slot, 0, self.inputs[row, : length + 1])
                    self.check(row, length, logits, "a row past the switch")
                else:
                    going.append(slot)
            rows, lengths = zip(*[self.rows[slot] for slot in going], strict=True) if going else ((), ())
            if going:
                positions = torch.tensor(lengths, device=self.inputs.device)
                slots = None if len(going) == len(self.rows) else going
                found = self.decoder.decode(self.cache, self.inputs[list(rows), positions], positions, slots=slots)
                for row, length, logits in zip(rows, lengths, found, strict=True):
                    self.check(row, length, logits, f"{len(rows)} rows at once" if len(rows) > 1 else "a row alone")
            for state in self.rows:
                state[1] += 1

    def check(self, row: int, position: int, logits: torch.Tensor, of: str) -> None:
        """Raise _Fails where logits are not the row's after a position."""
        error = spread_error(logits, self.truth.at(row, position))
        if error > TOLERANCE:
            raise _Fails(
                f"{of}: with the cache its logits after {position + 1} positions are off by {error:.2g} of their spread"
            )

    def stateless(self) -> str:
        """Return that layers wrote nothing to the cache, where that is so; else nothing."""
        without = sum(not layer.is_initialized for layer in self.cache.layers)
        if without == len(self.cache.layers):
            return "it keeps no key-value cache"
        return f"{without} of {len(self.cache.layers)} layers keep no key-value cache" if without else ""


def in_words(error: Exception) -> str:
    """Return an exception of a model's own code, or of ours, in words."""
    text = (str(error).strip().splitlines() or ["without a word"])[0][:200]
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    if isinstance(error, NotImplementedError):
        return text
    if isinstance(error, TypeError) and "unexpected keyword argument" in text:
        return f"its code takes no {text.rpartition('argument ')[2]}"
    return f"its code does not take what it is given ({type(error).__name__}: {text})"


def _variant(model: Any, inputs: torch.Tensor, way: Way, rows: int | None) -> str:
    """Return why a row has other bits in company than alone; empty if it has the same."""
    if rows is None:
        return "it was not asked for"
    if way == "single" or rows == 1:
        return ""
    if way == "masked":
        return "its attention is of its own kind, and adds every row up over the longest row's length"
    small = miniature(model, model.dtype)
    _give_attention(small.model, Mode(way).attention)
    decoder = Decoder(small.model, Mode(way, rows), inputs.device, inputs.shape[1])
    inputs = inputs.to(model.dtype)
    lengths = [5, 2 * BLOCK + 3, 2 * BLOCK, BLOCK - 1]
    cache = SlotCache(decoder.num_layers)
    cache.reserve(ROWS, inputs.shape[1])
    for row, length in enumerate(lengths):
        decoder.prefill(cache, row, 0, inputs[row, :length])

    def decoded(chosen: Sequence[int]) -> tuple[torch.Tensor, set[Any]]:
        positions = torch.tensor([lengths[row] for row in chosen], device=inputs.device)
        with _Shapes() as shapes:
            logits = decoder.decode(cache, inputs[list(chosen), positions], positions, slots=list(chosen))
        return logits, shapes.seen

    together, shapes = decoded(range(ROWS))
    alone = [decoded([row]) for row in range(ROWS)]
    grouped = any("grouped_mm" in name for name, _ in shapes)
    if grouped or shapes != set[Any]().union(*(seen for _, seen in alone)):
        return "its matrix products have other shapes in company, as in a mixture of experts"
    if not torch.equal(together, torch.cat([logits for logits, _ in alone])):
        return "its last bits are others in company"
    return ""


class _Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the shapes of all matrix products and convolutions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if any(kind in name for kind in PRODUCTS):
            self.seen.add((name, tuple(tuple(a.shape) for a in args if isinstance(a, torch.Tensor))))
        return func(*args, **(kwargs or {}))
