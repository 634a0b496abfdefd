"""The questions of a search, and how they are divided."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.errors import ConfigError
from debate.config.schema import DebateConfig
from evals.evaluation import Selection
from evals.identity import identity
from evals.sample import Sample
from evals.task import Task


@dataclass(frozen=True)
class Questions:
    """The two sets of a search, disjoint, and in words how they were divided."""

    validation: Sequence[Sample]
    test: Sequence[Sample]
    how: str


def divide(
    config: DebateConfig, chosen: Selection, *, split: str | None = None, test_split: str | None = None
) -> Questions:
    """Return the validation and the test questions of a task.

    The task's own splits where it has them (a generated task draws each split from its own seed); else the halves of its
    one split, by the SHA-256 of the question and of what it shows. A test question that is also a validation question is
    left out.

    Raises:
        ConfigError: the search was to be on the test split.
    """

    def task(name: str | None) -> Task:
        return replace(chosen, num_fewshot=None).task(config, name)

    splits = task(None).splits
    tested = test_split or ("test" if "test" in splits else splits[0])
    searched = split or next((name for name in ("validation", "train") if name in splits and name != tested), None)
    if searched == tested:
        raise ConfigError(
            f"refusing to search on the {tested} split of {config.task}: its winner would be chosen on the questions that it "
            f"is tested on. Search on another: {', '.join(name for name in splits if name != tested) or 'it has none'}."
        )
    if searched is None:
        halves: tuple[list[Sample], list[Sample]] = ([], [])
        for sample in task(tested).samples(None):
            halves[hashlib.sha256(identity(sample).encode()).digest()[0] % 2].append(sample)
        how = f"halves of the {tested} split by the SHA-256 of the question"
        validation, test = halves
    else:
        validation = list(task(searched).samples(chosen.limit))
        test = list(task(tested).samples(chosen.limit))
        how = f"the {searched} and {tested} splits of {config.task}, seed {config.seed}"
    validation, test = validation[: chosen.limit], test[: chosen.limit]
    seen = {identity(sample) for sample in validation}
    kept = [sample for sample in test if identity(sample) not in seen]
    if len(kept) < len(test):
        how += f"; {len(test) - len(kept)} test questions left out that are validation questions too"
    if not validation or not kept:
        raise ConfigError(f"{config.task}: nothing to search or to test on ({how}); raise --limit")
    return Questions(validation, kept, f"{how}; {len(validation)} to search on, {len(kept)} to test on")
