"""Random models and numbers that are the same in every run."""

import torch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def shaken(make):
    """Return a model in eval mode whose every weight is random, those too that begin at 0 or 1."""
    torch.manual_seed(0)
    model = make()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return model.eval()
