"""The memory of ATLAS and its Omega rule (2025, arXiv 2505.23735), as pure functions: step by step, and in chunks.

A memory is a matrix M [V, F] that is optimised while a text is read. At position t

    G_t = ∇ ½ Σ_{i = t−c+1 … t} γ_i |M φ_i − v_i|²     = Σ_i γ_i (M φ_i − v_i) φ_iᵀ
    S_t = θ_t S_{t−1} + G_t
    M_t = α_t M_{t−1} − η_t N(S_t)
    y_t = M_t φ(q_t)

with N the identity (OmegaNet where θ = 0; the delta rule where c = 1 besides) or `orthogonalised` (Muon). The gradient is in
closed form, so that training differentiates through it once. The text was not at hand in full: the ½, and γ of a token rather
than of a pair, are our reading.

T positions, c of the window, V values, F features; `...` are rows and heads.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from agents.errors import ConfigError

# Of the quintic step that Muon takes (Jordan et al., 2024): fast near 0, and near 1 after five of them.
QUINTIC = (3.4445, -4.7750, 2.0315)
TINY = 1e-7


class Writes(NamedTuple):
    """What is written at T positions, and asked there.

    Attributes:
        keys, queries: φ [..., T, F].
        values: [..., T, V].
        alpha: [..., T], what is kept of the memory, 0 to 1; so are `gamma`, the weight of a token in the loss, and
        theta: what is kept of the momentum; None: there is none.
        eta: [..., T], the step's size; `bounded_steps` gives one that is stable.
    """

    keys: Tensor
    queries: Tensor
    values: Tensor
    alpha: Tensor
    gamma: Tensor
    eta: Tensor
    theta: Tensor | None = None

    def parts(self, size: int) -> "Iterator[Writes]":
        """Yield those of so many positions at a time; the last may be fewer."""
        vectors = (torch.split(x, size, -2) for x in self[:3])
        count = -(-self.keys.shape[-2] // size)
        return map(Writes, *vectors, *([None] * count if x is None else torch.split(x, size, -1) for x in self[3:]))


class State(NamedTuple):
    """A memory between two positions.

    Attributes:
        memory: M [..., V, F].
        momentum: S [..., V, F].
        keys, values, gamma: of the last c − 1 positions, [..., c − 1, F], [..., c − 1, V] and [..., c − 1].
    """

    memory: Tensor
    momentum: Tensor
    keys: Tensor
    values: Tensor
    gamma: Tensor


def empty_state(writes: Writes, window: int) -> State:
    """Return the state before the first position: nothing is known, and what the window sees of before weighs nothing.

    Raises:
        ConfigError: a window of no position.
    """
    if window < 1:
        raise ConfigError(f"the Omega rule looks at a window of 1 position or more; got {window}")
    rows, features, values = writes.keys.shape[:-2], writes.keys.shape[-1], writes.values.shape[-1]
    new = writes.values.new_zeros
    before = (*rows, window - 1)
    zeros = new(*rows, values, features)
    return State(zeros, zeros, new(*before, features), new(*before, values), new(before))


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return a matrix [..., V, F] whose singular values are brought near 1 by Newton and Schulz's iteration, as in Muon.

    Five quintic steps X ← aX + (b XXᵀ + c (XXᵀ)²) X on the matrix over its Frobenius norm: singular values of 0.02 to 1 of
    it end between 0.6 and 1.3. A matrix of zeros stays one.
    """
    a, b, c = QUINTIC
    wide = matrix.shape[-2] <= matrix.shape[-1]
    x = matrix if wide else matrix.mT
    x = x / x.square().sum((-2, -1), keepdim=True).add(TINY**2).sqrt()
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT


def bounded_steps(rate: Tensor, keys: Tensor, gamma: Tensor, state: State) -> Tensor:
    """Return η [..., T] = rate / λ, with λ a bound from above of the curvature of each position's loss.

    The curvature is the largest eigenvalue of Σ γ_i φ_i φ_iᵀ over the window; it is at most the largest row sum of the Gram
    matrix |φ_i · φ_j| γ_j, which is at most c |φ|². A step multiplies the memory by α − η λ' with 0 <= λ' <= λ, which is within 1
    where the rate is at most 1 + α: at most 1 whatever is forgotten, below 2 (η c |φ|² < 2) where nothing is.

    Nothing is learned through the bound.

    Args:
        rate: [..., T], above 0.
        keys: φ [..., T, F].
        gamma: [..., T].
        state: before the first of the positions, whose window they continue.
    """
    seen = torch.cat([state.keys, keys], -2).detach()
    weights = torch.cat([state.gamma, gamma], -1).detach()
    inside = _window(keys.shape[-2], seen.shape[-2] - keys.shape[-2] + 1, keys.device)
    weighed = (seen @ seen.mT).abs() * weights[..., None, :]
    # [..., T, i]: the row sum of key i within the window of t.
    sums = (weighed @ inside.to(keys).mT).mT.masked_fill(~inside, 0.0)
    return rate / sums.amax(-1).clamp_min(TINY)


