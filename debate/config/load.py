"""A config file, or a plain mapping, as a checked config; errors name the file and the key path."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from agents.errors import ConfigError
from agents.secrets import refuse_secrets, refuse_secrets_anywhere
from agents.yaml_file import MAX_RECORD_BYTES, MAX_RECORD_NODES, parse_yaml, read_yaml
from agents.yaml_values import MAX_DEPTH
from debate.config.execution import EngineConfig, ExecutionConfig
from debate.config.paths import check_paths, find_file, with_paths
from debate.config.schema import AgentConfig, DebateConfig
from debate.config.shipped import find_config, nearest, shipped
from debate.config.topology import EdgeConfig, ScheduleConfig, TopologyConfig
from debate.config.topology_file import read_topology_file
from kernels.names import did_you_mean, unknown

# Methods that need not be written down to be changed.
UNWRITTEN = ("single", "text", "cipher")


def load_config(config: Path | str, overrides: Sequence[str] = (), *, is_record: bool = False) -> DebateConfig:
    """Return the config in a YAML file, with `key.path=value` overrides applied.

    Args:
        config: a file, or the name of a shipped one: `smoke`, `topologies/teams`.
        overrides: changes as `--set` takes them, e.g. `agents.ada.temperature=0.2`.
        is_record: whether the file records an earlier run, so that paths in it need not exist any more.

    Raises:
        ConfigError: file and key path, what was given, what is allowed.
    """
    path = find_config(Path(config))
    return validate(read_config(path, overrides, is_record=is_record), source=str(path))


def read_config(path: Path, overrides: Sequence[str] = (), *, is_record: bool = False) -> dict[str, Any]:
    """Return the plain data of a config file with overrides, its topology file and its paths found, not yet checked.

    Args:
        path: the file.
        overrides, is_record: see `load_config`.

    Raises:
        ConfigError: no such file, not YAML, no mapping, an override that does not fit, or a path that leads nowhere.
    """
    try:
        raw = read_yaml(path, max_bytes=MAX_RECORD_BYTES, max_nodes=MAX_RECORD_NODES) if is_record else read_yaml(path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"no config file {path}.{nearest(path)} Shipped ones: {', '.join(shipped()) or 'none found'}."
        ) from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a config is a mapping of keys to values; this is a {type(raw).__name__}")
    for override in overrides:
        # A topology file's nodes are agents too.
        raw = _override(raw, override, known=_with_file(raw, path.parent))
    # Before a path that is not found is repeated: the topology file's own, and those in it.
    refuse_keys(raw, source=str(path))
    whole = _with_file(raw, path.parent)
    if whole is not raw:
        refuse_keys(whole, source=str(path))
    raw = whole
    if not is_record:
        raw = with_paths(raw, path.parent)
        check_paths(raw, path.parent, source=str(path))
    return raw


def validate(raw: Mapping[str, Any], *, source: str) -> DebateConfig:
    """Return the config of a plain mapping; errors name the source and the key path.

    Raises:
        ConfigError: a mistake, or a key of a server in it: a config is copied into run folders.
    """
    # Before anything else, so that no other mistake is explained by repeating the key.
    refuse_keys(raw, source=source)
    try:
        config = DebateConfig.model_validate(raw)
    except ValidationError as error:
        details = error.errors()
        if isinstance(raw.get("topology"), Mapping):
            # A mapping was meant: that it is no name either says nothing.
            details = [detail for detail in details if detail["loc"][-1:] != ("str",)]
        raise ConfigError("\n".join(dict.fromkeys(_explain(source, raw, detail) for detail in details))) from error
    # Of keys that take anything: the others are told by their types.
    _check_plain(raw, source)
    return config


def _check_plain(value: Any, where: str, depth: int = 0) -> None:
    """Refuse values that the file of a run folder would hold as others: not finite, dates, bytes, sets.

    Raises:
        ConfigError: there is one, or the values are nested too deep.
    """
    if depth > MAX_DEPTH:
        raise ConfigError(f"{where[:200]}…: nested deeper than {MAX_DEPTH} levels")
    separator = ": " if depth == 0 else "."
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_plain(inner, f"{where}{separator}{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            _check_plain(inner, f"{where}{separator}{place}", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: a finite number is needed; got {value!r}")
    elif isinstance(value, date | bytes | set):
        kind = "a date" if isinstance(value, date) else f"of the type {type(value).__name__}"
        raise ConfigError(f"{where}: {str(value)[:60]!r} is {kind}, which no key takes; for a text, put it into quotes")


def refuse_keys(values: Mapping[str, Any], *, source: str) -> None:
    """Raise ConfigError where what is about to be written down holds a key of a server; the key is not repeated.

    Args:
        values: a config, or what else was asked for.
        source: beginning of the message.
    """
    _refuse_in_options(values, source)
    refuse_secrets_anywhere(values, where=source)


def to_yaml(config: DebateConfig) -> str:
    """Return the resolved config as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False)


