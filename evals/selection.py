"""Which samples of a task are asked: pure, and the same for one seed."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agents.errors import TaskError, UnknownName
from evals.identity import Asked, identity, plain
from evals.sample import Loaded, Sample


def select(
    samples: Sequence[Sample],
    *,
    limit: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    sample_ids: Sequence[str] = (),
) -> Sequence[Sample]:
    """Return the samples asked for, each once.

    Args:
        samples: all samples.
        limit: maximum number, applied last.
        shuffle: draw the order from the seed instead of keeping the source's.
        seed: random seed of that order.
        sample_ids: ids of the samples to keep.

    Raises:
        UnknownName: an id that no sample has.
    """
    if limit is not None and limit < 0:
        raise TaskError(f"--limit must be at least 0; got {limit}")
    chosen = list(samples)
    if sample_ids:
        wanted = set(sample_ids)
        if missing := sorted(wanted - {sample.id for sample in chosen}):
            raise UnknownName("sample id", missing[0], _some([sample.id for sample in chosen], missing[0]))
        chosen = [sample for sample in chosen if sample.id in wanted]
    if shuffle:
        random.Random(f"select|{seed}").shuffle(chosen)
    return chosen[:limit]


def without(loaded: Loaded, questions: Iterable[Asked | str], reason: str) -> Loaded:
    """Return a split without the samples that ask one of the questions, whatever their white space; they are counted.

    Args:
        loaded: the split.
        questions: questions, each with what it shows; a text is one in words alone.
        reason: why they are left out, as it is counted.
    """
    shown = {plain(question) if isinstance(question, str) else identity(question) for question in questions}
    if not shown:
        return loaded
    kept = tuple(sample for sample in loaded.samples if identity(sample) not in shown)
    if not (count := len(loaded.samples) - len(kept)):
        return loaded
    removed = {**loaded.removed, reason: loaded.removed.get(reason, 0) + count}
    return replace(loaded, samples=kept, removed=removed)


def _some(ids: list[str], near: str) -> list[str]:
    """Return the ids worth naming in a message: those that begin alike, or the first."""
    alike = [name for name in ids if name.rpartition("-")[0] == near.rpartition("-")[0]]
    return [*(alike or ids)[:8], *(["…"] if len(alike or ids) > 8 else [])]
