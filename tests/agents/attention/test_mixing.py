"""Every mixer is the template with its matrix, by its own way."""

import pytest
import torch

from agents.attention.mixing import Convolution, Fourier, Kernel, Softmax, StateSpace, mix

LENGTH, WIDTH = 12, 5


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MIXERS = [
    Softmax(drawn(LENGTH, WIDTH), drawn(LENGTH, WIDTH, seed=1)),
    Kernel(drawn(LENGTH, WIDTH), drawn(LENGTH, WIDTH, seed=1)),
    StateSpace(torch.tensor([0.9, 0.5, -0.3], dtype=torch.float64), drawn(3), drawn(3, seed=1)),
    Convolution(drawn(4)),
    Convolution(drawn(20)),
    Fourier(),
]


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda mixer: type(mixer).__name__)
def test_its_own_way_is_the_template(mixer):
    values = drawn(LENGTH, WIDTH, seed=2)
    torch.testing.assert_close(mixer.fast(values), mix(mixer, values), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("mixer", MIXERS[:5], ids=lambda mixer: type(mixer).__name__)
def test_causal_mixers_hear_nothing_of_the_future(mixer):
    values = drawn(LENGTH, WIDTH, seed=2)
    changed = values.clone()
    changed[7:] += 1
    torch.testing.assert_close(mixer.fast(changed)[:7], mixer.fast(values)[:7], atol=1e-9, rtol=1e-9)


def test_a_state_space_is_the_convolution_with_its_impulse_response():
    """The duality: C a^n B as a kernel."""
    space, values = MIXERS[2], drawn(LENGTH, WIDTH, seed=2)
    response = torch.stack([(space.out * space.decay**n * space.into).sum() for n in range(LENGTH)])
    torch.testing.assert_close(Convolution(response).fast(values), space.fast(values), atol=1e-9, rtol=1e-9)


def test_rows_of_softmax_and_of_a_kernel_are_distributions_and_others_are_not():
    """The template's rows of softmax are a distribution, as those of a kernel mixer are; the others' are not."""
    for mixer in MIXERS[:2]:
        torch.testing.assert_close(
            mix(mixer, torch.ones(LENGTH, 1, dtype=torch.float64)), torch.ones(LENGTH, 1, dtype=torch.float64)
        )
    assert (mix(MIXERS[3], torch.ones(LENGTH, 1, dtype=torch.float64)) - 1).abs().max() > 0.1
