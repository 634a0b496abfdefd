"""Random numbers: what they depend on, and that they follow their distributions."""

import math

import pytest
import torch

from kernels import noise

TOKENS = torch.arange(100_000)


def keys(seed, step=0):
    return noise.row_keys(torch.tensor([seed]), torch.tensor([step]))[:, None]


def test_a_number_depends_on_seed_step_stream_and_token_alone():
    one = noise.uniform(keys(3, 5), TOKENS)
    batch = noise.uniform(torch.cat([keys(1), keys(3, 5), keys(2)]), TOKENS[:100])
    assert torch.equal(batch[1], one[0, :100])
    assert torch.equal(noise.uniform(keys(3, 5), torch.tensor([[17, 4]])), one[:, [17, 4]])
    for other in (
        noise.uniform(keys(4, 5), TOKENS),
        noise.uniform(keys(3, 6), TOKENS),
        noise.uniform(keys(3, 5), TOKENS, 1),
    ):
        assert (other == one).float().mean() < 1e-3
        assert abs(torch.corrcoef(torch.cat([other, one]))[0, 1]) < 0.01


def test_uniforms_are_uniform_within_the_open_interval():
    u = noise.uniform(keys(0), TOKENS).double()[0]
    assert 0 < u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    edges = torch.histc(u, 20, 0, 1) / len(u)
    assert (edges - 0.05).abs().max() < 0.004


def test_neighbouring_seeds_and_steps_are_unrelated():
    grid = torch.cartesian_prod(torch.arange(300), torch.arange(300))
    u = noise.uniform(noise.row_keys(grid[:, 0], grid[:, 1])[:, None], torch.zeros(1, dtype=torch.int64))[:, 0]
    assert len(u.unique()) > 0.99 * len(u)
    assert abs(u.mean() - 0.5) < 0.005
    field = u.view(300, 300) - 0.5
    assert abs((field[1:] * field[:-1]).mean()) < 0.001
    assert abs((field[:, 1:] * field[:, :-1]).mean()) < 0.001


def test_gumbel_moments():
    g = noise.gumbel(keys(1), TOKENS).double()
    assert torch.isfinite(g).all()
    assert abs(g.mean() - 0.57722) < 0.01
    assert abs(g.var() - math.pi**2 / 6) < 0.03


def test_gamma_moments():
    for shape in (0.05, 0.7, 3.0):
        draws = noise.log_gamma_variate(torch.full((1, len(TOKENS)), shape), keys(2), TOKENS).double().exp()
        assert abs(draws.mean() - shape) < 0.03 * max(shape, 0.2)
        assert abs(draws.var() - shape) < 0.08 * max(shape, 0.2)
    assert torch.isneginf(noise.log_gamma_variate(torch.zeros(1, 3), keys(2), TOKENS[:3])).all()


def test_a_draw_that_is_refused_is_drawn_again():
    shape = torch.full((1, len(TOKENS)), 0.7)
    once, often = (noise.log_gamma_variate(shape, keys(2), TOKENS, attempts=count)[0] for count in (1, 8))
    # One attempt in twenty is refused at most; where it is not, nothing changes.
    assert 0.001 < (once != often).double().mean() < 0.05
    # Where none succeeds the mode stands in: it is not to be seen among the draws.
    lifted = torch.log(noise.uniform(keys(2), TOKENS, 1))[0] / 0.7
    mode = math.log(0.7 + 2 / 3)
    assert ((once - lifted - mode).abs() < 1e-5).sum() > 50 > ((often - lifted - mode).abs() < 1e-5).sum()


def test_numbers_are_those_of_splitmix64():
    """The same on every machine and in every version, in Python's whole numbers."""
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1

    def mix(x):
        x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & mask
        return x ^ x >> 31

    def expected(seed, step, token, stream):
        key = mix(mix((seed + golden) & mask) ^ (step * golden & mask))
        bits = mix(key ^ mix((token * golden + (stream + 1) * 0xBF58476D1CE4E5B9) & mask))
        return ((bits >> 11) + 0.5) * 2.0**-53

    for seed, step, token, stream in ((0, 0, 0, 0), (3, 5, 17, 0), (2**40, 999, 49_151, 1), (7, 1, 2, 19)):
        found = noise.uniform(keys(seed, step), torch.tensor([token]), stream)
        assert float(found) == pytest.approx(expected(seed, step, token, stream), rel=1e-6)
