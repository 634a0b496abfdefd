"""`topk`: each token keeps the k largest activations of every feed-forward layer.

The weights stay as they are, to the byte; what changes is the architecture, which the config names. A copy that keeps all units
is the model itself, of its own architecture.
"""

from agents.errors import ConfigError
from agents.transforms.recast import recast
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
        from agents.transforms.topk.model import KINDS

        kind = KINDS[subject.model.config.model_type]
        subject.model = recast(subject.model, kind, kept_units=k, kept_at=at)
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
