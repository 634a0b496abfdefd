"""`debate config`: the keys that a config may have, and where the values of one come from."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

config = typer.Typer(
    help="Config files: where values come from, the JSON Schema for editors, and the reference of all keys.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(config, name="config")


@config.command()
def show(
    file: options.Config,
    settings: options.Set = None,
    model: options.Model = None,
    seed: options.Seed = None,
) -> None:
    """Print a config with every default filled in, and the source of each value.

    Example:  debate config show first_debate --set rounds=2
    """
    from debate.config.origins import load_sourced

    named = [f"{key}={value}" for key, value in (("model", model), ("seed", seed)) if value is not None]
    options.console.print(load_sourced(file, [*(settings or []), *named]).text(), end="", markup=False, soft_wrap=True)


@config.command()
def schema() -> None:
    """Print the JSON Schema of a config file, with which editors complete and check YAML.

    Example:  debate config schema > schema.json
    """
    from debate.config.reference import schema_text

    typer.echo(schema_text(), nl=False)


@config.command()
def reference() -> None:
    """Print every key with its type, default, meaning and an example, as Markdown.

    Example:  debate config reference > config.md
    """
    from debate.config.reference import reference_page

    typer.echo(reference_page(), nl=False)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not exist, or be empty.")] = Path("my-debate"),
) -> None:
    """Write a commented starter: a config, a topology, prompts and questions that run as they are.

    Example:  debate init my-debate
    """
    import shlex

    from debate.config.starter import CONFIG, QUESTIONS, write_starter

    for path in write_starter(folder):
        options.console.print(f"wrote {path}", markup=False, soft_wrap=True)
    options.console.print(
        f"Score it:  cd {shlex.quote(str(folder))} && debate eval {CONFIG} --data {QUESTIONS}",
        markup=False,
        soft_wrap=True,
    )
