"""One template of token mixing, from which softmax, kernel, state-space, Fourier and convolution mixers follow (He and Kabic,
2023, arXiv:2302.06218).

Y = N(A) V, a matrix A [L, L] of how much position i hears of j, its rows divided by their sums or not. What sets mixers apart
is how A comes about, and which way around it needs no A. Each mixer here is its matrix, and `fast` is that way; tests hold
one against the other. Fourier mixing (FNet: Lee-Thorp et al., NAACL 2022, arXiv:2105.03824) is the real part of a complex A
after the same transform over the width.
L positions, D width, S state.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import elu, pad, scaled_dot_product_attention


class Mixer(ABC):
    """A way of mixing positions; `normalised` says whether rows are divided by their sums."""

    normalised = False

    @abstractmethod
    def matrix(self, length: int) -> Tensor:
        """Return A [L, L], before rows are divided by their sums."""

    @abstractmethod
    def fast(self, values: Tensor) -> Tensor:
        """Return what `mix` does of values [L, D], by the mixer's own way."""

    def values(self, values: Tensor) -> Tensor:
        """Return what is mixed: the values themselves, but for Fourier mixing."""
        return values


def mix(mixer: Mixer, values: Tensor) -> Tensor:
    """Return Y [L, D] of values [L, D] by the template."""
    weights = mixer.matrix(len(values))
    if mixer.normalised:
        weights = weights / weights.sum(-1, keepdim=True)
    mixed = weights @ mixer.values(values).to(weights.dtype)
    return mixed.real if mixed.is_complex() else mixed


@dataclass(frozen=True, eq=False)
class Softmax(Mixer):
    """A_ij = exp(q_i·k_j / √D), causal: L² products of width D."""

    query: Tensor
    key: Tensor
    normalised = True

    def matrix(self, length: int) -> Tensor:
        """See Mixer."""
        return torch.exp(self.query @ self.key.T / math.sqrt(self.query.shape[1])).tril()

    def fast(self, values: Tensor) -> Tensor:
        """Return torch's attention."""
        return scaled_dot_product_attention(self.query[None], self.key[None], values[None], is_causal=True)[0]


@dataclass(frozen=True, eq=False)
class Kernel(Mixer):
    """A_ij = φ(q_i)·φ(k_j), φ = elu + 1, causal (Katharopoulos et al., 2020, arXiv:2006.16236): running sums, L D² products."""

    query: Tensor
    key: Tensor
    normalised = True

    def matrix(self, length: int) -> Tensor:
        """See Mixer."""
        return ((elu(self.query) + 1) @ (elu(self.key) + 1).T).tril()

    def fast(self, values: Tensor) -> Tensor:
        """Return the running sums of φ(k) vᵀ and of φ(k), asked by φ(q)."""
        queries, keys = elu(self.query) + 1, elu(self.key) + 1
        sums = (keys[:, :, None] * values[:, None]).cumsum(0)
        return (queries[:, None] @ sums)[:, 0] / (queries * keys.cumsum(0)).sum(1, keepdim=True)


@dataclass(frozen=True, eq=False)
class StateSpace(Mixer):
    """A_ij = C diag(a)^{i−j} B for i ≥ j: a recurrence of S numbers a channel, L S D products.

    Attributes:
        decay, into, out: [S], the diagonal a, B and C.
    """

    decay: Tensor
    into: Tensor
    out: Tensor

    def matrix(self, length: int) -> Tensor:
        """See Mixer."""
        places = torch.arange(length)
        distance = (places[:, None] - places).clamp_min(0)
        return ((self.decay ** distance[..., None]) @ (self.into * self.out)).tril()

    def fast(self, values: Tensor) -> Tensor:
        """Return what the state h_t = a h_{t−1} + B x_t shows by C, step by step."""
        state, found = values.new_zeros(len(self.decay), values.shape[1]), []
        for value in values:
            state = self.decay[:, None] * state + self.into[:, None] * value
            found.append(self.out @ state)
        return torch.stack(found)


@dataclass(frozen=True, eq=False)
class Convolution(Mixer):
    """A_ij = w_{i−j} for i ≥ j, a Toeplitz matrix; through the fast Fourier transform L log L products a channel.

    Attributes:
        kernel: [K]; positions farther back are not heard.
    """

    kernel: Tensor

    def matrix(self, length: int) -> Tensor:
        """See Mixer."""
        places = torch.arange(length)
        distance = (places[:, None] - places).clamp_min(0)
        weights = pad(self.kernel, (0, max(0, length - len(self.kernel))))
        return weights[distance].tril()

    def fast(self, values: Tensor) -> Tensor:
        """Return the product of the two transforms, long enough that nothing comes round from the end."""
        size = len(values) + len(self.kernel)
        spectrum = torch.fft.rfft(values, size, dim=0) * torch.fft.rfft(self.kernel, size)[:, None]
        mixed: Tensor = torch.fft.irfft(spectrum, size, dim=0)[: len(values)]
        return mixed


@dataclass(frozen=True, eq=False)
class Fourier(Mixer):
    """A_jk = exp(−2πi j k / L), Re(F_seq X F_hid), without a parameter and not causal: L log L products a channel."""

    def matrix(self, length: int) -> Tensor:
        """See Mixer."""
        return _transform(length)

    def values(self, values: Tensor) -> Tensor:
        """Return X F_hid."""
        return values.to(torch.complex128) @ _transform(values.shape[1])

    def fast(self, values: Tensor) -> Tensor:
        """Return the real part of the two-dimensional transform."""
        mixed: Tensor = torch.fft.fft2(values).real
        return mixed


def _transform(length: int) -> Tensor:
    places = torch.arange(length, dtype=torch.float64)
    # Whole turns are taken out first, so that angles stay small.
    return torch.polar(
        torch.ones(length, length, dtype=torch.float64), -2 * math.pi / length * (torch.outer(places, places) % length)
    )
