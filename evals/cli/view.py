"""`debate view`: runs in the browser, served from this machine or written into one file."""

import contextlib
import os
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debate.cli import options
from debate.cli.app import app

if TYPE_CHECKING:
    from debate.orchestrator import OnText

MEGABYTE = 1_000_000


@app.command()
def view(
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders, or folders of runs (default: runs); they may still be going."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Write the page into this one file, which needs no server and no network."),
    ] = None,
    max_mb: Annotated[
        float, typer.Option("--max-mb", min=0.1, help="Megabytes that the debates may take in an export, compressed.")
    ] = 10.0,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """Look at runs in the browser: every question, who changed whose mind, what each message was made of.

    Examples:

        debate view runs/debaters

        debate view runs/debaters --export debaters.html
    """
    from evals.viewer.index import by_name
    from evals.viewer.run_view import RunView, run_paths

    paths = run_paths(run or [Path("runs")])
    if export is not None:
        from evals.viewer.export import write_export

        views = {name: RunView(path) for name, path in by_name(paths).items()}
        made = write_export(views, export, budget=int(max_mb * MEGABYTE))
        options.console.print(f"wrote {export} ({made.size / MEGABYTE:.1f} MB). {made.sentence}", markup=False)
        return
    from evals.viewer.server import Viewer

    with contextlib.closing(Viewer(paths, port=port)) as viewer:
        if len(paths) == 1:
            # Read before anybody waits for it; one that is damaged ends here, in a sentence.
            options.progress(f"reading {paths[0]}")
            viewer.open_first()
        # The address alone on its line: it is copied, and read by programs.
        typer.echo(viewer.url)
        options.progress("Only this machine can open it, with the token in its address. Ctrl-C ends it.")
        if browser:
            open_page(viewer.url)
        options.run(viewer.serve())


def open_page(url: str) -> None:
    """Open a page in the browser of a desktop; without one nothing is opened, as a browser in the terminal would block it."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)


@contextlib.contextmanager
def watching(folder: Path) -> "Iterator[OnText]":
    """Show a run that this process plays in the browser; at its end wait for return, so that it can be read."""
    from evals.viewer.index import by_name
    from evals.viewer.server import Viewer, serving

    (name,) = by_name([folder])
    with contextlib.closing(Viewer([folder])) as viewer, serving(viewer):
        typer.echo(viewer.url)
        open_page(viewer.url)
        yield lambda question, turn, text: viewer.say(name, question.id, turn, text)
        if sys.stdin.isatty():
            options.console.print("The page stays open until you press return.", markup=False)
            sys.stdin.readline()
