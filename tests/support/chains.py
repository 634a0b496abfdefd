"""A language model small enough to enumerate, and what searches find of it."""

import itertools
import math

import torch

from agents.decoding.acbs import conditional_beam

END, LONGEST = 0, 5


class Chain:
    """A language model whose next token depends on the last two: V tokens, of which 0 ends a text.

    Args:
        seed: of its logits.
        junk: probability with which a text is empty, whatever comes next otherwise: what it has learned of bad data.
        size: V.
    """

    def __init__(self, seed, junk=0.0, size=5):
        draw = torch.Generator().manual_seed(seed)
        self._logits = 1.5 * torch.randn(size, size, size, generator=draw, dtype=torch.float64)
        self.junk = junk
        self.asked = 0

    def __call__(self, prefix):
        self.asked += 1
        two = [0, 0, *prefix][-2:]
        likely = torch.log_softmax(self._logits[two[0], two[1]], dim=0)
        if prefix or not self.junk:
            return likely
        good = likely.exp()
        good[END] = 0
        good = (1 - self.junk) * good / good.sum()
        good[END] = self.junk
        return good.log()

    def log_probability(self, tokens):
        return sum(float(self(tokens[:at])[token]) for at, token in enumerate((*tokens, END)))

    def every_text(self, lengths):
        return {
            text: self.log_probability(text)
            for length in lengths
            for text in itertools.product(range(1, len(self._logits)), repeat=length)
        }


def beam(model, settings, limit=LONGEST + 1, q=None, **more):
    """Return what is found with the model's own prefixes kept in a list, as an engine keeps them in a cache."""
    held = {"prefixes": [()]}

    def advance(parents, tokens):
        new = [(*held["prefixes"][parent], token) for parent, token in zip(parents, tokens, strict=True)]
        held["prefixes"] = new
        log_q = None if q is None else torch.tensor([q(prefix) for prefix in new], dtype=torch.float64)
        return torch.stack([model(prefix) for prefix in new]), log_q

    return conditional_beam(model(()), advance, settings, ends=(END,), limit=limit, **more)


def exact_q(model, wanted, prefix, longest=LONGEST):
    """Return log of the probability that a text which begins so is one of those wanted, by enumeration."""

    def mass(prefix):
        likely = model(prefix)
        total = math.exp(float(likely[END])) if wanted(prefix) else 0.0
        if len(prefix) < longest:
            total += sum(math.exp(float(likely[token])) * mass((*prefix, token)) for token in range(1, len(likely)))
        return total

    found = mass(tuple(prefix))
    return math.log(found) if found > 0 else -math.inf
