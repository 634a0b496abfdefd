"""The page of the command line is current, and every help text is a sentence that stands alone."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from debate.cli.app import app
from debate.cli.reference import reference_page

DOCS = Path(__file__).parents[3] / "docs"


OF_TYPER = {"--help", "--install-completion", "--show-completion"}


def walk(command, path="debate"):
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, f"{path} {name}")


COMMANDS = dict(walk(get_command(app)))


def test_the_page_is_current():
    assert (DOCS / "cli.md").read_text() == reference_page(), (
        "make it again: python -m debate.cli.reference > docs/cli.md"
    )


def test_the_page_has_every_command_and_option():
    page = reference_page()
    for path, command in COMMANDS.items():
        section = re.search(rf"^##+ `{path}`\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)[1]
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        assert {option for option in options - OF_TYPER if f"`{option}`" not in section} == set()


# A help text that begins so is a riddle: a fragment that leans on the name beside it, or an answer without its question.
RIDDLES = re.compile(
    r"(?i)(?:of|most|above|below|beside|which|whose|where|how|in all|the same|as|for|from|with|by|not|and|or|but)\b"
)


def riddles(text):
    """Return why a help text does not stand alone."""
    found = []
    if not text:
        return ["it is empty"]
    if RIDDLES.match(text):
        found.append("it begins as a fragment")
    if not re.match(r"[A-Z]|[a-z0-9]+[,:=/ .]|KEY|`", text):
        found.append("it does not begin like a sentence")
    return found


def test_riddles_are_found():
    for text in (
        "Of the belief; 0 is greedy.",
        "Most questions.",
        "Above the picture.",
        "How many agents.",
        "",
        "Which task.",
    ):
        assert riddles(text), text
    assert riddles("Maximum number of questions.") == []


@pytest.mark.parametrize("path", COMMANDS, ids=str)
def test_every_help_text_stands_alone(path):
    command = COMMANDS[path]
    texts = {
        "": (command.help or "").split("\n\n")[0],
        **{p.name: p.help for p in command.params if hasattr(p, "help")},
    }
    assert {name: why for name, text in texts.items() if (why := riddles((text or "").strip()))} == {}
    # What a command does is a whole sentence: a verb first, a full stop last.
    first = " ".join(texts[""].split())
    assert first.endswith((".", ":")), first
