"""What a message about a function's family is worth: two agents that saw different examples of it, one of whom listens.

The learner of two families believes in one of them by its scores, the exact belief by its posterior. What the listener believes
after hearing is held against the exact belief of all examples: as a belief about the family, and as the weights by which it
selects between two networks that each know one family (a mixture of experts, whose gate is the belief).

B functions.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.pooling import linear, product
from agents.models.in_context.bins import LETTERS, expected, letter, over_letters
from agents.models.in_context.families import draw
from agents.models.in_context.messages import LEAST, Regret, Setting, verbaliser
from agents.models.in_context.model import Learner, Said
from agents.models.in_context.posterior import Predictive, bayes, families

FORMS = ("alone", "label", "percentages", "belief", "belief, mean", "exact, all examples")
TRUST = 0.82
"""How often the likelier family is right after six examples, by the exact belief."""


def family_regrets(
    learner: Learner, experts: Mapping[str, Learner], setting: Setting, *, functions: int, seed: int
) -> dict[str, dict[str, Regret]]:
    """Return, for each of `FORMS`, what is lost about the family and about the value of experts so selected.

    Args:
        learner: of the setting's two families; it listens, and its belief over families is what it selects by.
        experts: family → the network that knows it; they see the listener's examples.
        setting: a mixture of families, its noise and split.
        functions: how many are asked about.
        seed: of the functions.

    Returns:
        `family` and `value` → form → regret; squared errors of the probability of the second family, and of the mean.
    """
    drawn, kinds = setting.kinds(learner.config.dims)
    points = draw(drawn, functions, setting.own + setting.others + 1, torch.Generator().manual_seed(seed))
    names = learner.config.families
    x, y, at = points.x[:, :-1], points.y[:, :-1], points.x[:, -1]
    own = ask(learner, x[:, : setting.own], y[:, : setting.own], at)
    shares = torch.softmax(own.families[:, -1].double(), -1)
    mine = [Belief.of(names, row) for row in shares.tolist()]
    heard, best = (
        [Belief.of(names, row) for row in torch.stack([found[name] for name in names], -1).tolist()]
        for found in (
            families(kinds, bayes(kinds, x[:, setting.own :], y[:, setting.own :], at)),
            families(kinds, bayes(kinds, x, y, at)),
        )
    )
    listened = {**_listened(mine, heard, names), "exact, all examples": best}
    right = [names.index(kinds[place].family) for place in points.kind.tolist()]
    known = [ask(experts[name], x[:, : setting.own], y[:, : setting.own], at) for name in names]
    means, variances = (
        torch.stack(each, -1).double()
        for each in ([said.mean[:, -1] for said in known], [said.log_variance[:, -1].exp() for said in known])
    )
    labels, values = points.y[:, -1].tolist(), points.value[:, -1]
    optimum = _value_losses(bayes(kinds, x, y, at), labels, values)
    floor = _family_losses(best, right)
    found: dict[str, dict[str, Regret]] = {"family": {}, "value": {}}
    for form, beliefs in listened.items():
        about = _family_losses(beliefs, right)
        weights = torch.tensor([belief.probabilities for belief in beliefs], dtype=torch.float64)
        selected = _value_losses(Predictive(weights, means, variances), labels, values)
        found["family"][form] = Regret(about[0] - floor[0], about[1] - floor[1])
        found["value"][form] = Regret(selected[0] - optimum[0], selected[1] - optimum[1])
    return found


@torch.inference_mode()
def ask(learner: Learner, x: Tensor, y: Tensor, at: Tensor) -> Said:
    """Return what a network says after examples x [B, K, d], y [B, K] and a question [B, d], at every point."""
    blank = torch.zeros(len(x), 1)
    heard: Said = learner(torch.cat([x, at[:, None]], 1).float(), torch.cat([y.float(), blank], 1))
    return heard


def _listened(mine: Sequence[Belief], heard: Sequence[Belief], names: Sequence[str]) -> dict[str, list[Belief]]:
    say, by_rule, by_mean = verbaliser(), product(), linear()
    belief = [say.read(say.cipher(each, sender="bayes"), names) for each in heard]
    label = [say.read(say.text(each, sender="bayes"), names, trust=TRUST) for each in heard]
    percent = [say.read(say.text(each, sender="bayes", with_shares=True), names) for each in heard]
    return {
        "alone": list(mine),
        "label": [by_rule(pair) for pair in zip(mine, label, strict=True)],
        "percentages": [by_rule(pair) for pair in zip(mine, percent, strict=True)],
        "belief": [by_rule(pair) for pair in zip(mine, belief, strict=True)],
        "belief, mean": [by_mean(pair) for pair in zip(mine, belief, strict=True)],
    }


def _family_losses(beliefs: Sequence[Belief], right: Sequence[int]) -> tuple[float, float]:
    """Return the mean negative log-probability of the right family, and the mean squared error of the second one's."""
    nats = [-math.log(max(each.probabilities[place], LEAST)) for each, place in zip(beliefs, right, strict=True)]
    squares = [(each.probabilities[1] - place) ** 2 for each, place in zip(beliefs, right, strict=True)]
    return math.fsum(nats) / len(nats), math.fsum(squares) / len(squares)


def _value_losses(belief: Predictive, labels: Sequence[float], values: Tensor) -> tuple[float, float]:
    """Return the mean negative log-probability of the interval that is right, and the mean squared error from the value."""
    said = over_letters(belief)
    places = [LETTERS.index(letter(label)) for label in labels]
    nats = [-math.log(max(each.probabilities[place], LEAST)) for each, place in zip(said, places, strict=True)]
    return math.fsum(nats) / len(nats), float((expected(said) - values).square().mean())
