"""A model of the same weights in another architecture, whose config says more."""

from typing import Any


def recast(model: Any, kind: Any, **said: Any) -> Any:
    """Return a model of another class with a model's weights, and its config with more said.

    Args:
        model: of transformers.
        kind: the class; its weights have the same names and shapes.
        said: what its config says beyond the model's.
    """
    from transformers.initialization import no_init_weights

    config = model.config
    given = {key: value for key, value in config.to_dict().items() if key not in ("model_type", "architectures")}
    made = kind.config_class(**given, **said)
    made._attn_implementation = config._attn_implementation
    with no_init_weights():
        found = kind(made)
    found.load_state_dict(model.state_dict())
    # Not tied while nothing is initialised.
    found.tie_weights()
    return found.eval().requires_grad_(False)