def read_step_by_step(state: State, writes: Writes, *, muon: bool = False) -> tuple[Tensor, State]:
    """Return y [..., T, V] and the state after the last position, each gradient taken at the memory before its position."""
    heard = []
    for now in writes.parts(1):
        seen = torch.cat([state.keys, now.keys], -2)
        values = torch.cat([state.values, now.values], -2)
        weights = torch.cat([state.gamma, now.gamma], -1)
        error = weights[..., None] * (seen @ state.memory.mT - values)
        gradient = error.mT @ seen
        momentum = gradient if now.theta is None else now.theta[..., None] * state.momentum + gradient
        step = orthogonalised(momentum) if muon else momentum
        memory = now.alpha[..., None] * state.memory - now.eta[..., None] * step
        heard.append(now.queries @ memory.mT)
        state = State(memory, momentum, seen[..., 1:, :], values[..., 1:, :], weights[..., 1:])
    return torch.cat(heard, -2), state


def read_in_chunks(state: State, writes: Writes, *, chunk: int, muon: bool = False) -> tuple[Tensor, State]:
    """Return y [..., T, V] and the state after the last position, each gradient taken at the memory before its chunk.

    In chunks of 1 that is `read_step_by_step`, but for rounding. In longer ones it is another model, which reads a chunk's
    positions at once: windows, decays and momentum go on within a chunk as step by step, and only where gradients are taken is
    another place.

    C gradients at one place may add up, where a chunk's keys are alike: a rate of at most 1 / C is stable there (below 2 / C
    where nothing is forgotten).

    Args:
        state: before the first position, at which a chunk begins.
        writes: of T positions; the last chunk may be shorter.
        chunk: C.
        muon: orthogonalise the steps.
    """
    heard = []
    for now in writes.parts(chunk):
        y, state = _chunk(state, now, muon=muon)
        heard.append(y)
    return torch.cat(heard, -2), state


def _chunk(state: State, now: Writes, *, muon: bool) -> tuple[Tensor, State]:
    count, before = now.keys.shape[-2], state.keys.shape[-2]
    seen = torch.cat([state.keys, now.keys], -2)
    values = torch.cat([state.values, now.values], -2)
    weights = torch.cat([state.gamma, now.gamma], -1)
    error = weights[..., None] * (seen @ state.memory.mT - values)
    # [..., t, s]: what is left at t of a step taken at s.
    keeps = _products(now.alpha)
    kept = keeps[..., 0] * now.alpha[..., :1]
    sized = keeps * now.eta[..., None, :]
    # [..., t, i]: how often the error of token i is in the momentum after t.
    share = _window(count, before + 1, seen.device).to(seen)
    left = None
    if now.theta is not None:
        decays = _products(now.theta)
        share, left = decays @ share, decays[..., 0] * now.theta[..., :1]
    momentum = (error * share[..., -1, :, None]).mT @ seen
    if left is not None:
        momentum = left[..., -1, None, None] * state.momentum + momentum
    if muon:
        moved = torch.einsum(
            "...ti,...iv,...if->...tvf", share.expand(*error.shape[:-2], *share.shape[-2:]), error, seen
        )
        if left is not None:
            moved = moved + left[..., None, None] * state.momentum[..., None, :, :]
        moves = torch.einsum("...ts,...svf->...tvf", sized, orthogonalised(moved))
        memories = kept[..., None, None] * state.memory[..., None, :, :] - moves
        heard = (memories @ now.queries[..., None])[..., 0]
        memory = memories[..., -1, :, :]
    else:
        share = sized @ share
        heard = kept[..., None] * (now.queries @ state.memory.mT) - (share * (now.queries @ seen.mT)) @ error
        memory = kept[..., -1, None, None] * state.memory - (error * share[..., -1, :, None]).mT @ seen
        if left is not None:
            old = (sized @ left[..., None])[..., 0]
            heard = heard - old[..., None] * (now.queries @ state.momentum.mT)
            memory = memory - old[..., -1, None, None] * state.momentum
    return heard, State(memory, momentum, seen[..., count:, :], values[..., count:, :], weights[..., count:])


def _products(factors: Tensor) -> Tensor:
    """Return [..., T, T] with Π_{s < r <= t} of factors [..., T] at (t, s), 0 where s > t."""
    count = factors.shape[-1]
    after = torch.ones(count, count, dtype=torch.bool, device=factors.device).tril(-1)
    return torch.where(after, factors[..., :, None], torch.ones_like(factors[..., :1, None])).cumprod(-2).tril()


def _window(count: int, window: int, device: torch.device) -> Tensor:
    """Return whether the window of each of T positions sees each of c − 1 + T, [T, c − 1 + T]."""
    places = torch.arange(window - 1 + count, device=device)
    first = torch.arange(count, device=device)[:, None]
    return (places >= first) & (places < first + window)
