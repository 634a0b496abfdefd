"""The command line. Commands import what they need when they run, so `debate --help` is quick."""

from debate.cli.clashes import refuse_hidden

# Before anything of a package of that name is imported.
refuse_hidden()

from debate.cli.app import main  # noqa: E402

__all__ = ["main"]
