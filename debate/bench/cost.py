"""What a model costs before it runs: parameters, operations and bytes a token, and the least time of a step on a device.

The accounting of surveys of transformer inference (e.g. arXiv:2307.07982): two operations a weight that a token is multiplied
with, and attention's 4 H W a position. All formulas are in shape.py; before anything is said they are held against the
parameters of the model's own class and against the operations that torch counts in its code, and have to be equal. That
holds neither windows, for torch counts masked positions too, nor the cache: those are held against real models in tests.
Operations are no time: a roofline (Williams, Waterman and Patterson, 2009) is the least that a device could need, of arithmetic
or of bytes, and engines need more.

A CIPHER step (Pham et al., 2024, section 3) does what a text step does, and then two things over the whole table: the
expectation Σ_v p_v E_v, and the nearest token of the result, which is its reading. B rows, T positions, V vocabulary, D width.
"""

from dataclasses import dataclass
from typing import Any

from agents.errors import ConfigError, ModelError, first_line
from debate.bench.devices import Device
from debate.bench.shape import Shape, shape_of

COUNTED_TOKENS = 64
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Step:
    """One decoding step of B rows on a device.

    Attributes:
        operations: of all rows.
        read: bytes that have to come from the device's memory.
        arithmetic, memory: seconds of either at the device's peaks.
    """

    operations: int
    read: int
    arithmetic: float
    memory: float

    @property
    def seconds(self) -> float:
        """The least seconds: the longer of the two."""
        return max(self.arithmetic, self.memory)

    @property
    def bound(self) -> str:
        """Which of the two binds."""
        return "arithmetic" if self.arithmetic > self.memory else "memory"


@dataclass(frozen=True)
class Cost:
    """What one model costs.

    Attributes:
        shape: its shape.
        counted: operations that torch counts for a prompt of `COUNTED_TOKENS`.
    """

    shape: Shape
    counted: int

    @property
    def parameters(self) -> int:
        """All of them, shared ones once."""
        return self.shape.parameters

    def operations(self, context: int) -> int:
        """Return the operations of one generated token that attends to `context` positions, itself among them.

        Raises:
            ConfigError: more positions than the model has learned.
        """
        self._check(context)
        return 2 * self.shape.linear + self.shape.attended(context)

    @property
    def cipher_operations(self) -> int:
        """Operations that a CIPHER step adds a token: 2 V D of the expectation, and 2 V D of the cosines with each row."""
        return 4 * self.shape.table

    def cache_bytes(self, context: int, dtype: str) -> int:
        """Return the bytes of a row's cache after `context` positions.

        Raises:
            ConfigError: more positions than the model has learned.
        """
        self._check(context)
        return self.shape.cached(context) * BYTES[dtype]

    def cache_bytes_a_token(self, context: int, dtype: str) -> int:
        """Return the bytes that the cache grows by with the last of `context` positions; layers with a full window add none."""
        return self.cache_bytes(context, dtype) - self.cache_bytes(context - 1, dtype)

    def message_bytes_a_token(self, dtype: str) -> int:
        """Return the bytes of one position of a CIPHER message: D numbers, where a text has a token's id."""
        return self.shape.width * BYTES[dtype]

    def weights_read(self, rows: int, *, evenly: bool = False) -> int:
        """Return the weights that a step of some rows reads, of experts those that serve.

        Of an input table of its own these are the rows' tokens, at most all; one that the head shares is read whole anyway. Of
        learned positions it is one, at which all rows are.

        Args:
            rows: B.
            evenly: how many experts B rows need that choose each by itself and evenly, E (1 − (1 − A / E)^B) in the mean; the
                least by default, where all rows choose the same A.
        """
        shape, idle = self.shape, 0.0
        for layer in shape.layers:
            if layer.experts:
                used = layer.experts * (1 - (1 - layer.active / layer.experts) ** rows) if evenly else layer.active
                idle += (layer.experts - used) * layer.expert_weights(shape.width)
        unread = max(shape.positions - 1, 0) + (0 if shape.tied else max(shape.vocabulary - rows, 0))
        return shape.parameters - round(idle) - unread * shape.width

    def step(self, device: Device, *, context: int, rows: int, dtype: str, cipher: bool = False) -> Step:
        """Return a step of B rows, each after `context` positions.

        Weights are read once a step, every row's cache besides; other activations are left out. A CIPHER step reads the table
        twice more, for what follows the head depends on all logits, and the nearest token on the expectation.

        Args:
            device: where.
            context: T, the token itself among them.
            rows: B.
            dtype: of weights, cache and arithmetic.
            cipher: add what a CIPHER step adds, by its definitions; kernels that leave unlikely tokens out need less.

        Raises:
            ConfigError: the device has no peak in this data type, or more positions than the model has learned.
        """
        a_row = self.operations(context) + (self.cipher_operations if cipher else 0)
        numbers = self.weights_read(rows) + rows * self.shape.cached(context) + (2 * self.shape.table if cipher else 0)
        operations, read = rows * a_row, numbers * BYTES[dtype]
        return Step(operations, read, operations / device.operations_a_second(dtype), read / device.bytes_a_second)

    def held_bytes(self, *, context: int, rows: int, dtype: str) -> int:
        """Return the bytes of weights and caches that the device has to hold."""
        return self.parameters * BYTES[dtype] + rows * self.cache_bytes(context, dtype)

    def _check(self, context: int) -> None:
        if self.shape.positions and context > self.shape.positions:
            raise ConfigError(
                f"a context of {context:,} positions is beyond the {self.shape.positions:,} that the model has learned; it "
                "has no weights for more"
            )


