"""`debate keys` and `debate verify`: who vouches for a run or a message, and whether it is still what they vouched for."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debate.cli import options
from debate.cli.app import app

if TYPE_CHECKING:
    from debate.run_folder.verify import Verdict

# Of what does not fit, and of what nobody signed.
EXIT_REFUSED, EXIT_UNSIGNED = 1, 3


@app.command()
def keys(
    file: Annotated[
        Path, typer.Argument(help="File of the private key; the public one is written beside it, as FILE.pub.")
    ],
) -> None:
    """Make a pair of keys (Ed25519) to sign runs and messages with. The private one is for its owner alone (0600).

    Example:  debate keys ~/.config/cipher-debate/key

    Then:     debate eval smoke --sign-with ~/.config/cipher-debate/key --out runs/smoke
    """
    from agents.errors import RunError
    from agents.signing import SigningKey
    from debate.run_folder.contents import JOURNAL

    if run := next((folder for folder in file.resolve().parents if (folder / JOURNAL).exists()), None):
        raise RunError(f"{file} would be in the run folder {run}, which is passed on: keep private keys elsewhere")
    key = SigningKey.generate()
    private, public = key.write(file)
    options.progress(f"private key: {private}, which stays with you")
    options.progress(f"public key: {public}, for whoever is to verify")
    typer.echo(key.public)


@app.command()
def verify(
    what: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="A run folder, or a message file.")],
    key: Annotated[
        str | None,
        typer.Option("--key", help="Public key (ed25519:…), or file of one, that everything is to be signed by."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check a run or a message: signatures, messages, journal and results against each other. Nothing is changed.

    Without --key it says who signed, not whether that is who you think. Exit codes: 0 all fits and is signed, 1 something does
    not fit, 3 all fits and is not signed, or only a part is, 2 it is no run and no message.

    Example:  debate verify runs/smoke --key key.pub
    """
    from agents.signing import public_key
    from debate.run_folder.verify import REFUSED, UNSIGNED, verify_message, verify_run

    wanted = None if key is None else public_key(key, where="--key")
    found = verify_run(what, wanted) if what.is_dir() else verify_message(what, wanted)
    if as_json:
        typer.echo(json.dumps(found.as_json()))
    else:
        _print(found)
    raise typer.Exit({REFUSED: EXIT_REFUSED, UNSIGNED: EXIT_UNSIGNED}.get(found.verdict, 0))


def _print(found: "Verdict") -> None:
    from debate.run_folder.verify import SIGNED

    for check in found.checks:
        mark = "✓" if check.verdict == SIGNED else "–" if check.verdict == "unsigned" else "✗"
        options.console.print(f"{mark} {check.name}: {check.detail}", markup=False, soft_wrap=True)
    options.console.print(f"{found.path}: {found.verdict}", markup=False, soft_wrap=True)
