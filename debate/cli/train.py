"""`debate train`: a tiny debater, from random weights or another's."""

import os
from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe file, or the name of a shipped one, e.g. ada.")],
    seed: options.Seed = None,
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="Of the processor: two trainings of one beat one of two.")
    ] = 1,
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="Of the test split, asked at the end, for the card.")
    ] = 1000,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="runs/train/NAME by default.")] = None,
) -> None:
    """Train a tiny debater, plot its held-out loss and accuracy, and write its card.

    Example:  debate train ada

    What was trained is kept: the same command goes on where it stopped. Use the result as `--model runs/train/ada/model`.
    """
    import torch

    from debate.config import configs_folder, find_config
    from evals.training.recipe import load_recipe
    from evals.training.run import finish
    from evals.training.train import train as run_training

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options.quiet_transformers()
    path = recipe if recipe.exists() else find_config(Path("training") / recipe)
    if not path.is_file():
        path = configs_folder() / "training" / f"{recipe.stem}.yaml"
    loaded = load_recipe(path)
    if seed is not None:
        loaded = loaded.model_copy(update={"seed": seed})
    folder = out or Path("runs") / "train" / loaded.name
    torch.set_num_threads(threads)
    made = run_training(loaded, folder, say=options.progress)
    for line in finish(loaded, folder, questions=questions):
        options.console.print(line, markup=False)
    options.console.print(f"the model: {made}", markup=False)
