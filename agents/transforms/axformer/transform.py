"""`axformer`: what held-out texts say a model does better without is taken away, one part after the other.

Nagarajan, Sen, Stevens and Raghunathan (2020, arXiv:2010.03688); the search and its rule are in a file of their own. What goes is
really removed, where the published code masks it. Nothing is trained: the paper's fine-tuning of what is left is not here.
"""

from itertools import pairwise
from typing import Any

import torch

from agents.errors import ConfigError
from agents.transforms.axformer.passes import Passes, units_of
from agents.transforms.axformer.search import NEAR, Switches, check, drawn, specialise
from agents.transforms.axformer.texts import Texts, split_texts
from agents.transforms.calibration import OWN, check_seed
from agents.transforms.recast import recast
from agents.transforms.removal import Masks, filled_remarks, kept_remark, removed
from agents.transforms.subject import Outcome, Subject, layers_of
from agents.transforms.units import Shape, shape_of


def axformer(
    subject: Subject,
    *,
    slack: float = 0.0,
    hard: bool = True,
    keys: int = 0,
    groups: int = 12,
    share: float = 0.5,
    near: float = NEAR,
    random: bool = False,
    rows: int = 64,
    untouched: int = 64,
    length: int = 128,
    after: str = "",
    calibration: str = OWN,
    seed: int = 0,
) -> Outcome:
    """Take away blocks, heads and units without which held-out texts cost less, and harden attention where it costs less.

    Args:
        subject: the model; its tables stay as they are.
        slack: 0 is the paper's rule, by which the loss never rises; above it a change stays while the loss is below (1 + slack)
            times that of the model as it was (ours).
        hard: whether hard attention is tried. What keeps some is of an architecture of its own.
        keys: K, positions that a query hears at most where attention is hard; 0: half of the texts' mean length.
        groups: of a layer's units, which go together.
        share: of the texts, of which more have to cost no more than by the model as it was.
        near: the parts of a block are tried where the model without it costs less than so many times the lowest.
        random: as a control take as many parts as would have gone, at random places.
        rows: texts by which changes are accepted; they are to be none that the model was trained on.
        untouched: other texts of the same source, by which what was gained is told.
        after: only tokens behind the last of these words in a text count, e.g. `Solution:`; empty: all but the first.
        length, calibration, seed: texts (calibration.py).

    Raises:
        ConfigError: a parameter out of range, texts that cannot be had, or a K at which nothing is hard.
        ModelError: a family whose blocks are not known.
    """
    check(share, slack, near)
    check_seed(seed)
    shape = shape_of(subject, "axformer")
    if not 1 <= groups <= shape.units:
        raise ConfigError(f"axformer: groups is from 1 to the {shape.units} units of a layer; got {groups}")
    if rows < 1:
        raise ConfigError(f"axformer: rows must be at least 1; got {rows}")
    given, others = split_texts(
        subject, calibration, rows=rows, untouched=untouched, length=length, seed=seed, after=after
    )
    mean = max(1, round(int(given.is_text.sum()) / len(given.ids)))
    kept_keys = _keys(subject, keys, given, mean) if hard else 0
    slices = _slices(shape.units, groups)
    passes = Passes(subject, given.ids, given.counted, slices, kept_keys)
    found = specialise(
        passes.losses, Switches.whole(shape.layers, shape.heads, groups), share=share, slack=slack, near=near, hard=hard
    )
    switches, after_loss = found.switches, found.after
    if random:
        switches = drawn(switches, torch.Generator().manual_seed(seed))
        after_loss = float(passes.losses(switches).mean())
    untold = Passes(subject, others.ids, others.counted, slices, kept_keys)
    whole = Switches.whole(shape.layers, shape.heads, groups)
    told = [float(untold.losses(each).mean()) for each in (whole, switches)]
    facts = {
        "loss_before": found.before,
        "loss": after_loss,
        "loss_untouched_before": told[0],
        "loss_untouched": told[1],
        "texts": [len(given.ids), len(others.ids)],
        "trials": len(found.trials),
        "accepted": found.accepted,
        "hard_layers": switches.hard_layers,
        "keys": kept_keys,
    }
    return _carried_out(subject, shape, switches, slices, kept_keys, mean, facts, random)


