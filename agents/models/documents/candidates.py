"""A belief over the lines of a page, of how likely each is the one that is asked for. N lines, K options."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.errors import BeliefError, RequestError
from agents.models.documents.fields import FIELDS, asked_field, different, plain_line
from agents.observation import Document
from agents.question import Question

MOST_LINES = 400
MOST_LETTERS = 2_000
"""Of a line."""


def labels_of(case: Question) -> tuple[str, ...]:
    """Return what a belief about a case is over: its labels or options, or the lines of its page that read differently."""
    labels, _ = case.alternatives
    if labels:
        return labels
    page = case.observation("document")
    return different(page.lines) if isinstance(page, Document) else ()


def check_page(name: str, page: Document) -> None:
    """Raise RequestError where a page has more lines, or a line more letters, than are read."""
    if len(page.lines) > MOST_LINES:
        raise RequestError(
            f"{name} reads at most {MOST_LINES} lines of a page; this has {len(page.lines):,}: cut it in parts"
        )
    if (longest := max(map(len, page.lines), default=0)) > MOST_LETTERS:
        raise RequestError(f"{name} reads lines of at most {MOST_LETTERS:,} letters; one has {longest:,}: cut it")


def check_temperatures(temperatures: Sequence[float]) -> tuple[float, ...]:
    """Return temperatures, one a field, checked.

    Raises:
        BeliefError: another number of them, or one that is not finite and above 0.
    """
    if len(temperatures) != len(FIELDS) or not all(each > 0 and math.isfinite(each) for each in temperatures):
        raise BeliefError(
            f"temperatures are {len(FIELDS)} finite numbers above 0, of {', '.join(FIELDS)}; got {tuple(temperatures)}"
        )
    return tuple(float(each) for each in temperatures)


def belief_over_lines(case: Question, page: Document, odds: Tensor, temperatures: Sequence[float]) -> Belief:
    """Return softmax(log-odds / T) over the lines that are options, those that read alike added up.

    Where tags of lines are independent, and one line alone has the field, it is line i with a probability proportional to
    p_i / (1 − p_i): the odds.

    Args:
        case: what is asked; its first line names a field. It abstains where it names none or several, or an option is no line.
        page: its lines.
        odds: log-odds [N, fields] that a line has a field.
        temperatures: T of each field.
    """
    labels = labels_of(case)
    texts = case.alternatives[1] or labels
    field = asked_field(case.text)
    if field is None:
        return Belief.abstain(labels, f"the question's first line names not one of {', '.join(FIELDS)}")
    places: dict[str, list[int]] = {}
    for place, line in enumerate(page.lines):
        places.setdefault(plain_line(line), []).append(place)
    own = [places.get(plain_line(text), []) for text in texts]
    strange = next((text for text, at in zip(texts, own, strict=True) if not at), None)
    if strange is not None:
        return Belief.abstain(labels, f"the option {strange[:60]!r} is no line of the page")
    number = FIELDS.index(field)
    scaled = odds[:, number].double() / temperatures[number]
    return Belief.from_log_likelihoods(
        labels, [float(scaled[torch.tensor(at)].sort().values.logsumexp(0)) for at in own]
    )
