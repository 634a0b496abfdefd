"""What a model costs before it runs: parameters, operations a token, bytes of its cache, and the least time on a device.

The accounting of surveys of transformer inference (e.g. arXiv:2307.07982): a token costs two operations a
weight of each linear map, and attention to T positions 4 T times heads times their width, in each layer. It is held against
what torch counts in the model's own code (`torch.utils.flop_counter`), on tensors without memory, before anything is said.
Operations are no time: a roofline is the least that a device could need, of arithmetic or of bytes, and engines need more.

T positions, B rows decoded at once.
"""

from dataclasses import dataclass
from typing import Any

from agents.errors import ConfigError, ModelError, UnknownName

COUNTED_TOKENS = 64
TOLERANCE = 0.02
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Device:
    """Peaks of a device, as its maker states them.

    Attributes:
        operations: a second, dense, in 16 bits.
        bandwidth: bytes a second from its memory.
    """

    operations: float
    bandwidth: float


DEVICES = {
    "a100-80gb": Device(312e12, 2.039e12),
    "h100-sxm": Device(989e12, 3.35e12),
    "h200": Device(989e12, 4.8e12),
    "l4": Device(121e12, 0.3e12),
    "rtx-4090": Device(165e12, 1.008e12),
}


@dataclass(frozen=True)
class Cost:
    """What one model costs.

    Attributes:
        parameters: all of them, shared ones once.
        linear: weights that each token is multiplied with.
        attention: operations that one query spends on one position it attends to, all layers together.
        cache: numbers that the cache keeps of one position.
        counted: operations that torch counts for a prompt of `COUNTED_TOKENS`.
        tokens_counted: the length of that prompt.
    """

    parameters: int
    linear: int
    attention: int
    cache: int
    counted: int
    tokens_counted: int = COUNTED_TOKENS

    @property
    def estimated(self) -> int:
        """Operations of the same prompt by the formula: every query against every position, as kernels are counted."""
        tokens = self.tokens_counted
        return 2 * self.linear * tokens + self.attention * tokens * tokens

    @property
    def error(self) -> float:
        """How far the formula is from what is counted, as a share of it."""
        return self.estimated / self.counted - 1

    def operations(self, context: int) -> int:
        """Return the operations of one generated token that attends to `context` positions."""
        return 2 * self.linear + self.attention * context

    def cache_bytes(self, context: int, dtype: str) -> int:
        """Return the bytes of a row's cache."""
        return self.cache * context * BYTES[dtype]

    def step_seconds(self, device: Device, *, context: int, rows: int, dtype: str) -> tuple[float, float]:
        """Return the least seconds of a step of B rows, by arithmetic and by bytes; the larger one binds.

        Weights are read once a step, every row's cache besides; other activations are left out.
        """
        arithmetic = rows * self.operations(context) / device.operations
        read = self.parameters * BYTES[dtype] + rows * self.cache_bytes(context, dtype)
        return arithmetic, read / device.bandwidth


def device(name: str) -> Device:
    """Return a device by name.

    Raises:
        UnknownName: no such device.
    """
    if name not in DEVICES:
        raise UnknownName("device", name, DEVICES)
    return DEVICES[name]


def cost(config: Any, name: str) -> Cost:
    """Return what a causal language model costs, of its transformers config; nothing is loaded.

    Raises:
        ModelError: torch counts other operations than the formula of dense transformers, or none: mixtures, recurrent models.
        ConfigError: the config does not make a model.
    """
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:
        raise ConfigError(
            f"{name}: no causal language model of this config: {str(error).splitlines()[0][:200]}"
        ) from error
    ids = torch.zeros(1, COUNTED_TOKENS, dtype=torch.long, device="meta")
    # A mask that is given, for the code that makes one looks at values, which such tensors lack.
    mask = torch.zeros(1, 1, COUNTED_TOKENS, COUNTED_TOKENS, device="meta")
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            model(input_ids=ids, attention_mask=mask, use_cache=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:150]
        raise ModelError(f"{name}: operations of {config.model_type} cannot be counted unloaded: {reason}") from error
    linear = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear | Conv1D))
    text = config.get_text_config()
    heads, layers = int(text.num_attention_heads), int(text.num_hidden_layers)
    head = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    kept = int(getattr(text, "num_key_value_heads", None) or heads)
    found = Cost(
        parameters=sum(p.numel() for p in model.parameters()),
        linear=linear,
        attention=4 * layers * heads * head,
        cache=2 * layers * kept * head,
        counted=counter.get_total_flops(),
    )
    if abs(found.error) > TOLERANCE:
        raise ModelError(
            f"{name}: torch counts {found.counted:.4g} operations for {COUNTED_TOKENS} tokens where the formula of dense "
            f"transformers has {found.estimated:.4g}; what it says of this kind of model ({text.model_type}) would be wrong"
        )
    return found
