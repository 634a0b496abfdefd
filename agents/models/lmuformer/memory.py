"""The Legendre memory: the last theta steps of a signal as coefficients of Legendre polynomials (Voelker et al., 2019).

dm/dt = A m + B u with A_ij = (2i + 1)/theta * (−1 where i < j, else (−1)^(i−j+1)) and B_i = (2i + 1)(−1)^i / theta, held
constant between steps (zero-order hold). The sequence is convolved with the impulse response A^t B by FFT in training; step
by step it is the same. Powers of A are made in float64, where float32 drifts over long sequences.

B batch, T steps, M memory.
"""

from functools import cache

import torch
from torch import Tensor


@cache
def discrete(size: int, theta: int) -> tuple[Tensor, Tensor]:
    """Return A [M, M] and B [M] of one step, float64."""
    i = torch.arange(size, dtype=torch.float64)[:, None]
    j = torch.arange(size, dtype=torch.float64)[None]
    scale = (2 * i + 1) / theta
    a = scale * torch.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    b = (scale * (-1.0) ** i)[:, 0]
    # Zero-order hold by one exponential: exp([[A, B], [0, 0]]) = [[A', B'], [0, 1]].
    joined = torch.zeros(size + 1, size + 1, dtype=torch.float64)
    joined[:size, :size], joined[:size, size] = a, b
    held = torch.linalg.matrix_exp(joined)
    return held[:size, :size].contiguous(), held[:size, size].contiguous()


@cache
def impulse_response(size: int, theta: int, steps: int) -> Tensor:
    """Return A^t B for t from 0 [T, M], float64."""
    a, b = discrete(size, theta)
    found = [b]
    for _ in range(steps - 1):
        found.append(a @ found[-1])
    return torch.stack(found)


def convolved(u: Tensor, size: int, theta: int) -> Tensor:
    """Return the memory at every step [B, T, M] of a signal [B, T], in its dtype."""
    steps = u.shape[1]
    response = impulse_response(size, theta, steps).to(u.dtype)
    # Twice as long, so that the end does not wrap around to the beginning.
    spectrum = torch.fft.rfft(u, 2 * steps)[..., None] * torch.fft.rfft(response, 2 * steps, dim=0)
    found: Tensor = torch.fft.irfft(spectrum, 2 * steps, dim=1)[:, :steps]
    return found


def stepped(memory: Tensor, u: Tensor, theta: int) -> Tensor:
    """Return the memory [B, M] one step on, for the signal's next value [B]."""
    a, b = discrete(memory.shape[1], theta)
    return memory @ a.to(memory.dtype).T + u[:, None] * b.to(memory.dtype)
