"""Where each value of a config comes from: a line of its file, a template, a topology file, an override, or the default."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agents.yaml_file import read_yaml, tree_of
from debate.config.flow import flow
from debate.config.load import parse_override, read_config, validate
from debate.config.schema import DebateConfig
from debate.config.shipped import find_config
from debate.config.topology_file import read_topology_file

Keys = tuple[str, ...]
DEFAULT = "default"
MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Sourced:
    """A checked config, and the sources of its values.

    Attributes:
        config: the config, as `load_config` returns it.
        raw: the file's data with overrides and the topology file in it.
        written: key path → where it was written; of what is not there the default holds.
    """

    config: DebateConfig
    raw: Mapping[str, Any]
    written: Mapping[Keys, str]

    def source(self, *keys: str) -> str:
        """Return where the value of a key path comes from."""
        for place, words in self._places(keys):
            if place in self.written:
                return self.written[place] + words
        return DEFAULT

    def text(self) -> str:
        """Return the resolved config as YAML, the source of each value behind it; it loads as the same config."""
        values = self.config.model_dump(mode="json", by_alias=True)
        # Keys that a run's copy leaves out where they are at their default are shown all the same.
        every = {key: values.get(key, getattr(self.config, key)) for key in DebateConfig.model_fields}
        lines = list(self._lines(every, ()))
        width = min(max((len(line) for line, source in lines if source), default=0), 60)
        return "\n".join(f"{line:<{width}}  # {source}" if source else line for line, source in lines) + "\n"

    def _lines(self, values: Mapping[str, Any], parents: Keys) -> Iterator[tuple[str, str]]:
        for key, value in values.items():
            name = "  " * len(parents) + flow(str(key))
            if isinstance(value, Mapping) and value:
                yield f"{name}:", ""
                yield from self._lines(value, (*parents, str(key)))
            else:
                yield f"{name}: {flow(value)}", self.source(*parents, str(key))

    def _places(self, keys: Keys) -> Iterator[tuple[Keys, str]]:
        """Yield where a value may have been written, nearest first, with what to say of it."""
        yield keys, ""
        if keys == ("dtype",):
            yield ("options", "dtype"), ""
        if keys[:1] != ("agents",) or len(keys) < 3:
            return
        name, rest = keys[1], keys[2:]
        agents = self.raw.get("agents") or {}
        group = self.config.agents[name].group
        base = name if name in agents or group is None else next((n for n in agents if _is_member(name, n)), name)
        if base != name:
            yield ("agents", base, *rest), f", group {base}"
            if rest == ("group",):
                yield ("agents", base, "count"), f", group {base}"
        written = agents.get(base)
        template = written.get("like") if isinstance(written, Mapping) else None
        if template is not None:
            yield ("templates", str(template), *rest), f", template {template}"


def load_sourced(config: Path | str, overrides: Sequence[str] = ()) -> Sourced:
    """Return a config with the sources of its values.

    Args:
        config, overrides: see `load_config`.

    Raises:
        ConfigError: see `load_config`.
    """
    path = find_config(Path(config))
    raw = read_config(path, overrides)
    checked = validate(raw, source=str(path))
    written = {keys: f"{path.name}:{line}" for keys, line in _lines_of(path).items()}
    for override in overrides:
        keys, value = parse_override(override)
        # What is set whole is nowhere written any more.
        written = {place: source for place, source in written.items() if place[: len(keys)] != keys}
        written |= dict.fromkeys(_paths(value, keys), f"command line, {'.'.join(keys)}")
    _add_topology_file(written, raw, path, overrides)
    return Sourced(checked, raw, written)


def _add_topology_file(written: dict[Keys, str], raw: Mapping[str, Any], path: Path, overrides: Sequence[str]) -> None:
    """Add what a topology file wrote of agents and edges, where the config did not write it itself."""
    named = _topology_file(path, overrides)
    if named is None:
        return
    file = Path(os.path.expanduser(named))
    agents, edges = read_topology_file(file if file.is_absolute() else path.parent / file)
    for keys in _paths(agents, ("agents",)):
        written.setdefault(keys, file.name)
    if edges:
        own = written.get(("topology", "edges"))
        written["topology", "edges"] = f"{file.name} and {own}" if own else file.name


def _topology_file(path: Path, overrides: Sequence[str]) -> str | None:
    """Return the topology file that a config names, by itself or by an override."""
    topology = read_yaml(path).get("topology")
    named = topology.get("file") if isinstance(topology, dict) else None
    for override in overrides:
        keys, value = parse_override(override)
        if keys == ("topology",):
            named = value.get("file") if isinstance(value, dict) else None
        elif keys == ("topology", "file"):
            named = value
    return None if named is None else str(named)


def _paths(value: Any, keys: Keys) -> Iterator[Keys]:
    """Yield a value's own key path, and those of everything in it."""
    yield keys
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _paths(inner, (*keys, str(key)))


def _lines_of(path: Path) -> dict[Keys, int]:
    """Return key path → line of a YAML file that was read before, and so is known to be bounded."""
    found: dict[Keys, int] = {}
    node = tree_of(path.read_text(encoding="utf-8"))

    def walk(node: Any, keys: Keys) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        merged = [value for key, value in node.value if key.tag == MERGE]
        for key, value in node.value:
            if key.tag != MERGE:
                found.setdefault((*keys, str(key.value)), key.start_mark.line + 1)
                walk(value, (*keys, str(key.value)))
        for value in merged:
            for one in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                walk(one, keys)

    walk(node, ())
    return found


def _is_member(name: str, group: str) -> bool:
    return name.removeprefix(group).isdigit() and name.startswith(group)
