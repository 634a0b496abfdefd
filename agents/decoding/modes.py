"""The likeliest text of a language model, exactly: of all texts, or of those of one length. For small vocabularies and lengths.

Depth-first search with pruning by a bound (Stahlberg and Byrne, On NMT Search Errors, 2019, arXiv 1908.10090), conditioned on
the length as Yoshida, Goyal and Gimpel do (MAP's not dead yet, 2024, arXiv 2311.08817): what a model that has learned a
little junk thinks likeliest of all may be junk, and of the texts of a sensible length it is not.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch

from agents.errors import ConfigError

MOST_PREFIXES = 1_000_000


@dataclass(frozen=True)
class Mode:
    """A likeliest text.

    Attributes:
        tokens: of the text, its end not among them.
        log_probability: of it and its end, in nats.
        prefixes: of which the model was asked what comes next.
    """

    tokens: tuple[int, ...]
    log_probability: float
    prefixes: int


def exact_mode(
    following: Callable[[Sequence[int]], torch.Tensor],
    ends: Collection[int],
    *,
    longest: int,
    length: int | None = None,
    most_prefixes: int = MOST_PREFIXES,
) -> Mode | None:
    """Return the text y that maximises log p(y) + log p(end | y); of equals the one that is found first.

    Likelier tokens are tried first.

    A prefix is given up where its log-probability, which what follows can only lower, is not above that of the best whole text.

    Args:
        following: a prefix → log p(next token | prefix) [V] in nats.
        ends: the tokens that end a text.
        longest: most tokens of a text.
        length: of its tokens, exactly; any up to `longest` by default.
        most_prefixes: how many may be looked at.

    Returns:
        the mode; None where no such text has a probability above 0.

    Raises:
        ConfigError: lengths that cannot be, or more prefixes than may be looked at: then nothing is known to be the mode.
    """
    if longest < 0 or (length is not None and not 0 <= length <= longest):
        raise ConfigError(f"a text has from 0 to {longest} tokens; got length {length}")
    best: tuple[float, tuple[int, ...]] | None = None
    looked = 0
    # The next to be taken up is the last; of one prefix's children the likeliest is pushed last.
    open_: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    while open_:
        score, prefix = open_.pop()
        if best is not None and score <= best[0]:
            continue
        looked += 1
        if looked > most_prefixes:
            raise ConfigError(
                f"the exact mode was not found within {most_prefixes} prefixes: it is for small vocabularies and lengths; use "
                "a beam"
            )
        likely = following(prefix).double()
        if length is None or len(prefix) == length:
            whole = score + max(float(likely[end]) for end in ends)
            if whole > -float("inf") and (best is None or whole > best[0]):
                best = (whole, prefix)
        if len(prefix) < (longest if length is None else length):
            order = torch.sort(likely, descending=True, stable=True).indices.tolist()
            children = [(score + float(likely[token]), (*prefix, token)) for token in order if token not in ends]
            floor = -float("inf") if best is None else best[0]
            open_ += [child for child in reversed(children) if child[0] > floor]
    return None if best is None else Mode(best[1], best[0], looked)
