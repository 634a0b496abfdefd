"""The command line. Commands import what they need when they run, so `debate --help` is quick."""

from debate.cli.app import main

__all__ = ["main"]
