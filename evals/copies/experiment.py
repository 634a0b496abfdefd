"""The debates of transformed copies: an ordinary config, played once for each calibration seed.

Rows of its `methods` go in families: `single`, `text` and `cipher` are of the model itself, and `single-COPY`, `text-COPY` and
`cipher-COPY` have a copy in its place or at its side. Other rows stand for themselves. A later seed changes the `seed` of every
transform that takes one, and plays the rows that have such a transform alone.
"""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.errors import ConfigError, UnknownName
from agents.pretrained import transformed
from agents.transforms.recipe import parse_recipe
from debate.config.load import load_config, validate
from debate.config.schema import DebateConfig
from debate.config.shipped import find_config
from debate.runtime.backends import Backends
from evals.evaluation import Selection, evaluate
from evals.methods import method_config

Say = Callable[[str], None]
FAMILIES = ("single", "text", "cipher")
SEED = "seed"


def seeded(transforms: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return transforms with another seed; those that take none stay as they are."""
    found = []
    for step in parse_recipe(transforms):
        named = step.written
        if SEED in inspect.signature(step.function).parameters and seed:
            named = type(named)(named.name, {**named.parameters, SEED: named.parameters[SEED] + seed})
        found.append(str(named))
    return tuple(found)


def config_of_seed(path: Path, seed: int, model: str | None = None) -> tuple[DebateConfig, tuple[str, ...]]:
    """Return the config of a calibration seed, and the rows that are played; seed 0 is the file itself, with all of its rows.

    Raises:
        ConfigError: the file has no row with transforms, none that copies are compared with, or a later seed would change no
            transform.
    """
    config = load_config(find_config(path), [f"model={model}"] if model else [])
    if not any(_transforms(changes) for changes in config.methods.values()):
        raise ConfigError(f"{path}: no row of its methods has transforms, so there is no copy to look at")
    if missing := [family for family in FAMILIES if family not in config.methods]:
        raise ConfigError(
            f"{path}: its methods have no row {missing[0]!r}, which copies are compared with in the end. It has: "
            f"{', '.join(config.methods)}"
        )
    if not seed:
        return config, tuple(config.methods)
    changed = {row: _with_seed(changes, seed) for row, changes in config.methods.items()}
    rows = tuple(
        row
        for row, changes in changed.items()
        if [seeded(t, 0) for t in _transforms(changes)] != [seeded(t, 0) for t in _transforms(config.methods[row])]
    )
    if not rows:
        raise ConfigError(f"{path}: none of its transforms takes a seed; one seed is all there is")
    return validate({**config.model_dump(by_alias=True), "methods": changed}, source=str(path)), rows


def copies(config: DebateConfig) -> dict[str, tuple[str, str]]:
    """Return copy → its base's name and its own, for every copy that rows of the config name."""
    found: dict[str, tuple[str, str]] = {}
    for row in config.methods:
        family, dash, copy = row.partition("-")
        if family not in FAMILIES or not dash:
            continue
        agents = method_config(config, row).agents
        for agent in agents.values():
            if agent.transforms:
                base = agent.model or config.model
                found.setdefault(copy, (base, transformed(base, agent.transforms)))
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


def _transforms(changes: Any) -> list[Sequence[str]]:
    """Return the transforms of every agent of a row."""
    agents = (changes or {}).get("agents") or {}
    return [agent["transforms"] for agent in agents.values() if agent and agent.get("transforms")]


def _with_seed(changes: dict[str, Any], seed: int) -> dict[str, Any]:
    agents = {
        name: {**agent, "transforms": list(seeded(agent["transforms"], seed))}
        if agent and agent.get("transforms")
        else agent
        for name, agent in (changes.get("agents") or {}).items()
    }
    return {**changes, "agents": agents} if agents else changes
