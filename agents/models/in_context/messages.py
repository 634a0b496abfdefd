"""How much of the optimum passes through a message: two agents that saw different examples of one function, one of whom listens.

The learner saw some examples of a function and the exact belief (`bayes`) the others; of linear functions of any noise (`noisy`)
nobody is told it. The latter speaks, the learner hears it and pools, and its belief is held against the exact one of all
examples. What the forms of text need to know, how far a number is off and how often a label is right, is fitted on as many
other functions, for each setting anew.

B functions, N examples of each.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from agents.beliefs.belief import Belief, Gaussian
from agents.beliefs.pooling import Pool, linear, precision, product
from agents.beliefs.verbaliser import Verbaliser
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.models.in_context.bins import BORDERS, CENTRES, LETTERS, expected, letter, over_letters
from agents.models.in_context.families import Kind, draw, kinds_of
from agents.models.in_context.model import Learner
from agents.models.in_context.posterior import bayes, gaussian
from agents.tokenizers import byte_tokenizer

FORMS = (
    "alone",
    "label",
    "number",
    "percentages",
    "belief",
    "belief, by Bayes' rule",
    "belief, mean",
    "own mean and number, mean",
    "learner, all examples",
)
TRUSTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LEAST = 1e-9
"""Smallest probability whose logarithm is taken."""


@dataclass(frozen=True)
class Setting:
    """Which examples there are.

    Attributes:
        noise: standard deviation of the labels around the function.
        own: how many examples the listener saw.
        others: how many the speaker saw.
        family: what learner and speaker take the function to be of.
    """

    noise: float
    own: int
    others: int
    family: str = "noisy"

    def kinds(self, dims: int) -> tuple[list[Kind], list[Kind]]:
        """Return what functions are drawn from and what the exact beliefs know: of `noisy` not the noise."""
        drawn = kinds_of("linear" if self.family == "noisy" else self.family, dims, noise=self.noise)
        return drawn, kinds_of("noisy", dims) if self.family == "noisy" else drawn


@dataclass(frozen=True)
class Regret:
    """What is lost against the exact belief of all examples, on average over functions.

    Attributes:
        nats: difference of the negative log-probabilities of the interval that the label lies in.
        squared: difference of the squared distances from the function's value.
    """

    nats: float
    squared: float


@dataclass(frozen=True)
class _Asked:
    own: list[Belief]
    heard: list[Belief]
    numbers: list[float]
    together: list[Belief]
    best: list[Belief]
    labels: list[float]
    values: torch.Tensor


def verbaliser() -> Verbaliser:
    """Return what says beliefs in single bytes."""
    tokenizer = byte_tokenizer(258)
    return Verbaliser(tokenizer, ModelFingerprint("bytes", "", "bytes", len(tokenizer), 0))


def regrets(learner: Learner, setting: Setting, *, functions: int, seed: int) -> dict[str, Regret]:
    """Return the regret of each of `FORMS`.

    Args:
        learner: of the setting's family; it listens.
        setting: noise and split.
        functions: how many are asked about; as many others are fitted on.
        seed: of the functions.
    """
    generator = torch.Generator().manual_seed(seed)
    fitted, asked = (_asked(learner, setting, functions, generator) for _ in range(2))
    best = losses(asked.best, asked)
    found = {}
    for form, beliefs in _listened(fitted, asked, setting).items():
        nats, squared = losses(beliefs, asked)
        found[form] = Regret(nats - best[0], squared - best[1])
    return found


def losses(beliefs: Sequence[Belief], asked: _Asked) -> tuple[float, float]:
    """Return the mean negative log-probability of the interval that is right, and the mean squared error of the mean."""
    right = [LETTERS.index(letter(label)) for label in asked.labels]
    nats = [-math.log(max(b.probabilities[place], LEAST)) for b, place in zip(beliefs, right, strict=True)]
    return math.fsum(nats) / len(nats), float((expected(beliefs) - asked.values).square().mean())


@torch.inference_mode()
def _asked(learner: Learner, setting: Setting, functions: int, generator: torch.Generator) -> _Asked:
    own = setting.own
    drawn, kinds = setting.kinds(learner.config.dims)
    points = draw(drawn, functions, own + setting.others + 1, generator)
    x, y, at = points.x[:, :-1], points.y[:, :-1], points.x[:, -1]

    def learned(count: int) -> list[Belief]:
        blank = torch.zeros(functions, 1)
        said = learner(torch.cat([x[:, :count], at[:, None]], 1).float(), torch.cat([y[:, :count].float(), blank], 1))
        return over_letters(gaussian(said.mean[:, -1].double(), said.log_variance[:, -1].double().exp()))

    heard = bayes(kinds, x[:, own:], y[:, own:], at)
    return _Asked(
        own=learned(own),
        heard=over_letters(heard),
        numbers=[round(value, 2) for value in heard.mean.tolist()],
        together=learned(own + setting.others),
        best=over_letters(bayes(kinds, x, y, at)),
        labels=points.y[:, -1].tolist(),
        values=points.value[:, -1],
    )


def _listened(fitted: _Asked, asked: _Asked, setting: Setting) -> dict[str, list[Belief]]:
    """Return what the listener believes after each form of message."""
    say = verbaliser()
    variance = 1 + setting.noise**2
    prior = Gaussian(0.0, variance).over(LETTERS, BORDERS).probabilities
    bayes_rule = product(prior=prior)
    by_precision = precision(low=CENTRES[0], high=CENTRES[-1], variance=variance, noise=setting.noise)

    def pooled(pool: Pool, heard: Sequence[Belief], own: Sequence[Belief] = asked.own) -> list[Belief]:
        return [pool(pair) for pair in zip(own, heard, strict=True)]

    def said(speak: Callable[[Belief], Message]) -> list[Belief]:
        return [say.read(speak(belief), LETTERS) for belief in asked.heard]

    def labels(of: _Asked, trust: float) -> list[Belief]:
        texts = [say.text(belief, sender="bayes") for belief in of.heard]
        return pooled(bayes_rule, [say.read(text, LETTERS, trust=trust) for text in texts], of.own)

    trust = min(TRUSTS, key=lambda each: losses(labels(fitted, each), fitted)[0])
    off = [number - label for number, label in zip(fitted.numbers, fitted.labels, strict=True)]
    width = math.fsum(value**2 for value in off) / len(off)
    numbers = [Gaussian(number, width).over(LETTERS, BORDERS) for number in asked.numbers]
    beliefs = said(lambda belief: say.cipher(belief, sender="bayes"))
    middle = (expected(asked.own) + torch.tensor(asked.numbers).double()) / 2
    fitted_middle = (expected(fitted.own) + torch.tensor(fitted.numbers).double()) / 2
    spread = float((fitted_middle - torch.tensor(fitted.labels).double()).square().mean())
    return {
        "alone": asked.own,
        "label": labels(asked, trust),
        "number": pooled(by_precision, numbers),
        "percentages": pooled(by_precision, said(lambda belief: say.text(belief, sender="bayes", with_shares=True))),
        "belief": pooled(by_precision, beliefs),
        "belief, by Bayes' rule": pooled(bayes_rule, beliefs),
        "belief, mean": pooled(linear(), beliefs),
        "own mean and number, mean": [Gaussian(mean, spread).over(LETTERS, BORDERS) for mean in middle.tolist()],
        "learner, all examples": asked.together,
    }


def passed(found: Mapping[str, Regret], form: str, *, squared: bool = False) -> float:
    """Return which share of what the listener lacks a form of message gives it: 1 is the exact belief of all examples."""
    left = (found[form].squared, found["alone"].squared) if squared else (found[form].nats, found["alone"].nats)
    return 1 - left[0] / left[1]
