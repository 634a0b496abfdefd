"""Random numbers that depend on (seed, step, stream, token) and on nothing else.

A counter is hashed instead of a state advanced, so a row draws the same numbers alone and in any batch, for any
vocabulary that contains the token, on every device. The hash is the 64-bit finaliser of SplitMix64 (Steele, Lea and
Flood, 2014), applied once to each ingredient. B rows, N tokens.
"""

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64


def _signed(x: int) -> int:
    """x modulo 2^64, as an int64."""
    return ((x + (1 << 63)) % (1 << 64)) - (1 << 63)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """The logical shift that int64 lacks."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def row_keys(seeds: Tensor, steps: Tensor) -> Tensor:
    """One int64 key a row from its seed and step, both [B] int64."""
    return _mix(_mix(seeds + _GOLDEN) ^ (steps * _GOLDEN))


def uniform(keys: Tensor, tokens: Tensor, stream: int = 0) -> Tensor:
    """Uniforms in (0, 1), float32, for keys [B, 1] and token ids [B, N] or [N]; `stream` numbers independent draws.

    53 random bits are rounded to float32, so that values close to 0 keep their full relative precision.
    """
    offset = _signed((stream + 1) * _MIX_1)
    bits = _shift_right(_mix(keys ^ _mix(tokens * _GOLDEN + offset)), 11)
    return ((bits.double() + 0.5) * 2.0**-53).float().clamp_max(1 - 2.0**-24)


def gumbel(keys: Tensor, tokens: Tensor) -> Tensor:
    """Gumbel(0, 1) noise: −log of an exponential."""
    return -torch.log(-torch.log1p(-uniform(keys, tokens)))


def normal(keys: Tensor, tokens: Tensor, stream: int) -> Tensor:
    """Standard normals by Box and Muller, from streams 2·stream and 2·stream + 1."""
    radius = torch.sqrt(-2 * torch.log(uniform(keys, tokens, 2 * stream)))
    return radius * torch.cos(2 * torch.pi * uniform(keys, tokens, 2 * stream + 1))


def log_gamma_variate(shape: Tensor, keys: Tensor, tokens: Tensor, attempts: int = 8) -> Tensor:
    """The logarithm of a Gamma(shape, 1) draw an entry, shape [B, N] >= 0; −inf where shape is 0.

    Marsaglia and Tsang (2000) for shape + 1, then the power of a uniform that leads back to shape. The rejection loop is
    unrolled: each attempt succeeds with more than 95 %, and the mode stands in where all eight fail (one in 10^10).
    """
    keys = keys.expand_as(shape).flatten()
    tokens = tokens.expand_as(shape).flatten()
    flat = shape.flatten()
    log_draw = torch.log(flat + 2.0 / 3.0)
    open_ = flat.nonzero().flatten()
    for attempt in range(attempts):
        d = flat[open_] + 2.0 / 3.0
        key, token = keys[open_], tokens[open_]
        x = normal(key, token, 2 + 2 * attempt)
        base = 1 + x / torch.sqrt(9 * d)
        log_v = 3 * torch.log(base.clamp_min(1e-30))
        u = uniform(key, token, 2 * (3 + 2 * attempt))
        accept = (base > 0) & (torch.log(u) < 0.5 * x * x + d * (1 - torch.exp(log_v) + log_v))
        log_draw[open_[accept]] = (torch.log(d) + log_v)[accept]
        open_ = open_[~accept]
        if not len(open_):
            break
    lifted = torch.log(uniform(keys, tokens, 1)) / flat.clamp_min(torch.finfo(shape.dtype).tiny)
    return torch.where(flat > 0, log_draw + lifted, float("-inf")).view_as(shape)
