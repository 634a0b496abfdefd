"""Few samples of most classes, and the loss that reckons with it. n samples, K classes."""

import torch
from torch import Tensor
from torch.nn import functional

from agents.errors import ConfigError


def long_tail(classes: Tensor, imbalance: float, generator: torch.Generator) -> Tensor:
    """Return the places of samples of which class k has ⌊most · imbalance^(−k / (K − 1))⌋, in the order in which they stand.

    The profile `exp` of long-tailed CIFAR (Cao et al., 2019, arXiv:1906.07413; in github zhihou7/BatchFormer,
    BalancedSoftmax/data/ImbalanceCIFAR.py).

    Args:
        classes: [n], each of 0 to K − 1; `most` is the size of the smallest class, so that all can follow the profile.
        imbalance: how many times as many samples the first class has as the last.
        generator: draws which samples stay.

    Raises:
        ConfigError: an imbalance below 1, fewer than two classes, or one that would have no sample.
    """
    counts = torch.bincount(classes)
    if imbalance < 1 or len(counts) < 2:
        raise ConfigError(f"an imbalance is 1 or more, of two classes or more; got {imbalance:g} and {len(counts)}")
    most, last = int(counts.min()), len(counts) - 1
    wanted = [int(most * imbalance ** (-place / last)) for place in range(len(counts))]
    if not wanted[-1]:
        raise ConfigError(
            f"at an imbalance of {imbalance:g} the last class of {most} samples would have none: take at most {most}"
        )
    order = torch.randperm(len(classes), generator=generator)
    kept = torch.cat([order[classes[order] == place][:count] for place, count in enumerate(wanted)])
    return kept.sort().values


def log_shares(classes: Tensor, count: int) -> Tensor:
    """Return the logarithm of how common each of so many classes is [K], as balanced softmax adds it to scores in training.

    Raises:
        ConfigError: a class without a sample.
    """
    found = torch.bincount(classes, minlength=count)
    if empty := (found == 0).nonzero().flatten().tolist():
        raise ConfigError(
            f"balanced softmax needs a sample of every class, and class {empty[0]} has none: give samples of it, or take the "
            "loss cross_entropy"
        )
    return (found / found.sum()).log()


def balanced_loss(scores: Tensor, classes: Tensor, shares: Tensor) -> Tensor:
    """Return balanced softmax's loss (Ren et al., 2020, arXiv:2007.10740, equation 3), the mean over samples.

    Args:
        scores: [n, K].
        classes: [n].
        shares: `log_shares`; without them in use, scores are those of classes that are equally common.
    """
    return functional.cross_entropy(scores + shares, classes)


def right_by_class(scores: Tensor, classes: Tensor) -> Tensor:
    """Return the share of each class's samples that have their highest score there [K], of scores [n, K]."""
    hit = (scores.argmax(-1) == classes).double()
    total = torch.zeros(scores.shape[1], dtype=torch.float64).index_add(0, classes, hit)
    return total / torch.bincount(classes, minlength=scores.shape[1])