def _with_file(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the config with the topology file that it names read into it: nodes as agents, edges before its own."""
    topology = raw.get("topology")
    if isinstance(topology, str) and topology.endswith((".graphml", ".json", ".yaml", ".yml")):
        raise ConfigError(f"topology: {topology} looks like a file; write it as `topology: {{file: {topology}}}`")
    if not isinstance(topology, dict) or "file" not in topology:
        return raw
    path, looked = find_file(str(topology["file"]), folder)
    if path is None:
        raise ConfigError(
            f"cannot read the topology {topology['file']}: no such file. Looked for: {', '.join(map(str, looked))}."
        )
    agents, edges = read_topology_file(path)
    own = raw.get("agents") or {}
    rest = {key: value for key, value in topology.items() if key != "file"}
    named = merged(agents, own) if isinstance(own, Mapping) else own
    return {**raw, "agents": named, "topology": {**rest, "edges": [*edges, *(rest.get("edges") or [])]}}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return base with changes, mapping by mapping; a change to null removes the key."""
    found = dict(base)
    for key, value in changes.items():
        if value is None and isinstance(found.get(key), dict):
            del found[key]
        elif isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            found[key] = merged(found[key], value)
        else:
            found[key] = value
    return found


def parse_override(override: str) -> tuple[tuple[str, ...], Any]:
    """Return the key path and the value of `key.path=value`.

    Raises:
        ConfigError: it is no such text.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: write key.path=value, e.g. --set agents.ada.temperature=0.2")
    if key.count(".") >= MAX_DEPTH:
        raise ConfigError(f"--set {override[:60]!r}…: nested deeper than {MAX_DEPTH} levels")
    return tuple(key.strip().split(".")), parse_yaml(text, source=f"--set {override!r}")


def _override(raw: dict[str, Any], override: str, *, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return a raw config with one override applied; `known` is the config whose agents it may name.

    Raises:
        ConfigError: no `key.path=value`, or of an agent, template or method that is not there.
    """
    (*parents, last), value = parse_override(override)
    raw = copy.deepcopy(raw)
    place = raw
    for depth, parent in enumerate(parents):
        if depth == 1:
            _check_name(override, parents[0], parent, known)
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {override!r}: {parent} is not a mapping")
    place[last] = value
    return raw


def _check_name(override: str, kind: str, name: str, config: Mapping[str, Any]) -> None:
    """Refuse to change a key of an agent, template or method that the config does not have: it is misspelt."""
    if kind not in ("agents", "templates", "methods"):
        return
    known = config.get(kind)
    names = [str(key) for key in known] if isinstance(known, Mapping) else []
    if kind == "methods":
        names += [method for method in UNWRITTEN if method not in names]
    meant = did_you_mean(name, names)
    if name in names or (kind == "methods" and not meant):
        return
    group = name.rstrip("0123456789")
    if isinstance(known, Mapping) and isinstance(known.get(group), Mapping) and "count" in known[group]:
        raise ConfigError(
            f"--set {override!r}: {name} is one of the group {group}; set {kind}.{group}.… for all of them"
        )
    raise ConfigError(
        f"--set {override!r}: {kind} has no {name!r}. Known: {', '.join(names) or 'none'}.{meant} To add one, set it whole: "
        f"--set '{kind}.{name}={{…}}'"
    )


def _refuse_in_options(raw: Mapping[str, Any], source: str) -> None:
    for path, found in _options(raw):
        refuse_secrets(found, where=f"{source}: {path}")


def _options(raw: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every mapping of backend options in a raw config, of agents, templates and methods too."""
    if not isinstance(raw, Mapping):
        return
    for key, value in raw.items():
        where = f"{path}.{key}" if path else str(key)
        if key == "options" and isinstance(value, Mapping):
            yield where, value
        else:
            yield from _options(value, where)


def _explain(source: str, raw: Mapping[str, Any], detail: Any) -> str:
    # Of a choice between kinds pydantic names the kind tried as well; the file has no such key.
    kinds = ("str", "TopologyConfig", "tuple[str, ...]")
    place = [part for part in detail["loc"] if part not in kinds]
    if place[:1] == ["agents"] and len(place) > 1 and place[1] not in (raw.get("agents") or {}):
        # A member of a group: the file has the group's name.
        place[1] = str(place[1]).rstrip("0123456789")
    where = ".".join(str(part) for part in place)
    if detail["type"] == "extra_forbidden":
        *parents, key = place
        model = _model_at(parents)
        known = [field.alias or name for name, field in model.model_fields.items()]
        return f"{source}: {where}: {unknown('key', str(key), known)}"
    if detail["type"] == "missing":
        return f"{source}: {where}: this key is needed"
    given = detail.get("input")
    reason = detail["msg"].removeprefix("Value error, ")
    if not where:
        return f"{source}: {reason}"
    return f"{source}: {where}: {reason}; got {given!r}"


def _model_at(parents: Sequence[Any]) -> type[BaseModel]:
    match [part for part in parents if isinstance(part, str)]:
        case ["agents", *_]:
            return AgentConfig
        case ["execution", "engines", *_]:
            return EngineConfig
        case ["execution", *_]:
            return ExecutionConfig
        case ["topology", "edges", *_]:
            return EdgeConfig
        case ["topology", "schedule", *_]:
            return ScheduleConfig
        case ["topology", *_]:
            return TopologyConfig
    return DebateConfig
