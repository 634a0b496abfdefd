"""A classifier of texts without what held-out texts say it does better without (AxFormer, arXiv:2010.03688).

Every trial is of the smaller model itself, and of no masks. L layers, G heads and M groups of units a layer, n texts, K labels.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from agents.errors import ConfigError
from agents.models.blocks.config import LayerSize
from agents.models.text_encoder.model import TextEncoder
from agents.models.text_encoder.training import Sentences
from agents.transforms.axformer.search import Specialised, Switches, specialise

GROUPS = 12
AT_ONCE = 50
"""Texts of one forward pass."""


class Specialiser:
    """Smaller models of one model.

    Args:
        model: of layers that share no block and have no experts, and from which nothing was taken yet.
        keys: K of hard attention.
        groups: M.

    Raises:
        ConfigError: another model, or sizes that do not fit.
    """

    def __init__(self, model: TextEncoder, *, keys: int, groups: int = GROUPS) -> None:
        encoder = model.config.encoder
        if encoder.shared or encoder.experts > 1 or model.config.layers:
            raise ConfigError(
                "axformer takes parts of layers that share no block and have one feed-forward layer, of a model from which "
                "nothing was taken yet: shared: false, experts: 1, layers: []"
            )
        if not 1 <= groups <= encoder.hidden:
            raise ConfigError(f"axformer: groups is from 1 to the {encoder.hidden} units of a layer; got {groups}")
        if not 1 <= keys < model.config.longest:
            raise ConfigError(
                f"axformer: keys is from 1 to {model.config.longest - 1}, since {model.config.longest} words are read and hard "
                f"attention of more keeps all; got {keys}"
            )
        self.model, self.keys, self.groups = model, keys, groups
        self.whole = Switches.whole(encoder.layers, encoder.heads, groups)

    def made(self, switches: Switches) -> TextEncoder:
        """Return the model with some switches, of weights of its own."""
        config = self.model.config
        columns = torch.arange(config.encoder.hidden)
        group_of = columns * self.groups // config.encoder.hidden
        kept_units = switches.kept_units[:, group_of]
        sizes = tuple(
            LayerSize(int(heads.sum()), int(units.sum()), self.keys if place in switches.hard_layers else 0)
            for place, (heads, units) in enumerate(zip(switches.kept_heads, kept_units, strict=True))
        )
        made = TextEncoder(replace(config, layers=sizes))
        given = dict(self.model.state_dict())
        kept = {name: _part(name, given[name], switches.kept_heads, kept_units) for name in made.state_dict()}
        made.load_state_dict(kept)
        return made.eval()

    def specialised(self, sentences: Sentences, *, share: float = 0.5) -> Specialised:
        """Return what sentences that are held out leave of the model; see `specialise`."""
        read = _Read(self.model, sentences)
        return specialise(lambda switches: read.nats(self.made(switches)), self.whole, share=share)


class _Read:
    """Texts as word numbers, those of about one length together, so that little is padding.

    Args:
        model: whose words they are.
        sentences: texts and labels [n].
    """

    def __init__(self, model: TextEncoder, sentences: Sentences) -> None:
        words = model.encode(sentences.texts)
        lengths = words.ne(0).sum(1)
        order = lengths.argsort(stable=True)
        self._places = order.argsort()
        self._batches = [
            (words[rows, : int(lengths[rows].max())], sentences.labels[rows]) for rows in torch.split(order, AT_ONCE)
        ]

    @torch.inference_mode()
    def nats(self, model: TextEncoder) -> Tensor:
        """Return what the right label of each text [n] costs a model that knows the same words, in nats."""
        found = [functional.cross_entropy(model(words), labels, reduction="none") for words, labels in self._batches]
        return torch.cat(found)[self._places]


def nats(model: TextEncoder, sentences: Sentences) -> Tensor:
    """Return what the right label of each text [n] costs a model, in nats."""
    return _Read(model, sentences).nats(model)


def parameters(model: TextEncoder) -> int:
    """Return the numbers of a model's blocks; words, places and head, which nothing is taken from, are left out."""
    return sum(each.numel() for each in model.encoder.parameters())


def half_of_mean(model: TextEncoder, texts: Sequence[str]) -> int:
    """Return half of the mean number of words that are read of texts."""
    words = model.encode(texts).ne(0).sum(1).float().mean()
    return max(1, round(float(words) / 2))


def _part(name: str, weight: Tensor, heads: Tensor, units: Tensor) -> Tensor:
    """Return what stays of a weight of the encoder, by its name."""
    place = name.split(".")
    if place[:2] == ["encoder", "attention"]:
        rows = heads[int(place[2])]
        # Rows of three maps, columns of the one that sums heads up.
        each = (weight.shape[1] if place[3] == "out" and place[4] == "weight" else weight.shape[0]) // len(rows)
        kept = rows.repeat_interleave(each)
        last = place[3] == "out"
    elif place[:2] == ["encoder", "feed_forward"]:
        kept, last = units[int(place[2])], place[3] == "down"
    else:
        return weight
    if last:
        return weight[:, kept] if place[4] == "weight" else weight
    return weight[kept]
