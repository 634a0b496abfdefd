"""YAML from a stranger: bounded in size, depth and number of nodes after aliases, without duplicate keys or recursion.

YAML lets ten lines of aliases stand for a billion nodes, lets a mapping name a key twice and keep the last, and lets a
value contain itself. All three are refused, with the line (agents/yaml_values.py). Where PyYAML was built with libyaml its
parser is used, which is ten times as quick. The two differ in corners (tabs, `?` and `:` in unquoted values between brackets): a
short text with one is read by PyYAML's own, a long one is refused, whichever of the two is there.
"""

import io
from pathlib import Path
from typing import Any

import yaml

from agents.errors import ConfigError
from agents.yaml_values import Builder, Doubtful, Refused

MAX_BYTES = 1_000_000
MAX_NODES = 10_000
# Of a config in a run folder, which has every key of every agent.
MAX_RECORD_BYTES = 64_000_000
MAX_RECORD_NODES = 2_000_000
# None where PyYAML was built without libyaml.
LIBYAML: Any = getattr(yaml, "CSafeLoader", None)
# Characters that PyYAML's own parser reads in less than a second.
SHORT = 100_000


def read_yaml(path: Path, *, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES) -> Any:
    """Return the plain data of a YAML file.

    Args:
        path: the file.
        max_bytes: limit on its size.
        max_nodes: limit on nodes after aliases, where the file has aliases.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: unreadable, too large, not YAML, or YAML that is refused; the message names file and line.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give a file in it")
    try:
        with path.open("rb") as file:
            # Of a device that never ends no more is read either.
            blob = file.read(max_bytes + 1)
        if len(blob) > max_bytes:
            raise ConfigError(
                f"{path}: larger than {max_bytes:,} bytes; a config of that size is a mistake or an attack"
            )
        text = io.TextIOWrapper(io.BytesIO(blob), encoding="utf-8").read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is no text in UTF-8; save it in this encoding if it is text, or name another"
        ) from error
    return parse_yaml(text, source=str(path), max_nodes=max_nodes)


def parse_yaml(text: str, *, source: str, max_nodes: int = MAX_NODES) -> Any:
    """Return the plain data of a YAML text; errors begin with the source.

    Raises:
        ConfigError: not YAML, or YAML that is refused.
    """
    try:
        # Control characters and halves of pairs, which the two parsers refuse at different places.
        yaml.reader.Reader(text)
        return _parsed(text, max_nodes)
    except Refused as error:
        raise ConfigError(f"{source}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {one_line(error)}") from error
    except (LookupError, TypeError, AttributeError) as error:
        # A tag such as !!bool or !!map before a value that is none.
        raise ConfigError(f"{source}: not YAML: a value does not have the form that its tag says") from error
    except (ValueError, OverflowError) as error:
        reason = one_line(error).partition(";")[0]
        raise ConfigError(f"{source}: a date that does not exist, or a number of too many digits: {reason}") from error


def tree_of(text: str) -> Any:
    """Return the nodes of a text that `parse_yaml` took, each with the place where it begins."""
    return yaml.compose(text, Loader=yaml.SafeLoader if len(text) <= SHORT or LIBYAML is None else LIBYAML)


def _parsed(text: str, max_nodes: int) -> Any:
    """Return the value of a text: of a short one as PyYAML's own parser reads it, of a long one where both parsers agree."""
    is_long = len(text) > SHORT
    if LIBYAML is not None:
        try:
            return Builder(max_nodes, is_strict=True).build(text, yaml.parse(text, Loader=LIBYAML))
        except (Doubtful, yaml.YAMLError):
            if is_long:
                raise
    return Builder(max_nodes, is_strict=is_long).build(text, yaml.parse(text, Loader=yaml.SafeLoader))


def one_line(error: Exception) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split())
