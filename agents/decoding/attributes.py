"""How likely a text that begins so will be complete, as long as asked, and no loop: a classifier q(a | y, x) of states.

Yoshida, Goyal and Gimpel, MAP's not dead yet (2024, arXiv 2311.08817), rank prefixes by log p(y | x) + α log q(a | y, x), q a
light classifier on the model's hidden states. What their attributes ask of a prefix is how many tokens are still to come, so
that ours is one distribution over that number, together with whether the text will have a loop; q of any limit and any range
of lengths is a sum over it. The equations are our reading.

n prefixes, D width of a state, H horizon.
"""

import json
import os
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from agents.decoding.acbs import ConditionalBeam
from agents.errors import ConfigError, first_line
from agents.fingerprint import ModelFingerprint
from agents.json_text import parse_json
from agents.ordinary_file import open_ordinary

FORMAT = "cipher-debate attributes 1"
SIZES, LARGEST = ("width", "horizon", "loop", "hidden"), 1 << 20
LARGEST_FILE = 1 << 28


class AttributeClassifier(nn.Module):
    """P(tokens still to come, whether a loop will be among them | state), one hidden layer.

    Args:
        width: D.
        horizon: H, the number of tokens still to come that is told from larger ones; it stands for H or more.
        loop: the run of a loop has at least so many tokens (see `agents.decoding.acbs.loops`).
        hidden: units.
    """

    def __init__(self, width: int, horizon: int, loop: int, hidden: int = 64) -> None:
        super().__init__()
        self.width, self.horizon, self.loop, self.hidden = width, horizon, loop, hidden
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 2 * (horizon + 1))
        )

    def forward(self, states: Tensor) -> Tensor:
        """Return log-probabilities [n, 2, H + 1] of states [n, D]: without a loop and with one, of 0 … H tokens to come."""
        # Of a model in half precision too.
        found: Tensor = torch.log_softmax(self.layers(states.float()), -1)
        return found.view(len(states), 2, self.horizon + 1)

    @torch.no_grad()
    def log_q(self, states: Tensor, least: int, most: int, *, loop: int = 0) -> Tensor:
        """Return log q [n] float64: from `least` to `most` tokens are still to come, and no loop where `loop` is above 0.

        A range that goes up to the horizon or beyond has in it all texts that go beyond.
        """
        asked = cells(self.horizon, least, most, loops=None if loop == 0 else False)
        found: Tensor = self(states).double().masked_fill(~asked.to(states.device), -torch.inf).flatten(1).logsumexp(1)
        return found


def cells(horizon: int, least: int, most: int | None, *, loops: bool | None) -> Tensor:
    """Return the places [2, H + 1] bool of from `least` to `most` tokens to come, None for any more; `loops` None for both."""
    numbers = torch.arange(horizon + 1)
    between = numbers >= min(least, horizon)
    if most is not None:
        between &= numbers <= most
    kinds = torch.tensor([loops is not True, loops is not False])
    return kinds[:, None] & between


def write_classifier(classifier: AttributeClassifier, path: Path, model: ModelFingerprint) -> None:
    """Write a classifier of a model's states as one safetensors file, its sizes and its model beside the weights."""
    from safetensors.torch import save_file

    sizes = {name: getattr(classifier, name) for name in SIZES}
    told = {"format": FORMAT, "sizes": json.dumps(sizes), "model": model.model, "weights": model.weights}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(classifier.state_dict(), path, metadata=told)


def read_classifier(path: str) -> tuple[AttributeClassifier, dict[str, str]]:
    """Return the classifier of a file, and what the file says of its model: `model` and `weights`.

    Raises:
        ConfigError: there is no such file, or it is no classifier.
    """
    found = Path(os.path.expanduser(path))
    try:
        with open_ordinary(found, most=LARGEST_FILE):
            return _read(found, found.stat().st_mtime_ns)
    except OSError as error:
        raise ConfigError(
            f"decoding acbs: there is no classifier {path} ({error.strerror}): `debate train glyphs:acbs` writes such files, "
            "attributes.safetensors"
        ) from error


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> tuple[AttributeClassifier, dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            told = dict(file.metadata() or {})
            if told.get("format") != FORMAT:
                raise ValueError("its header names another kind of file")
            sizes = parse_json(told["sizes"])
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if not (
                isinstance(sizes, dict)
                and sizes.keys() == set(SIZES)
                and all(type(size) is int and 0 <= size <= LARGEST for size in sizes.values())
                and shapes.get("layers.1.weight") == (sizes["hidden"], sizes["width"])
                and shapes.get("layers.3.weight") == (2 * (sizes["horizon"] + 1), sizes["hidden"])
                and told.keys() >= {"model", "weights"}
            ):
                raise ValueError("the sizes in its header are not those of its weights, or no model is named there")
            classifier = AttributeClassifier(**sizes)
            classifier.load_state_dict({name: file.get_tensor(name) for name in shapes})
            if not all(weight.isfinite().all() for weight in classifier.parameters()):
                raise ValueError("some of its weights are not finite")
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ConfigError(f"decoding acbs: {path} is no classifier of attributes: {first_line(error)}") from error
    return classifier.eval(), told


def refusal(settings: ConditionalBeam, model: ModelFingerprint, *, adapted: bool) -> str:
    """Return why a model's texts cannot be searched for with the classifier of some settings; empty where they can.

    Args:
        settings: of the search.
        model: that says the texts.
        adapted: whether it does so under an adapter.

    Raises:
        ConfigError: see `read_classifier`.
    """
    if not settings.classifier:
        return ""
    classifier, told = read_classifier(settings.classifier)
    if told["weights"] != model.weights:
        return (
            f"decoding acbs: {settings.classifier} was trained on the states of {told['model']}, and this model, {model.model}, "
            "has other weights: train one on its own states"
        )
    if adapted:
        return (
            f"decoding acbs: {settings.classifier} was trained on the states of {told['model']} without an adapter: leave "
            "`adapter` or `classifier` out"
        )
    if settings.loop not in (0, classifier.loop):
        return (
            f"decoding acbs: {settings.classifier} knows loops of {classifier.loop} tokens or more, or none are asked of it "
            f"(loop=0); got loop={settings.loop}"
        )
    return ""
