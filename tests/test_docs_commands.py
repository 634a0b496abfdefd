"""Every `debate` command of every page is one that the command line takes: its name, its options, their values."""

import re
import shlex

import pytest
from support.pages import FENCE, INDENTED, PAGES, blocks, command_lines, name
from typer.main import get_command

from debate.cli.app import app

# What stands for something that a reader puts there, or for the end of a command.
STANDS_FOR = {"…", "...", "COMMAND"}
REDIRECTED = re.compile(r"\s(?:\d?>|\||&&).*$")
COMMAND_LINE = get_command(app)
INLINE = re.compile(r"`debate ([^`]+)`")


def refused(line, *, is_whole=True):
    """Return why the command line would not take a command, or None; one that is not whole may leave arguments out."""
    if not is_whole:
        # What may be left out, in brackets.
        line = re.sub(r"\[(--[^\]]+)\]", r"\1", line)
    words = [word for word in shlex.split(REDIRECTED.sub("", line)) if word not in STANDS_FOR]
    command, path = COMMAND_LINE, ["debate"]
    while hasattr(command, "commands"):
        known = {name for option in command.params for name in option.opts} | {"--help", "-h"}
        while words and words[0].startswith("-"):
            if words[0] not in known:
                return f"{' '.join(path)}: no option {words[0]}"
            words.pop(0)
            is_whole = False
        if not words:
            return f"{' '.join(path)}: no command" if is_whole else None
        if words[0] not in command.commands:
            return f"{' '.join(path)}: no command {words[0]!r}"
        path.append(words[0])
        command = command.commands[words.pop(0)]
    try:
        command.make_context(" ".join(path), words).close()
    except SystemExit as ended:
        return f"ended with {ended.code}" if ended.code else None
    except Exception as error:
        if not is_whole and type(error).__name__ in {"MissingParameter", "BadOptionUsage"}:
            return None
        return f"{type(error).__name__}: {getattr(error, 'message', error)}"
    return None


def commands(page):
    """Yield the commands of a page's blocks, with the line of the block, and those in its text."""
    for block in blocks(page):
        if block.language in {"", "bash", "sh", "console"}:
            yield from ((block.line, line) for line in command_lines(block.text))


WITH_COMMANDS = [page for page in PAGES if any(True for _ in commands(page))]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_every_command_is_taken(page):
    found = {f"line {line}: {command}": reason for line, command in commands(page) if (reason := refused(command))}
    assert found == {}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_in_a_sentence_is_taken(page):
    text = INDENTED.sub("", FENCE.sub("", page.read_text(encoding="utf-8"))).replace("\\|", "|")
    said = [" ".join(found.split()) for found in INLINE.findall(text)]
    assert {command: reason for command in said if (reason := refused(command, is_whole=False))} == {}


def test_what_is_not_taken_is_found():
    assert len(WITH_COMMANDS) >= 15
    assert refused("eval smoke --limit 4") is None
    assert refused("--quiet eval smoke") is None
    assert "no command 'evaluate'" in refused("evaluate smoke")
    assert "--limits" in refused("eval smoke --limits 4")
    assert "valid integer" in refused("eval smoke --limit four")
    assert "Missing" in refused("eval --limit 4")
    assert refused("eval … --limit 4", is_whole=False) is None
    assert refused("config reference > docs/config.md") is None
    assert "--loud" in refused("--loud eval smoke")
