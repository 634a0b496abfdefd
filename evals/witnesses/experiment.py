"""The experiment of the witnesses carried out: a witness and its listener trained for each seed, and their debates played.

Everything is in OUT: seed-N/kim and seed-N/lou the trainings, seed-N/WORLD the run folders. The same call goes on where one
stopped.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.errors import ConfigError
from debate.config.load import read_config, validate
from debate.config.schema import DebateConfig
from debate.config.shipped import configs_folder
from debate.runtime.backends import Backends
from evals.evaluation import Selection, evaluate
from evals.training.recipe import load_recipe
from evals.training.run import finish
from evals.training.train import train

Say = Callable[[str], None]

WITNESS, LISTENER = "kim", "lou"
CONFIG = "debaters/witnesses.yaml"
CARD_QUESTIONS = 200


def train_pair(out: Path, seed: int, say: Say) -> dict[str, str]:
    """Return the models of a training seed by the names that the config has them by; what is there is not trained again."""
    recipes = configs_folder() / "training"
    witness = load_recipe(recipes / f"{WITNESS}.yaml").model_copy(update={"seed": seed})
    models = {f"tiny/{WITNESS}": str(train(witness, out / WITNESS, say=say))}
    begin = {"seed": seed, "begin": models[f"tiny/{WITNESS}"]}
    listener = load_recipe(recipes / f"{LISTENER}.yaml").model_copy(update=begin)
    models[f"tiny/{LISTENER}"] = str(train(listener, out / LISTENER, say=say))
    for recipe in (witness, listener):
        if not (out / recipe.name / "training.svg").is_file():
            for line in finish(recipe, out / recipe.name, questions=CARD_QUESTIONS):
                say(line)
    return models


def config_of(world: str, models: dict[str, str], config: str = CONFIG) -> DebateConfig:
    """Return the debates of a world by models of a training seed.

    Args:
        world: its name.
        models: name in the config → model; none for the shipped ones.
        config: file or name of the config.
    """
    raw = read_config(configs_folder() / config if not Path(config).is_file() else Path(config), ())
    return validate({**_renamed(raw, models), "task": f"witnesses:{world}"}, source=config)


async def play(
    out: Path,
    seed: int,
    worlds: Sequence[str],
    models: dict[str, str],
    *,
    methods: Sequence[str] = (),
    limit: int,
    observer: Any = None,
    say: Say = lambda _: None,
) -> None:
    """Play the debates of a training seed in each world, in OUT/seed-N/WORLD.

    Raises:
        ConfigError: a method that the config does not have.
    """
    configs = {world: config_of(world, models) for world in worlds}
    known = next(iter(configs.values())).methods
    if unknown := [name for name in methods if name not in known]:
        raise ConfigError(f"{CONFIG} has no method {unknown[0]!r}. It has: {', '.join(known)}.")
    engines = Backends(configs[worlds[0]], say)
    try:
        for world, config in configs.items():
            say(f"seed {seed}: {world}")
            await evaluate(
                config,
                out=out / f"seed-{seed}" / world,
                methods=methods,
                selection=Selection(limit=limit),
                backends=engines,
                observer=observer,
                progress=say,
            )
    finally:
        await engines.close()


def _renamed(raw: Any, models: dict[str, str]) -> Any:
    """Return the data of a config with other models in it."""
    if isinstance(raw, dict):
        return {
            key: models.get(value, value) if key == "model" else _renamed(value, models) for key, value in raw.items()
        }
    return raw
