"""What the logits of a miniature should be: those of its own forward pass, without a cache, row by row."""

import contextlib
import inspect
import re
from typing import Any

import torch

from agents.backends.transformers import attention
from agents.backends.transformers.miniature import SWITCH, Miniature
from agents.errors import ModelError, first_line

# Of the difference of two rows of logits, over the spread of the right one. float32 leaves some 1e-6 in so few layers.
TOLERANCE = 1e-3
# Positions after which a model that reads what follows is told from one that does not.
FEW = 9


class Fails(Exception):
    """A way does not hold; the text says why."""


class Truth:
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
        few, half = self._read(inputs[0, :FEW]), self._read(inputs[0, :SWITCH])
        if spread_error(few, half[:FEW]) > TOLERANCE:
            raise Fails("it reads what follows before it answers what precedes, so it is no causal language model")
        if spread_error(half, self._whole[0][: len(half)]) > TOLERANCE:
            beyond = self._read(inputs[0, : SWITCH + 1])
            if (
                length <= SWITCH + 1
                or not small.switches
                or spread_error(beyond, self._whole[0][: len(beyond)]) > TOLERANCE
            ):
                raise Fails("it reads the beginning of a text anew with every position that follows")
            self.switch = SWITCH
            self._near = [self._read(row[:SWITCH]) for row in inputs]

    def _read(self, row: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = uncached(self._model, row)
        if not torch.isfinite(logits).all():
            raise Fails("its logits are not finite")
        if (logits == logits[:, :1]).all():
            raise Fails("it finds every token as likely as every other, whatever it reads")
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


def looked_up(model: Any) -> torch.Tensor:
    """Return the table [V, D] of a model, as it looks tokens up."""
    module = model.get_input_embeddings()
    if type(module) is torch.nn.Embedding and module.max_norm is None:
        weight: torch.Tensor = module.weight.detach()
        return weight
    rows = module.num_embeddings
    blocks = [module(torch.arange(i, min(i + 4096, rows), device=model.device)) for i in range(0, rows, 4096)]
    return torch.cat(blocks).detach()


def check_embeddings_suffice(model: Any, table: torch.Tensor, name: str) -> None:
    """Raise ModelError for a model that reads more of a token than its row of the table (per-layer embeddings, for instance)."""
    ids = torch.arange(3, min(11, len(table)), device=table.device)[None]
    try:
        by_id = model(input_ids=ids, **without_cache(model)).logits
        by_vector = model(inputs_embeds=table[ids], **without_cache(model)).logits
    except Exception as error:  # the model's own code: anything may come
        raise ModelError(f"{name} cannot hear vectors: {in_words(error)}") from error
    # The same numbers go in, so nearly the same come out, whatever the dtype. What overflows it ends its own turn.
    if torch.isfinite(by_id).all() and spread_error(by_vector, by_id) > 1e-2:
        raise ModelError(f"{name} reads more of a token than its embedding, so it cannot hear vectors")


def check_alternative(model: Any, row: torch.Tensor, truth: Truth) -> None:
    """Raise Fails where a model's usual attention gives other logits than its eager one, and nobody knows which is right.

    Where a layer gives numbers that the usual one drops (a cap on scores, sinks), the eager one is right.
    """
    usual = attention.register()
    if model.get_correct_attn_implementation(None) != "sdpa":
        return
    give_attention(model, usual)
    if model.config._attn_implementation != usual:
        model.config._attn_implementation = "sdpa"
    try:
        error = spread_error(uncached(model, row), truth.whole(0))
    except Exception:  # it cannot be run: there is no other way to compare with
        error = 0.0
    finally:
        model.config._attn_implementation = "eager"
    if error > TOLERANCE:
        raise Fails(
            f"its own code gives two results: by eager and by sdpa attention logits are {error:.2g} of their spread apart"
        )


def give_attention(model: Any, name: str) -> None:
    """Let a model have an attention implementation, if it can."""
    if name == model.config._attn_implementation or not model._can_set_attn_implementation():
        return
    # Classes that have no plain attention refuse.
    with contextlib.suppress(ValueError):
        model.set_attn_implementation(name)


def spread_error(found: torch.Tensor, right: torch.Tensor) -> float:
    """Return the largest difference of rows of logits, over the spread of the right ones."""
    found, right = found.double(), right.double()
    spread = (right - right.mean(-1, keepdim=True)).norm(dim=-1).clamp_min(1e-12)
    return float(((found - right).norm(dim=-1) / spread).nan_to_num(torch.inf).max())


def in_words(error: Exception) -> str:
    """Return an exception of a model's own code, or of ours, in words."""
    text = first_line(error, silent="without a word")[:200]
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        return "there is no memory left for it"
    if isinstance(error, NotImplementedError):
        return text
    if isinstance(error, TypeError) and "unexpected keyword argument" in text:
        return f"its code takes no {text.rpartition('argument ')[2]}"
    return f"its code does not take what it is given ({type(error).__name__}: {text})"
