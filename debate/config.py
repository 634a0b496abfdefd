"""What a debate is, as data: one frozen model, unknown keys refused, validated once at the edge.

A config file is YAML. `--set a.b=c` overrides one key. `methods` holds, for `debate eval`, what each row of the table
changes; `single`, `text` and `cipher` are known without being written.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agents.errors import ConfigError, did_you_mean

BUILT_IN_METHODS: dict[str, dict[str, Any]] = {
    "single": {"rounds": 1, "message": "text"},
    "text": {"message": "text"},
    "cipher": {"message": "cipher"},
}


class Frozen(BaseModel):
    """Base of every config: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentConfig(Frozen):
    """One debater. What is not set here is taken from the debate."""

    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Of its belief, softmax(z / temperature); 0 is greedy."""
    encoder: str | None = None
    """How its beliefs become vectors; only in CIPHER debates."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus of sampled text."""
    top_k: int | None = Field(default=None, ge=1)
    """Most probable tokens of sampled text."""
    prompts: str | None = None
    """Another folder of prompt files: a name under configs/prompts, or a path."""
    backend: str | None = None
    """Another backend."""
    model: str | None = None
    """Another model."""


class DebateConfig(Frozen):
    """A debate, and what `debate eval` compares it with."""

    backend: str = "transformers"
    """A registered backend, or a dotted path."""
    model: str = "smollm2"
    """`smollm2`, a hub id, or a local folder."""
    dtype: str = "bfloat16"
    """`bfloat16`, `float32` or `float16`."""
    options: dict[str, Any] = {}
    """The backend's own options, e.g. max_num_seqs."""
    task: str = "arithmetic"
    """A registered task."""
    prompts: str | None = None
    """Folder of prompt files: a name under configs/prompts, or a path; the task's own by default."""
    format: Literal["auto", "chat", "plain"] = "auto"
    """Chat template, plain text, or whichever the model has."""
    agents: dict[str, AgentConfig] = Field(min_length=1)
    """Name → debater, in the order in which they are heard."""
    topology: str = "complete"
    """Who hears whom."""
    rounds: int = Field(default=3, ge=1)
    """Turns of each agent in all; the paper's 3 rounds are one initial answer and two of debate."""
    message: Literal["text", "cipher"] = "cipher"
    """What agents send each other."""
    encoder: str = "expectation"
    """How beliefs become vectors."""
    top_beliefs: int = Field(default=8, ge=0)
    """Tokens of each belief that a CIPHER message keeps, for reading and for receivers with another table."""
    max_tokens: int = Field(default=128, ge=1)
    """Most steps of one message."""
    stop: tuple[str, ...] = ()
    """Strings that end a message where they begin."""
    decision: str = "lowest_temperature"
    """How the transcript becomes an answer."""
    seed: int = Field(default=0, ge=0)
    """Of everything that is drawn."""
    methods: dict[str, dict[str, Any]] = {}
    """Method → keys that differ, for `debate eval`."""

    @field_validator("agents")
    @classmethod
    def _names(cls, agents: dict[str, AgentConfig]) -> dict[str, AgentConfig]:
        for name in agents:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"agent name {name!r}: use letters, digits, - and _")
        return agents

    @property
    def deciding_agent(self) -> str:
        """The agent of the lowest temperature, the first of equals: the paper's answer, chosen before the debate."""
        return min(self.agents, key=lambda name: self.agents[name].temperature)


def load_config(path: Path, overrides: Sequence[str] = ()) -> DebateConfig:
    """Return the config in a YAML file, with `key.path=value` overrides applied.

    Raises:
        ConfigError: file and key path, what was given, what is allowed.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"no config file {path}. Shipped ones: {', '.join(shipped()) or 'none found'}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {_one_line(error)}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a config is a mapping of keys to values; this is a {type(raw).__name__}")
    for override in overrides:
        _override(raw, override)
    return validate(raw, source=str(path))


def validate(raw: Mapping[str, Any], *, source: str) -> DebateConfig:
    """Return the config of a plain mapping; errors name the source and the key path."""
    try:
        return DebateConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(source, raw, detail) for detail in error.errors())) from error


def method_names(config: DebateConfig) -> tuple[str, ...]:
    """Return the methods of a config: those it writes down, or the built-in ones."""
    return tuple(config.methods) or tuple(BUILT_IN_METHODS)


def method_config(config: DebateConfig, method: str) -> DebateConfig:
    """Return the debate that a method plays.

    `single` keeps only the agent whose answer would count, for one round.
    """
    known = {**BUILT_IN_METHODS, **config.methods}
    if method not in known:
        raise ConfigError(f"unknown method {method!r}. Known: {', '.join(known)}.{did_you_mean(method, known)}")
    raw = config.model_dump(exclude={"methods"})
    for changes in (BUILT_IN_METHODS.get(method, {}), config.methods.get(method, {})):
        raw = _merged(raw, changes)
    changed = validate(raw, source=f"methods.{method}")
    if method == "single":
        name = changed.deciding_agent
        changed = changed.model_copy(update={"agents": {name: changed.agents[name]}})
    return changed


def to_yaml(config: DebateConfig) -> str:
    """Return the resolved config as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def configs_folder() -> Path:
    """Return the folder of shipped configs and prompts: beside the sources, or inside an installed package."""
    here = Path(__file__).resolve().parent
    beside = here.parent / "configs"
    return beside if beside.is_dir() else here / "shipped_configs"


def shipped() -> list[str]:
    """Return the names of the shipped config files."""
    return sorted(path.name for path in configs_folder().glob("*.yaml"))


def find_config(name: Path) -> Path:
    """Return the file of a path, or of a shipped config's name or path (`configs/x.yaml`, `x.yaml`, `x`)."""
    if name.exists():
        return name
    for candidate in (configs_folder() / name.name, configs_folder() / f"{name.name}.yaml"):
        if candidate.is_file() and name.parent in (Path(), Path("configs")):
            return candidate
    return name


def prompts_folder(name: str) -> Path:
    """Return the folder of a prompt set: a path, or a name under configs/prompts."""
    return Path(name) if "/" in name else configs_folder() / "prompts" / name


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return base with changes, mapping by mapping; a change to null removes the key."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None and isinstance(merged.get(key), dict):
            del merged[key]
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _override(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: write key.path=value, e.g. --set agents.ada.temperature=0.2")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not YAML: {_one_line(error)}") from error
    *parents, last = key.strip().split(".")
    place = raw
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {override!r}: {parent} is not a mapping")
    place[last] = value


def _explain(source: str, raw: Mapping[str, Any], detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        *parents, key = detail["loc"]
        model: type[BaseModel] = AgentConfig if parents[:1] == ["agents"] else DebateConfig
        known = list(model.model_fields)
        return f"{source}: {where}: unknown key {key!r}. Known: {', '.join(known)}.{did_you_mean(str(key), known)}"
    if detail["type"] == "missing":
        return f"{source}: {where}: this key is needed"
    given = detail.get("input")
    return f"{source}: {where}: {detail['msg'].removeprefix('Value error, ')}; got {given!r}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
