"""Rules that know no prior: least squares, ridge, gradient descent, nearest neighbours; in float64.

What a network that learned to learn in context is held against (Akyürek et al., 2023, arXiv:2211.15661): each rule gives the
label at a point from examples. A rule that is linear in x has weights, too.

B functions, K examples of each, Q points that are asked for, d dimensions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from agents.errors import ConfigError, RequestError

Rule = Callable[[Tensor, Tensor, Tensor], Tensor]
"""x [B, K, d], y [B, K], asked [B, Q, d] → labels [B, Q]."""
LEAST_VARIANCE = 1e-4


def least_squares(x: Tensor, y: Tensor) -> Tensor:
    """Return the weights [B, d] of the least squared error; of fewer examples than dimensions the shortest such weights."""
    found: Tensor = (torch.linalg.pinv(x.double()) @ y.double()[..., None])[..., 0]
    return found


def ridge_weights(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """Return the weights [B, d] of the least squared error with a penalty on their squares (Hoerl and Kennard, 1970)."""
    x, y = x.double(), y.double()
    gram = x.transpose(-1, -2) @ x + penalty * torch.eye(x.shape[-1]).double()
    found: Tensor = torch.linalg.solve(gram, (x.transpose(-1, -2) @ y[..., None])[..., 0])
    return found


def descent_weights(x: Tensor, y: Tensor, *, steps: int, rate: float) -> Tensor:
    """Return the weights [B, d] after so many steps of gradient descent from 0 on the mean squared error over 2."""
    x, y = x.double(), y.double()
    w = torch.zeros(x.shape[0], x.shape[-1]).double()
    for _ in range(steps):
        error = (x @ w[..., None])[..., 0] - y
        w = w - rate * (x.transpose(-1, -2) @ error[..., None])[..., 0] / max(x.shape[1], 1)
    return w


def one_pass_weights(x: Tensor, y: Tensor, *, rate: float) -> Tensor:
    """Return the weights [B, d] after one step of gradient descent from 0 on half the squared error of each example, in order."""
    x, y = x.double(), y.double()
    w = torch.zeros(x.shape[0], x.shape[-1]).double()
    for place in range(x.shape[1]):
        error = (x[:, place] * w).sum(-1) - y[:, place]
        w = w - rate * error[:, None] * x[:, place]
    return w


def _linear(weights: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    def rule(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        found: Tensor = (asked.double() @ weights(x, y)[..., None])[..., 0]
        return found

    return rule


def ols() -> Rule:
    """Ordinary least squares."""
    return _linear(least_squares)


def ridge(*, penalty: float = 0.25) -> Rule:
    """Ridge regression."""
    if penalty <= 0:
        raise ConfigError(f"penalty must be above 0 (ols has none); got {penalty}")
    return _linear(lambda x, y: ridge_weights(x, y, penalty))


def gradient_descent(*, steps: int = 1, rate: float = 0.5) -> Rule:
    """Gradient descent on all examples at once."""
    if steps < 1 or rate <= 0:
        raise ConfigError(f"steps must be at least 1 and rate above 0; got {steps}, {rate}")
    return _linear(lambda x, y: descent_weights(x, y, steps=steps, rate=rate))


def stochastic_gradient_descent(*, rate: float = 0.1) -> Rule:
    """One pass of gradient descent, an example at a time."""
    if rate <= 0:
        raise ConfigError(f"rate must be above 0; got {rate}")
    return _linear(lambda x, y: one_pass_weights(x, y, rate=rate))


def neighbours(*, count: int = 3) -> Rule:
    """The mean label of the nearest examples."""
    if count < 1:
        raise ConfigError(f"count must be at least 1; got {count}")

    def rule(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        far = torch.cdist(asked.double(), x.double())
        nearest = far.topk(min(count, x.shape[1]), largest=False).indices
        found: Tensor = y.double()[:, None].expand(-1, asked.shape[1], -1).gather(-1, nearest).mean(-1)
        return found

    return rule


def plug_in(x: Tensor, y: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance [B, Q] of the label by least squares: its residual variance put in for the noise's.

    Raises:
        RequestError: no more examples than dimensions, which leave no residual, or examples that do not span them.
    """
    examples, dims = x.shape[1:]
    if examples <= dims:
        raise RequestError(
            f"least squares knows its own error from more examples than dimensions; got {examples} and {dims}"
        )
    x, asked = x.double(), asked.double()
    if bool((torch.linalg.matrix_rank(x) < dims).any()):
        raise RequestError(
            f"least squares knows its own error where the examples span all {dims} dimensions; these do not"
        )
    w = least_squares(x, y)
    residual = y.double() - (x @ w[..., None])[..., 0]
    noise = residual.square().sum(-1, keepdim=True) / (examples - dims)
    leverage = (asked @ torch.linalg.inv(x.transpose(-1, -2) @ x) * asked).sum(-1)
    return (asked @ w[..., None])[..., 0], (noise * (1 + leverage)).clamp(min=LEAST_VARIANCE)


def left_out(rule: Rule, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error [B] of a rule at each example from all the others: what it may expect of itself.

    Raises:
        RequestError: fewer than two examples.
    """
    if x.shape[1] < 2:
        raise RequestError(f"a rule learns its own error from two examples at least; got {x.shape[1]}")
    errors = []
    for place in range(x.shape[1]):
        kept = [other for other in range(x.shape[1]) if other != place]
        errors.append(rule(x[:, kept], y[:, kept], x[:, place : place + 1])[:, 0] - y[:, place].double())
    return torch.stack(errors, -1).square().mean(-1).clamp(min=LEAST_VARIANCE)
