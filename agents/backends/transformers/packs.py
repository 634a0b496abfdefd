"""Which waiting rows are admitted together, so that their prompts are read as one packed row."""

from collections.abc import Iterable, Sequence

from agents.backends.transformers.row import Row
from agents.tokenization import Key, num_common


def num_packed(waiting: Iterable[Row], contents: Sequence[list[Key]], least: int) -> int:
    """Return how many of the first waiting rows to read together, at least one.

    A row that shares more with one before it than with any slot waits for the next pack: it finds the prefix in a slot then, and
    nothing is computed twice.

    Args:
        waiting: in their order, as many as there are places.
        contents: what each slot holds.
        least: positions from which on a prefix is shared.
    """
    pack: list[Row] = []
    for row in waiting:
        if pack:
            cached = max((num_common(row.keys, held) for held in contents), default=0)
            among = max(num_common(row.keys, other.keys) for other in pack)
            if among > cached and among >= least:
                break
            if row.choices or row.finish is not None or row.request.adapter != pack[0].request.adapter:
                break
        pack.append(row)
        if row.choices or row.finish is not None:
            break
    return len(pack)
