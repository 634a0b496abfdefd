"""The debates of transformed copies: an ordinary config, played once for each calibration seed.

Rows of its `methods` go in families: `single`, `text` and `cipher` are of the model itself, and `single-COPY`, `text-COPY`
and `cipher-COPY` have a copy in its place or at its side. Other rows stand for themselves. A copy has transforms, or an
agent's options exchange its cache or its attention. A later seed changes the `seed` of every transform and attention that
takes one, and plays the rows that have such a one alone.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agents.attention.options import ATTENTIONS, GROUP
from agents.errors import ConfigError, UnknownName
from agents.pretrained import transformed
from agents.registry import load_named
from agents.transforms.recipe import parse_recipe
from debate.config.load import load_config, validate
from debate.config.schema import DebateConfig
from debate.config.shipped import find_config
from debate.runtime.backends import Backends
from evals.evaluation import Selection, evaluate
from evals.methods import method_config
from kernels.names import Named

Say = Callable[[str], None]
FAMILIES = ("single", "text", "cipher")
SEED = "seed"
# Options of an engine that make another speaker of the same weights.
EXCHANGED = ("cache", "attention")


class Variant(NamedTuple):
    """A copy of a model.

    Attributes:
        base: name of the model.
        model: its own name, the transforms in it.
        cache, attention: its engine's options (docs/attention.md); None where they exchange nothing.
    """

    base: str
    model: str
    cache: str | None = None
    attention: str | None = None


def seeded(transforms: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return transforms with another seed; those that take none stay as they are."""
    found = []
    for step in parse_recipe(transforms):
        named = step.written
        if SEED in inspect.signature(step.function).parameters and seed:
            named = type(named)(named.name, {**named.parameters, SEED: named.parameters[SEED] + seed})
        found.append(str(named))
    return tuple(found)


def seeded_attention(text: str, seed: int) -> str:
    """Return an attention with another seed; one that takes none stays as it is."""
    function, named = load_named(text, "attention", GROUP, ATTENTIONS)
    default = inspect.signature(function).parameters.get(SEED)
    if default is None or not seed:
        return text
    return str(Named(named.name, {**named.parameters, SEED: named.parameters.get(SEED, default.default) + seed}))


def config_of_seed(path: Path, seed: int, model: str | None = None) -> tuple[DebateConfig, tuple[str, ...]]:
    """Return the config of a calibration seed, and the rows that are played; seed 0 is the file itself, with all of its rows.

    Raises:
        ConfigError: the file has no row with transforms, none that copies are compared with, or a later seed would change no
            transform.
    """
    config = load_config(find_config(path), [f"model={model}"] if model else [])
    if not any(_changed(changes) for changes in config.methods.values()):
        raise ConfigError(
            f"{path}: no row of its methods has transforms, or options that exchange a cache or an attention, so there is no "
            "copy to look at"
        )
    if missing := [family for family in FAMILIES if family not in config.methods]:
        raise ConfigError(
            f"{path}: its methods have no row {missing[0]!r}, which copies are compared with in the end. It has: "
            f"{', '.join(config.methods)}"
        )
    if not seed:
        return config, tuple(config.methods)
    changed = {row: _with_seed(changes, seed) for row, changes in config.methods.items()}
    rows = tuple(row for row, changes in changed.items() if _changed(changes) != _changed(config.methods[row]))
    if not rows:
        raise ConfigError(f"{path}: none of its transforms or attentions takes a seed; one seed is all there is")
    return validate({**config.model_dump(by_alias=True), "methods": changed}, source=str(path)), rows


def copies(config: DebateConfig) -> dict[str, Variant]:
    """Return copy → what it is, for every copy that rows of the config name."""
    found: dict[str, Variant] = {}
    for row in config.methods:
        family, dash, copy = row.partition("-")
        if family not in FAMILIES or not dash:
            continue
        agents = method_config(config, row).agents
        for agent in agents.values():
            cache, attention = (agent.options.get(key) for key in EXCHANGED)
            if agent.transforms or cache or attention:
                base = agent.model or config.model
                found.setdefault(copy, Variant(base, transformed(base, agent.transforms), cache, attention))
    return found


async def play(
    path: Path,
    out: Path,
    seeds: int,
    *,
    model: str | None = None,
    methods: Sequence[str] = (),
    limit: int,
    observer: Any = None,
    say: Say = lambda _: None,
) -> None:
    """Play the rows of every seed in OUT/seed-N; what is there is not played again.

    Raises:
        UnknownName: a method that is no row of the config.
        ConfigError: no row has transforms, or a later seed would change none of them.
    """
    configs = [config_of_seed(path, seed, model) for seed in range(seeds)]
    for name in methods:
        if name not in configs[0][1]:
            raise UnknownName("method", name, configs[0][1])
    engines = Backends(configs[0][0], say)
    try:
        for seed, (config, rows) in enumerate(configs):
            chosen = [row for row in rows if not methods or row in methods]
            if chosen:
                say(f"calibration seed {seed}")
                await evaluate(
                    config,
                    out=out / f"seed-{seed}",
                    methods=chosen,
                    selection=Selection(limit=limit),
                    backends=engines,
                    observer=observer,
                    progress=say,
                )
    finally:
        await engines.close()


def _agents(changes: Any) -> dict[str, Mapping[str, Any]]:
    """Return the agents that a row changes."""
    return {name: agent for name, agent in ((changes or {}).get("agents") or {}).items() if agent}


def _changed(changes: Any) -> list[Any]:
    """Return what makes copies of a row's agents, seeds and defaults written out."""
    found: list[Any] = []
    for agent in _agents(changes).values():
        exchanged = [(agent.get("options") or {}).get(key) for key in EXCHANGED]
        if agent.get("transforms") or any(exchanged):
            found.append((seeded(agent["transforms"], 0) if agent.get("transforms") else (), exchanged))
    return found


def _with_seed(changes: dict[str, Any], seed: int) -> dict[str, Any]:
    agents = dict((changes or {}).get("agents") or {})
    for name, agent in _agents(changes).items():
        if agent.get("transforms"):
            agents[name] = {**agents[name], "transforms": list(seeded(agent["transforms"], seed))}
        if attention := (agent.get("options") or {}).get("attention"):
            options = {**agent["options"], "attention": seeded_attention(attention, seed)}
            agents[name] = {**agents[name], "options": options}
    return {**changes, "agents": agents} if agents else changes
