"""`debate transform`: a model made smaller or coarser, as a model folder."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def transform(
    model: options.GivenModel,
    steps: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="TRANSFORM", help="A transform, e.g. 'optin(macs=0.6)'; repeatable, in order."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder of the transformed model.")] = None,
) -> None:
    """Write a transformed model as an ordinary model folder: weights, tokenizer, and a card with base and recipe.

    Example:  debate transform tiny/dee --with 'optin(macs=0.6)' --out runs/dee60

    Without --with, lists the transforms and what they take. The folder is a `--model` like any other; a config's
    `transforms: [...]` on an agent makes the same on the fly and keeps it in the model cache.
    """
    from agents.atomic_file import replacing
    from agents.errors import ConfigError
    from agents.model_folder import quiet
    from agents.pretrained import locate
    from agents.transforms.folder import transform_folder
    from agents.transforms.recipe import known, parse_recipe

    if not steps:
        for line in known():
            options.console.print(line, markup=False)
        if out is not None:
            raise ConfigError("name what is to be done: --with 'optin(macs=0.6)'")
        return
    if out is None:
        raise ConfigError("name the folder of the transformed model: --out FOLDER")
    if out.exists():
        raise ConfigError(f"{out} exists; a transformed model is written into a new folder. Choose another --out")
    recipe = parse_recipe(steps)
    with quiet(), replacing(out) as aside:
        record = transform_folder(
            locate(model, progress=options.progress), model, recipe, aside, progress=options.progress
        )
    for step in record["steps"]:
        options.console.print(step["transform"], markup=False)
        for key, value in step.items():
            if key != "transform":
                options.console.print(f"  {key}: {value}", markup=False, soft_wrap=True)
    options.console.print("all in all, counted", markup=False)
    for key, value in record["whole"].items():
        options.console.print(f"  {key}: {value:,}", markup=False)
    options.console.print(f"the model: {out}", markup=False)