def _keys(subject: Subject, keys: int, texts: Texts, mean: int) -> int:
    """Return K of hard attention.

    Raises:
        ConfigError: no query of the texts sees more than K positions, or a model that does not see all positions before.
    """
    config = subject.model.config
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        raise ConfigError(
            f"axformer: {subject.name} sees {config.sliding_window} positions alone, and hard attention is of models that see "
            "all positions before; set hard=false"
        )
    found, longest = keys or max(1, mean // 2), int(texts.is_text.sum(1).max())
    if not 1 <= found < longest:
        raise ConfigError(
            f"axformer: keys is from 1 to {longest - 1}, since the longest text has {longest} tokens and hard attention of more "
            f"keeps all; got {found}. Set keys, longer texts, or hard=false"
        )
    return found


def _slices(units: int, groups: int) -> list[slice]:
    """Return the units of each group; they differ by one unit at most."""
    bounds = [units * place // groups for place in range(groups + 1)]
    return [slice(start, end) for start, end in pairwise(bounds)]


def _carried_out(
    subject: Subject,
    shape: Shape,
    switches: Switches,
    slices: list[slice],
    keys: int,
    positions: int,
    facts: dict[str, Any],
    random: bool,
) -> Outcome:
    """Remove from a model what went, make hard what is, and say so."""
    heads, units = switches.kept_heads, units_of(switches.kept_units, slices)
    remarks = [_told(facts, random)]
    if bool(heads.all()) and bool(units.all()):
        facts = {"macs_kept": 1.0, **facts}
        remarks.append("No head and no unit was removed.")
    else:
        _without_biases(subject, switches)
        facts = {**removed(subject, shape, Masks(heads, units), positions), **facts}
        remarks += [kept_remark(facts, "the rest was removed, without training."), *filled_remarks(subject, facts)]
        remarks += _blocks(switches)
    if switches.hard_layers:
        from agents.transforms.axformer.model import MODELS

        kept = [keys if place in switches.hard_layers else 0 for place in range(shape.layers)]
        subject.model = recast(subject.model, MODELS[subject.model.config.model_type], hard_keys=kept)
        remarks.append(
            f"In layers {', '.join(map(str, switches.hard_layers))} a query hears the {keys} positions of largest share alone, "
            "and shares are not renormalised. They are masked and not left out: it takes no less time here."
        )
    return Outcome(facts, tuple(remarks))


def _told(facts: dict[str, Any], random: bool) -> str:
    how = (
        "As many parts as the search would have taken went at random places"
        if random
        else f"Of {facts['trials']} changes that were tried {len(facts['accepted'])} were accepted"
    )
    return (
        f"{how}: the mean loss of the {facts['texts'][0]} texts that decided is {facts['loss']:.4f} nats a token where it was "
        f"{facts['loss_before']:.4f}, that of {facts['texts'][1]} others {facts['loss_untouched']:.4f} where it was "
        f"{facts['loss_untouched_before']:.4f}."
    )


def _blocks(switches: Switches) -> list[str]:
    gone = [
        f"the {name} of layers {', '.join(map(str, layers))}"
        for name, layers in (
            ("attention", (~switches.attention).nonzero().flatten().tolist()),
            ("feed-forward block", (~switches.feed_forward).nonzero().flatten().tolist()),
        )
        if layers
    ]
    if not gone:
        return []
    return [
        f"As a whole went {' and '.join(gone)}. A config has no layer without them, so they are stored as zeros, which an engine "
        "computes, and the folder is laid out as its base's."
    ]


def _without_biases(subject: Subject, switches: Switches) -> None:
    """Let the last maps of blocks that went add nothing."""
    layers = layers_of(subject, "axformer")
    for layer, stays, feeds in zip(layers, switches.attention, switches.feed_forward, strict=True):
        for last, there in ((layer.self_attn.o_proj, stays), (layer.mlp.down_proj, feeds)):
            if last.bias is not None and not there:
                last.bias.data.zero_()
