"""The command line as a page of Markdown, made from the typer application: `python -m debate.cli.reference > docs/cli.md`.

It lists the commands of this distribution; those of plug-ins that happen to be installed are left out, so that the page is the
same on every machine.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from debate.cli.app import app

OURS = ("debate.", "evals.")
HEAD = """# Command line

Every command with its options. This page is made by `python -m debate.cli.reference` from the same application that answers
`debate COMMAND --help`.

- Exit codes: 0 when all went well, 2 for a mistake that you can mend (one sentence says how), 130 after Ctrl-C.
- `--debug` and `--quiet` stand before the command: `debate --debug run …`.
- Results go to standard output; progress, notes and warnings go to standard error.
- `debate --install-completion` installs completion for the current shell.
"""


def reference_page() -> str:
    """Return docs/cli.md: every command with its help, arguments and options."""
    command = get_command(app)
    return "\n".join([HEAD, *_sections(command, "debate")]).rstrip() + "\n"


def _sections(command: Any, path: str) -> Iterator[str]:
    options = list(_rows(command))
    yield f"## `{path}`" if path.count(" ") < 2 else f"### `{path}`"
    yield ""
    yield _help(command.help or "")
    yield ""
    if options:
        yield "| argument or option | meaning | default |"
        yield "|---|---|---|"
        yield from options
        yield ""
    for name, inner in getattr(command, "commands", {}).items():
        if _is_ours(inner):
            yield from _sections(inner, f"{path} {name}")


def _is_ours(command: Any) -> bool:
    """Whether a command, or every command of a group, is this distribution's."""
    inner = getattr(command, "commands", None)
    if inner:
        return any(_is_ours(found) for found in inner.values())
    return str(inspect.unwrap(command.callback).__module__).startswith(OURS)


def _rows(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.name in {"help", "install_completion", "show_completion"}:
            continue
        if parameter.param_type_name == "argument":
            name = f"`{parameter.name.upper()}{'…' if parameter.nargs == -1 else ''}`"
        else:
            name = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
            name += f" `{parameter.metavar}`" if parameter.metavar else ""
        meaning = (parameter.help or "").strip().replace("|", "\\|")
        yield f"| {name} | {meaning} | {_default(parameter)} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    if parameter.default in (None, ""):
        return "–"
    if isinstance(parameter.default, bool):
        return "on" if parameter.default else "off"
    return f"`{parameter.default}`"


def _help(text: str) -> str:
    """Return a help text as Markdown: paragraphs, and command lines as code."""
    said: list[str] = []
    code: list[str] = []
    for line in [*inspect.cleandoc(text).replace("\b\n", "").splitlines(), ""]:
        example = re.match(r"(?:Examples?|Then): +(debate .*)", line)
        if example or line.lstrip().startswith("debate "):
            # Two commands on one line stand wide apart.
            code += re.split(r" {3,}", example[1] if example else line.strip())
        elif line.strip() and not re.fullmatch(r"Examples?:", line.strip()):
            said += [*_block(code), line.strip()]
            code = []
        elif not line.strip() and not code:
            said.append("")
    return re.sub(r"\n{3,}", "\n\n", "\n".join([*said, *_block(code)])).strip()


def _block(code: list[str]) -> list[str]:
    return ["", "```bash", *code, "```", ""] if code else []


if __name__ == "__main__":
    print(reference_page(), end="")
