"""The paper's own learner, as a baseline: boosted trees on all columns at once, a missing channel left as NaN (scikit-learn).

Trees are kept in no file, since the library stores them as pickles.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from agents.errors import MissingDependency
from agents.models.fusion.model import FusionModel
from agents.models.fusion.training import Cases, fitted_temperature, one_broken

ROUNDS, DEPTH, RATE = 40, 3, 0.15


def fitted_trees(model: FusionModel, parts: Sequence[Cases], *, seed: int) -> Callable[[Tensor], Tensor]:
    """Return standardised columns [n, F] → log beliefs [n, K] of boosted trees, calibrated by a temperature.

    They learn what heads and pool learn, whole and harmed alike: a copy whole, one with a channel missing, two with one broken.

    Args:
        model: how columns are standardised, and which channels they are of.
        parts: cases to learn from, others likewise, and some for the temperature.
        seed: of the harm.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ModuleNotFoundError as error:
        raise MissingDependency("boosted trees", "scikit-learn", "series") from error
    generator = torch.Generator().manual_seed(seed)
    channels = list(model.config.places.values())
    standard = torch.cat([model.standardised(part.columns) for part in parts[:2]])
    right = torch.cat([part.right for part in parts[:2]])
    missing = standard.clone()
    which = torch.randint(len(channels), (len(standard),), generator=generator)
    for place, columns in enumerate(channels):
        missing[which == place, columns] = torch.nan
    copies = [standard, missing, *(one_broken(standard, channels, generator) for _ in range(2))]
    trees = HistGradientBoostingClassifier(
        max_iter=ROUNDS, max_depth=DEPTH, learning_rate=RATE, early_stopping=False, random_state=seed
    )
    trees.fit(torch.cat(copies).numpy(), right.repeat(len(copies)).numpy())
    labels = len(model.config.labels)

    def logs(columns: Tensor) -> Tensor:
        found = torch.full((len(columns), labels), 1e-6, dtype=torch.float64)
        found[:, torch.from_numpy(trees.classes_)] = torch.from_numpy(trees.predict_proba(columns.numpy())).clamp_min(
            1e-6
        )
        return torch.log_softmax(found.log(), -1)

    temperature = fitted_temperature(logs(model.standardised(parts[2].columns)), parts[2].right)
    return lambda columns: torch.log_softmax(logs(columns) / temperature, -1)
