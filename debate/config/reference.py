"""The keys of a config as data, made from its models: a JSON Schema for editors, and the tables of docs/config.md.

The schema describes what a file may hold, which is a little more than the models hold: `templates`, groups of agents and a
topology's file are replaced by what they stand for when a config is loaded.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

from debate.config.examples import EXAMPLES
from debate.config.flow import flow
from debate.config.schema import DebateConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Section of the page → the definition whose keys it lists; "" is the file itself.
SECTIONS = {
    "The debate": "",
    "An agent: `agents.NAME`": "AgentConfig",
    "The topology: `topology`": "TopologyConfig",
    "An edge: `topology.edges[]`": "EdgeConfig",
    "A graph for some rounds: `topology.schedule[]`": "ScheduleConfig",
    "Execution: `execution`": "ExecutionConfig",
    "Engines on Ray: `execution.engines.MODEL`": "EngineConfig",
}
INTRODUCTION = """# Config reference

Every key that a config file may have. This page is made from the models in `debate/config/` by `debate config reference`; the
same models give the JSON Schema that `debate config schema` prints. An editor with the YAML language server completes and
checks a config whose first line names that schema, as those of the shipped configs do:

```yaml
# yaml-language-server: $schema=schema.json
```

`debate config show FILE` prints a config with every default filled in and says where each value comes from. A key is overridden
on the command line by `--set`, e.g. `--set agents.ada.temperature=0.2`. An unknown key is an error.
"""
ROUNDS: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "array", "items": {"type": ["integer", "null"], "minimum": 1}, "minItems": 1, "maxItems": 2},
    ]
}
# What a file may hold besides the models' own keys, by definition.
WRITTEN: dict[str, dict[str, Any]] = {
    "": {
        "templates": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/AgentConfig"},
            "description": "Keys that agents share, by a name of your choice; an agent takes them by `like`.",
            "default": {},
        }
    },
    "AgentConfig": {
        "like": {
            "type": "string",
            "description": "Template whose keys the agent takes; its own keys replace them.",
            "default": None,
        },
        "count": {
            "type": "integer",
            "minimum": 1,
            "description": "Number of agents in a group: NAME1, NAME2, … with the same keys.",
            "default": None,
        },
    },
    "TopologyConfig": {
        "file": {
            "type": "string",
            "description": "GraphML, node-link JSON or YAML file of nodes (agents) and edges, relative to the config.",
            "default": None,
        }
    },
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a config file."""
    schema = DebateConfig.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs")
    for name, keys in WRITTEN.items():
        (definitions[name] if name else schema)["properties"].update(copy.deepcopy(keys))
    for name in ("EdgeConfig", "ScheduleConfig"):
        rounds = definitions[name]["properties"]["rounds"]
        optional = [{"type": "null"}] if "default" in rounds else []
        rounds["anyOf"] = [*ROUNDS["anyOf"], *optional]
        for key in ("type", "maxItems", "minItems", "prefixItems"):
            rounds.pop(key, None)
    temperature = definitions["AgentConfig"]["properties"]["temperature"]
    number = {key: temperature.pop(key) for key in ("type", "minimum", "maximum")}
    temperature["anyOf"] = [number, {"type": "array", "items": number, "minItems": 1}]
    temperature["description"] += " A group takes `[lowest, highest]`, evenly spread, or one for each member."
    # Nodes of a topology's file are agents too.
    schema["anyOf"] = [
        {"required": schema.pop("required")},
        {"required": ["topology"], "properties": {"topology": {"type": "object", "required": ["file"]}}},
    ]
    _add_examples(schema, definitions)
    definitions["Method"] = _method(schema)
    schema["properties"]["methods"]["additionalProperties"] = {"$ref": "#/$defs/Method"}
    return {"$schema": DIALECT, "title": "A cipher-debate config", **_without_titles(schema), "$defs": definitions}


def schema_text() -> str:
    """Return the JSON Schema as the text of a file."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def reference_page() -> str:
    """Return docs/config.md: every key with its type, default, meaning and an example."""
    schema = json_schema()
    parts = [INTRODUCTION]
    for title, name in SECTIONS.items():
        section = schema["$defs"][name] if name else schema
        needed = section.get("required", ["agents"] if not name else [])
        rows = ["| key | type | default | meaning | example |", "|---|---|---|---|---|"]
        for key, found in section["properties"].items():
            default = "needed" if key in needed else _default(found)
            cells = (f"`{key}`", _type(found), default, found["description"], f"`{key}: {flow(found['examples'][0])}`")
            rows.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
        parts.append(f"## {title}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _add_examples(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> None:
    """Add an example to every key: one written down, else its first choice, else its default."""
    for name, examples in EXAMPLES.items():
        for key, found in (definitions[name] if name else schema)["properties"].items():
            choices: list[Any] = next((kind["enum"] for kind in _kinds(found) if "enum" in kind), [])
            known = [examples[key]] if key in examples else choices or [found.get("default")]
            found["examples"] = known[:1]


def _method(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a method: any key of the config but `methods` and `templates`; null removes a mapping."""
    keys = {
        key: {"anyOf": [found, {"type": "null"}]}
        for key, found in copy.deepcopy(schema["properties"]).items()
        if key not in ("methods", "templates")
    }
    agents = {"type": "object", "additionalProperties": {"anyOf": [{"$ref": "#/$defs/AgentConfig"}, {"type": "null"}]}}
    keys["agents"] = {"anyOf": [agents, {"type": "null"}]}
    return {"type": "object", "properties": keys, "additionalProperties": False}


def _without_titles(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without the title that repeats its model's name."""
    return {key: value for key, value in schema.items() if key != "title"}


def _kinds(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the alternatives of a key's type."""
    return list(found.get("anyOf", [found]))


def _type(found: Mapping[str, Any]) -> str:
    """Return a key's type in words."""
    words = [_one_type(kind) for kind in _kinds(found) if kind.get("type") != "null"]
    return " or ".join(dict.fromkeys(words))


def _one_type(kind: Mapping[str, Any]) -> str:
    if "$ref" in kind:
        return str(kind["$ref"]).rpartition("/")[2].removesuffix("Config").lower() + " (below)"
    if "enum" in kind:
        return ", ".join(f"`{choice}`" for choice in kind["enum"])
    match kind.get("type"):
        case "string":
            return "text"
        case "boolean":
            return "`true` or `false`"
        case "integer" | "number":
            return _bounds("whole number" if kind["type"] == "integer" else "number", kind)
        case "array":
            items = _type(kind["items"])
            return f"list of {items}s" if items == "text" else f"list of {items.partition(' ≥')[0]}"
        case "object":
            inner = kind.get("additionalProperties")
            return f"mapping of name to {_type(inner)}" if isinstance(inner, Mapping) and inner else "mapping"
        case list() as types:
            return _one_type({**kind, "type": next(name for name in types if name != "null")})
    return "any value"


def _bounds(word: str, kind: Mapping[str, Any]) -> str:
    marks = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{mark} {_number(kind[name])}" for name, mark in marks.items() if name in kind]
    return " ".join([word, *([", ".join(limits)] if limits else [])])


def _number(value: float) -> str:
    return "2⁶³" if value == 2**63 else f"{value:,}".removesuffix(".0")


def _default(found: Mapping[str, Any]) -> str:
    default = found.get("default", {})
    if default is None:
        return "–"
    return "see below" if default and isinstance(default, dict) else f"`{json.dumps(default, ensure_ascii=False)}`"
