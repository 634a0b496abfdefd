"""`debate train`: a tiny debater from random weights, or what a belief backend loads."""

import os
from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

HEADINGS = ("claim", "ours", "baseline", "difference (95 % over seeds)", "asked", "verdict")
SEEDS, THREADS, QUESTIONS = 3, 1, 1000
RUNS = Path("runs") / "train"


@app.command()
def train(
    name: Annotated[
        str,
        typer.Argument(
            help="A debater: a recipe file, or the name of a shipped one, e.g. ada. Or a belief backend, e.g. kalm, or "
            "one of its other recipes, e.g. in_context:selection; `debate backends` lists them."
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output folder (default: runs/train/NAME).")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Training seed (debaters only).")] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            help=f"CPU threads (debaters only); two one-thread trainings beat one two-thread training.  [default: {THREADS}]",
        ),
    ] = None,
    questions: Annotated[
        int | None,
        typer.Option(
            "--questions",
            min=1,
            help=f"Number of test questions for the model card (debaters only).  [default: {QUESTIONS}]",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", min=1, help=f"Number of trainings, from seed 0 (belief backends only).  [default: {SEEDS}]"
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of training data (belief backends only).")] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published", help="Train by the published code's recipe where ours differs (belief backends only)."
        ),
    ] = False,
) -> None:
    """Train a tiny debater, or the checkpoint of a belief backend.

    Example:  debate train ada

    Example:  debate train kalm --data DATA --seeds 3

    A debater: its held-out loss and accuracy are plotted, and its card is written; use it as `--model
    runs/train/ada/model`. A belief backend: what its paper claims is checked at our size over several seeds, ours against
    the baseline with an interval, pass or null. Training is resumed by the same command.
    """
    from agents.beliefs.cards import GROUP
    from agents.model_folder import quiet
    from agents.registry import names

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with quiet():
        if name.partition(":")[0] in names(GROUP) and not Path(name).is_file():
            _refuse(name, "belief backend", {"--seed": seed, "--threads": threads, "--questions": questions})
            _train_backend(name, out or RUNS / name.replace(":", "-"), seeds or SEEDS, data, published)
        else:
            _refuse(name, "debater", {"--seeds": seeds, "--data": data, "--published": published or None})
            _train_debater(Path(name), out, seed, threads or THREADS, questions)


def _train_debater(recipe: Path, out: Path | None, seed: int | None, threads: int, questions: int | None) -> None:
    import torch

    from agents.beliefs.cards import GROUP
    from agents.errors import ConfigError
    from agents.registry import names
    from debate.config.shipped import configs_folder, find_config
    from evals.training.recipe import load_recipe
    from evals.training.run import finish
    from evals.training.train import train as run_training
    from kernels.names import did_you_mean

    path = recipe if recipe.exists() else find_config(Path("training") / recipe)
    if not path.is_file():
        path = configs_folder() / "training" / f"{recipe.stem}.yaml"
    if not path.is_file():
        shipped = sorted(file.stem for file in (configs_folder() / "training").glob("*.yaml"))
        raise ConfigError(
            f"cannot train {str(recipe)!r}: it is no file, no debater ({', '.join(shipped)}) and no belief "
            f"backend ({', '.join(names(GROUP))}).{did_you_mean(recipe.stem, [*shipped, *names(GROUP)])}"
        )
    loaded = load_recipe(path)
    if seed is not None:
        loaded = loaded.model_copy(update={"seed": seed})
    if loaded.classifier is not None:
        _refuse(recipe.stem, "classifier", {"--questions": questions})
    folder = out or RUNS / loaded.name
    torch.set_num_threads(threads)
    made = run_training(loaded, folder, say=options.progress)
    if loaded.classifier is not None:
        options.console.print(f"the classifier: {made}", markup=False)
        return
    for line in finish(loaded, folder, questions=questions or QUESTIONS):
        options.console.print(line, markup=False)
    options.console.print(f"the model: {made}", markup=False)


def _train_backend(name: str, folder: Path, seeds: int, data: Path | None, published: bool) -> None:
    from rich.table import Table

    from agents.beliefs.cards import card
    from agents.beliefs.claims import table
    from agents.errors import ConfigError, UnknownName

    base, colon, other = name.partition(":")
    known = card(base)
    if not known.training:
        raise ConfigError(f"{name} has nothing to train: {known.checkpoint}")
    if published and (colon or not known.published):
        raise ConfigError(f"{name} has one recipe: leave --published out")
    recipes = {each: (paper, path) for each, paper, path in known.recipes}
    if colon and other not in recipes:
        raise UnknownName(f"recipe of {base}", other, recipes)
    paper, recipe = recipes[other] if colon else (known.paper, known.published if published else known.training)
    claims = known.resolve(recipe)(folder, seeds=seeds, data=data, progress=options.progress)
    shown = Table(title=f"{name}: {paper}", title_justify="left")
    for heading in HEADINGS:
        shown.add_column(heading, overflow="fold")
    for row in table(claims):
        shown.add_row(*row)
    options.console.print(shown)
    _draw(folder)
    if known.note:
        options.console.print(known.note, markup=False)


def _draw(folder: Path) -> None:
    """Draw the curves that a recipe left in its folder, each beside its figures."""
    from agents.beliefs.curves import SUFFIX, read_curves
    from agents.errors import MissingDependency
    from evals.analysis.plots import curves

    for path in sorted(folder.glob(f"*{SUFFIX}")):
        drawing = path.with_name(f"{path.name.removesuffix(SUFFIX)}.svg")
        try:
            drawing.write_text(curves(read_curves(path)))
        except MissingDependency as error:
            options.progress(f"{path.name} is not drawn: {error}")
        else:
            options.console.print(f"a figure: {drawing}", markup=False)


def _refuse(name: str, kind: str, given: dict[str, object]) -> None:
    from agents.errors import ConfigError

    if wrong := [option for option, value in given.items() if value is not None]:
        raise ConfigError(f"{', '.join(wrong)}: not of a {kind}, which {name} is. `debate train --help` says what is.")
