"""How few activations of a model's feed-forward layers are at work: over depth, and over the positions of texts.

The Lazy Neuron Phenomenon (Li et al., ICLR 2023, arXiv:2210.06313) counts activations of a ReLU that are not zero. What is
counted here is what the last map of a feed-forward layer reads: of a layer without a gate what its activation function gives,
of a gated one the product of both branches. T positions of a text, F units of a layer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from agents.errors import ConfigError, ModelError
from agents.model_folder import quiet, read_config, refuse_incomplete, refuse_other_kinds, unreadable
from agents.pretrained import Progress, locate
from agents.whole_model import whole_model
from evals.copies.drift import Scored

# Names of a feed-forward layer's last map in models of transformers.
LAST = ("down_proj", "c_proj", "fc2", "fc_out", "dense_4h_to_h", "wo", "w2", "lin2", "output.dense")
# Activation functions that give exact zeros, by what configs call them.
ZEROS = ("relu", "relu2", "relu6")
SHARE = 0.01


@dataclass
class Layer:
    """What is counted of one feed-forward layer.

    Attributes:
        name: of its last map.
        units: F.
        non_zero: by position, how many activations are not 0, summed over texts.
        at_work: likewise, how many are at least a share of their token's largest in magnitude.
    """

    name: str
    units: int
    non_zero: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    at_work: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))


@dataclass(frozen=True)
class Sparsity:
    """Of one model, on some texts.

    Attributes:
        model: its name.
        activation: its activation function, as its config calls it.
        is_exact: whether its layers give exact zeros, so that `non_zero` is what is looked at; if not it is `at_work`.
        share: of a token's largest magnitude in a layer, from which on an activation is at work.
        tokens: that were read, by position.
        layers: from the first to the last.
    """

    model: str
    activation: str
    is_exact: bool
    share: float
    tokens: Tensor
    layers: tuple[Layer, ...]

    def over_depth(self, kind: str | None = None) -> list[float]:
        """Return the share of activations of each layer that are at work, over all tokens."""
        total = int(self.tokens.sum())
        return [int(self._counts(layer, kind).sum()) / (total * layer.units) for layer in self.layers]

    def over_positions(self, kind: str | None = None) -> list[float]:
        """Return that share at each position, over all layers."""
        units = sum(layer.units for layer in self.layers)
        counts = torch.stack([self._counts(layer, kind) for layer in self.layers]).sum(0)
        return [int(count) / (int(tokens) * units) for count, tokens in zip(counts, self.tokens, strict=True)]

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "model": self.model,
            "activation": self.activation,
            "counted": self.counted,
            "share_of_the_largest": self.share,
            "tokens": int(self.tokens.sum()),
            "layers": [
                {"layer": layer.name, "units": layer.units, "non_zero": exact, "at_work": near}
                for layer, exact, near in zip(
                    self.layers, self.over_depth("non_zero"), self.over_depth("at_work"), strict=True
                )
            ],
            "positions": {kind: self.over_positions(kind) for kind in ("non_zero", "at_work")},
            "tokens_by_position": self.tokens.tolist(),
        }

    @property
    def counted(self) -> str:
        """What is looked at of this model."""
        return "non_zero" if self.is_exact else "at_work"

    def _counts(self, layer: Layer, kind: str | None) -> Tensor:
        found: Tensor = getattr(layer, kind or self.counted)
        return found


def in_words(share: float, *, is_exact: bool) -> str:
    """Return what is counted, as a caption says it."""
    return "not 0" if is_exact else f"at least {share:.3g} of the token's largest in the layer, by magnitude"


@torch.inference_mode()
def sparsity(
    name: str, texts: Sequence[Scored], *, share: float = SHARE, progress: Progress = lambda _: None
) -> Sparsity:
    """Return how few activations of a model are at work on some texts.

    Args:
        name: of the model: a causal language model, an encoder, or an encoder–decoder, of which the encoder is looked at.
        texts: read one by one, so that nothing is padding.
        share: of a token's largest magnitude in a layer, from which on an activation counts where no exact zeros can come.
        progress: called with a sentence for each slow step.

    Raises:
        ConfigError: a share not between 0 and 1.
        ModelError: it cannot be loaded, or has no feed-forward layer whose last map is known by name.
    """
    if not 0 < share < 1:
        raise ConfigError(f"share is of a token's largest activation, above 0 and below 1; got {share:g}")
    model = _loaded(name, progress)
    config = model.config.get_text_config()
    longest = max(len(text.ids) for text in texts)
    layers = {module: Layer(path, _inputs(module)) for path, module in last_maps(model)}
    if not layers:
        raise ModelError(
            f"{name} ({type(model).__name__}) has no feed-forward layer whose last map is named as in other models "
            f"({', '.join(LAST)}), so its activations cannot be found"
        )
    for layer in layers.values():
        layer.non_zero, layer.at_work = (torch.zeros(longest, dtype=torch.long) for _ in range(2))
    tokens = torch.zeros(longest, dtype=torch.long)
    with _counting(layers, share):
        for text in texts:
            model(torch.tensor([text.ids]))
            tokens[: len(text.ids)] += 1
    activation = _activation(config)
    is_exact = activation in ZEROS or getattr(config, "kept_units", 0) > 0
    return Sparsity(name, activation, is_exact, share, tokens, tuple(layers.values()))


def last_maps(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield path and module of the last map of every feed-forward layer, in order: in numbered blocks, outside attention."""
    from transformers.pytorch_utils import Conv1D

    for path, module in model.named_modules():
        parts = path.lower().split(".")
        is_map = isinstance(module, nn.Linear | Conv1D)
        in_block = any(part.isdecimal() for part in parts) and not any("att" in part for part in parts)
        if is_map and in_block and any(f".{path}".endswith(f".{name}") for name in LAST):
            yield path, module


