"""`topk`: each token keeps the k largest activations of every feed-forward layer.

The weights stay as they are, to the byte; what changes is the architecture, which the config names. A copy that keeps all units
is the model itself, of its own architecture.
"""

from typing import Any

from agents.errors import ConfigError
from agents.transforms.subject import Outcome, Subject, layers_of, linears
from agents.transforms.topk.layer import PLACES, PRODUCT


def topk(subject: Subject, *, k: int = 64, at: str = PRODUCT) -> Outcome:
    """Keep the k largest activations of each feed-forward layer, token by token.

    Nothing is trained: the paper (Li et al., ICLR 2023, arXiv:2210.06313) trains with the same k, on layers with a ReLU and
    without a gate.

    Args:
        subject: the model; its weights stay as they are.
        k: units that stay, from 1 to the layer's width, which leaves the model as it is.
        at: `product` looks at what the last map reads, `gate` at what the activation function gives.

    Raises:
        ConfigError: k or `at` out of range.
        ModelError: a family whose blocks are not known.
    """
    layers = layers_of(subject, "topk")
    units = layers[0].mlp.down_proj.in_features
    if not 1 <= k <= units:
        raise ConfigError(f"topk: k is from 1 to the {units} units of a feed-forward layer of {subject.name}; got {k}")
    if at not in PLACES:
        raise ConfigError(f"topk: at is one of {', '.join(PLACES)}; got {at!r}")
    whole = sum(linear.weight.numel() for layer in layers for linear in linears(layer).values())
    if k < units:
        subject.model = _thresholded(subject.model, k, at)
    spared = [
        linear.weight.numel() - min(rows, linear.out_features) * min(columns, linear.in_features)
        for layer in subject.model.model.layers
        if k < units
        for linear, (rows, columns) in layer.mlp.needed().items()
    ]
    kept = 1 - sum(spared) / whole
    return Outcome(
        {"units": units, "units_kept": k, "macs_kept": kept},
        (
            f"Each token keeps {k} of the {units} activations of a feed-forward layer, so that a token needs {kept:.1%} of the "
            "multiply-accumulates of the blocks' maps. They are masked and not left out: it takes no less time here.",
        ),
    )


def _thresholded(model: Any, k: int, at: str) -> Any:
    """Return a model of the same weights that keeps k units."""
    from transformers.initialization import no_init_weights

    from agents.transforms.topk.model import KINDS

    config = model.config
    kind = KINDS[config.model_type]
    given = {key: value for key, value in config.to_dict().items() if key not in ("model_type", "architectures")}
    made = kind.config_class(**given, kept_units=k, kept_at=at)
    made._attn_implementation = config._attn_implementation
    with no_init_weights():
        found = kind(made)
    found.load_state_dict(model.state_dict())
    # Not tied while nothing is initialised.
    found.tie_weights()
    return found.eval().requires_grad_(False)