def cost(config: Any, name: str) -> Cost:
    """Return what a causal language model costs, of its transformers config; nothing is loaded.

    Raises:
        ModelError: what the formulas do not cover, by name; or the model's own class has other parameters or operations.
        ConfigError: the config does not make a model.
    """
    shape = shape_of(config, name)
    parameters, counted = counted_of(config, name)
    tokens = COUNTED_TOKENS
    # Every query is multiplied with every position, masked ones too: so attention's own code counts.
    expected = tokens * (2 * shape.linear + tokens * sum(4 * layer.heads * layer.head for layer in shape.layers))
    for what, ours, theirs in (("parameters", shape.parameters, parameters), ("operations", expected, counted)):
        if ours != theirs:
            raise ModelError(
                f"{name}: the formula of {config.model_type} has {ours:,} {what} where the model's own code has {theirs:,}; "
                "what it would say of this config is wrong"
            )
    return Cost(shape, counted)


def counted_of(config: Any, name: str) -> tuple[int, int]:
    """Return the parameters of a model's own class, and the operations that torch counts for `COUNTED_TOKENS` tokens.

    Nothing has memory: tensors are on the device `meta`. Experts are multiplied token by token, as `batched_mm` does it.

    Raises:
        ConfigError: the config does not make a model.
        ModelError: its code looks at values, which such tensors lack.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        if any(hasattr(module, "num_experts") for module in model.modules()):
            model.set_experts_implementation("batched_mm")
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:
        raise ConfigError(f"{name}: no causal language model of this config: {first_line(error)[:200]}") from error
    ids = torch.zeros(1, COUNTED_TOKENS, dtype=torch.long, device="meta")
    # A mask that is given, for the code that makes one looks at values.
    mask: Any = torch.zeros(1, 1, COUNTED_TOKENS, COUNTED_TOKENS, device="meta")
    if getattr(config, "layer_types", None):
        mask = dict.fromkeys(config.layer_types, mask)
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            model(input_ids=ids, attention_mask=mask, use_cache=False)
    except RuntimeError as error:
        reason = first_line(error)[:150]
        raise ModelError(f"{name}: operations of {config.model_type} cannot be counted unloaded: {reason}") from error
    return sum(weights.numel() for weights in model.parameters()), counter.get_total_flops()