def _inputs(module: nn.Module) -> int:
    """Return how wide what a map reads is; transformers' Conv1D keeps its weight the other way round."""
    weight: Any = module.weight
    return int(weight.shape[1] if isinstance(module, nn.Linear) else weight.shape[0])


@contextmanager
def _counting(layers: dict[nn.Module, Layer], share: float) -> Iterator[None]:
    """Within it what these maps read is counted, of one text at a time."""

    def counter(layer: Layer) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            size = inputs[0].reshape(-1, layer.units).abs()  # [T, F]
            layer.non_zero[: len(size)] += (size > 0).sum(1)
            layer.at_work[: len(size)] += ((size >= share * size.amax(1, keepdim=True)) & (size > 0)).sum(1)

        return hook

    handles = [module.register_forward_pre_hook(counter(layer)) for module, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _activation(config: Any) -> str:
    names = ("hidden_act", "hidden_activation", "activation_function", "dense_act_fn", "activation", "afn")
    return next((str(found) for name in names if (found := getattr(config, name, None))), "unknown")


def _loaded(name: str, progress: Progress) -> Any:
    """Return a model in float32 on the CPU: a causal language model, or the encoder of any other."""
    folder = locate(name, progress=progress)
    config = read_config(folder, name=name)
    try:
        refuse_other_kinds(config, name)
    except ModelError:
        return _encoder(folder, config, name)
    return whole_model(folder, config, name, dtype=torch.float32, attention="eager")


def _encoder(folder: Any, config: Any, name: str) -> Any:
    from transformers import AutoModel

    try:
        with quiet():
            model, report = AutoModel.from_pretrained(
                folder, config=config, dtype=torch.float32, use_safetensors=True, local_files_only=True,
                trust_remote_code=False, output_loading_info=True,
            )  # fmt: skip
    except Exception as error:  # whatever a checkpoint makes transformers raise
        raise unreadable("the model", name, folder, error) from error
    # What stands behind the blocks is not looked at, and may be another head than was saved, or none.
    missing = [key for key in report["missing_keys"] if "pooler" not in key]
    refuse_incomplete(name, {**report, "missing_keys": missing, "unexpected_keys": []})
    return (model.get_encoder() if config.is_encoder_decoder else model).eval()
