"""YAML from a stranger: bounded in size, depth and number of nodes after aliases, without duplicate keys or recursion.

YAML lets ten lines of aliases stand for a billion nodes, lets a mapping name a key twice and keep the last, and lets a
value contain itself. All three are refused, with the line, before anything is built.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from agents.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_NODES = 10_000


def read_yaml(path: Path, *, max_nodes: int | None = MAX_NODES) -> Any:
    """Return the plain data of a YAML file.

    Args:
        path: the file.
        max_nodes: limit on nodes after aliases, where the file has aliases; None for a file that this program wrote.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: unreadable, too large, not YAML, or YAML that is refused; the message names file and line.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give a file in it")
    try:
        if path.stat().st_size > MAX_BYTES and max_nodes is not None:
            raise ConfigError(
                f"{path}: larger than {MAX_BYTES:,} bytes; a config of that size is a mistake or an attack"
            )
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is no text in UTF-8; save it in this encoding if it is text, or name another"
        ) from error
    return parse_yaml(text, source=str(path), max_nodes=max_nodes)


def parse_yaml(text: str, *, source: str, max_nodes: int | None = MAX_NODES) -> Any:
    """Return the plain data of a YAML text; errors begin with the source.

    Raises:
        ConfigError: not YAML, or YAML that is refused.
    """
    try:
        _check_size(text, max_nodes)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except _Refused as error:
        raise ConfigError(f"{source}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {one_line(error)}") from error
    except (LookupError, TypeError, AttributeError) as error:
        # A tag such as !!bool or !!map before a value that is none.
        raise ConfigError(f"{source}: not YAML: a value does not have the form that its tag says") from error
    except (ValueError, OverflowError) as error:
        reason = one_line(error).partition(";")[0]
        raise ConfigError(f"{source}: a date that does not exist, or a number of too many digits: {reason}") from error


def one_line(error: Exception) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split())


class _Refused(Exception):
    pass


def _check_size(text: str, max_nodes: int | None) -> None:
    """Refuse depth, recursion and the nodes that aliases stand for, from the events alone: nothing is built."""
    open_at: list[tuple[str | None, int]] = []
    sizes: dict[str, int] = {}
    total, aliased = 0, False
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_at):
                raise _Refused(f"line {line}: the alias *{event.anchor} stands inside what it names")
            total += sizes.get(str(event.anchor), 1)
            aliased = True
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(open_at) == MAX_DEPTH:
                raise _Refused(f"line {line}: nested deeper than {MAX_DEPTH} levels")
            open_at.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_at.pop()
            if anchor:
                sizes[anchor] = total - before
        if aliased and max_nodes is not None and total > max_nodes:
            raise _Refused(f"line {line}: aliases stand for more than {max_nodes:,} values; write fewer of them out")


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses a key written twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping whose keys differ; those that a merge (`<<`) brings may be replaced."""
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise _Refused(f"line {line}: a key is a name or a number, not a {type(key).__name__}")
            if key in lines:
                raise _Refused(f"line {line}: the key {key!r} is already there, on line {lines[key]}; keep one")
            lines[key] = line
        return super().construct_mapping(node, deep=deep)
