"""The typer application, and the one place where an error becomes a sentence and an exit code."""

import contextlib
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points
from importlib.metadata import version as installed
from typing import Annotated

import typer

from debate.cli import interruption
from debate.cli.clashes import ADVICE, SAME_NAMES
from debate.cli.consoles import SafeConsole
from debate.cli.consoles import notes as progress

app = typer.Typer(
    help="""Debates between language models, in text or in CIPHER: the expectation of token embeddings under the
    model's belief, fed back as the next input, nothing sampled (Pham et al., ICLR 2024).

    \b
    Start here, with two tiny debaters that can add:
      debate run "What is the result of 3+4*5+6-2*7?"
    Then score methods on 100 such questions:
      debate eval debaters/experts --limit 100""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Errors are said whether or not progress is.
errors = SafeConsole(stderr=True)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"cipher-debate {installed('cipher-debate')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print results and errors only: no progress, notes or warnings.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""
    state.debug = debug
    progress.quiet = quiet
    for distribution, name in SAME_NAMES.items():
        with contextlib.suppress(PackageNotFoundError):
            installed(distribution)
            errors.print(
                f"! {distribution} is installed here too, and its package is also called {name!r}: one hides the other. {ADVICE}",
                markup=False,
            )


class _State:
    debug = False


state = _State()


def main() -> None:
    """Run the command line. User mistakes: one sentence, exit code 2. Ctrl-C: what was finished is on disk, 130."""
    from agents.errors import DebateError
    from agents.secrets import without_keys

    interruption.current = interruption.Interruption()
    try:
        with interruption.current:
            app()
    except DebateError as error:
        if state.debug:
            raise
        errors.print(f"debate: {without_keys(str(error))}", markup=False, soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        if state.debug or isinstance(error, BrokenPipeError):
            raise
        # What is known of is said by name; this is the rest, e.g. a machine without a folder for temporary files.
        errors.print(
            f"debate: the system refused something: {error}. Look at the disk's space and permissions; `debate --debug …` shows "
            "where it happened.",
            markup=False,
            soft_wrap=True,
        )
        sys.exit(2)
    except (interruption.Interrupted, KeyboardInterrupt):
        errors.print(interruption.SENTENCE, markup=False)
        sys.exit(interruption.EXIT_CODE)


# Entry points of this group name modules that add commands to `app` when they are imported: those of `evals`, and plug-ins'.
COMMANDS = "debate.commands"
OWN = (
    "status",
    "runs",
    "speak",
    "read",
    "backends",
    "topology",
    "doctor",
    "model",
    "cost",
    "bench",
    "bench_orchestration",
    "config",
    "serve",
    "verify",
    "lm_eval",
    "export",
    "mcp",
    "transform",
    "axes",
)
# What `--help` lists first, in the order in which a newcomer needs it; plug-ins' commands follow.
ORDER = (
    *(
        "run",
        "eval",
        "init",
        "search",
        "reproduce",
        "score",
        "show",
        "view",
        "runs",
        "report",
        "compare",
        "effects",
        "status",
        "cancel",
    ),
    *("verify", "keys"),
    *(
        "serve",
        "lm-eval",
        "mcp",
        "export",
        "speak",
        "read",
        "tasks",
        "backends",
        "train",
        "transform",
        "cost",
        "axes",
        "doctor",
    ),
)


def _add_commands() -> None:
    for name in OWN:
        import_module(f"debate.cli.{name}")
    for point in entry_points(group=COMMANDS):
        try:
            point.load()
        except Exception as error:  # a plug-in's fault must not take the other commands with it
            errors.print(f"! commands of {point.value} cannot be loaded: {error}", markup=False)
    app.registered_commands.sort(key=lambda info: _place(str(info.name or getattr(info.callback, "__name__", ""))))


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


_add_commands()
