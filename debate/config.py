"""What a debate is, as data: one frozen model, unknown keys refused, validated once at the edge.

A config file is YAML. `--set a.b=c` overrides one key. `methods` holds, for `debate eval`, what each row of the table
changes; `single`, `text` and `cipher` are known without being written.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from agents.errors import ConfigError, did_you_mean
from agents.secrets import refuse_secrets
from debate.execution import EngineConfig, ExecutionConfig
from debate.frozen import Frozen
from debate.groups import expanded, groups
from debate.topology.config import EdgeConfig, ScheduleConfig, TopologyConfig
from debate.topology.files import read_topology_file

BUILT_IN_METHODS: dict[str, dict[str, Any]] = {
    "single": {"rounds": 1, "message": "text"},
    "text": {"message": "text"},
    "cipher": {"message": "cipher"},
}


# Of rows of one round, in which nobody hears anybody.
NO_EXCHANGE = {"topology": "complete", "protocol": "simultaneous", "stopping": "fixed"}

# What an agent may be besides a debater: one that sums up or leads each round, one that speaks once at the end, and the
# paper's controls, which say what they say without a model.
CHAIRS = ("summariser", "moderator")
JUDGES = ("judge",)
CONTROLS = ("expert", "misaligned", "random", "dummy")


class AgentConfig(Frozen):
    """One debater. What is not set here is taken from the debate."""

    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Of its belief, softmax(z / temperature); 0 is greedy."""
    encoder: str | None = None
    """How its beliefs become vectors; only in CIPHER debates. `none` for an agent that only speaks text."""
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
    options: dict[str, Any] = Field(default_factory=dict)
    """Of its backend, beside the debate's own where the backend is the debate's."""
    adapter: str | None = None
    """A LoRA adapter of its model: a folder in peft's layout. Agents that differ in it alone share one loaded model."""
    checkpoint: str | None = None
    """Of a belief backend: what it loads, its default otherwise."""
    pool: str | None = None
    """How an agent with a belief backend takes in what it hears: `linear`, `product(prior=[0.7, 0.3])`; not by default."""
    trust: float = Field(default=0.9, gt=0, lt=1)
    """How probable such an agent takes a label to be that another only says."""
    words: Literal["label", "shares"] = "label"
    """How an agent that holds a belief over labels says it in text: its best label, or with all shares in percent."""
    weighs: Literal["labels", "texts"] | None = None
    """Does not generate: weighs the labels of a choice, or the options' texts, by log-likelihood, and says that belief."""
    role: str | None = None
    """A file under configs/prompts/roles (`critic`, `judge`, …), a path, or a control (`expert`, `random`, …)."""
    agreement: float | None = Field(default=None, ge=0, le=1)
    """How much it is asked to agree with the others, 0 to 1 (DebateLLM); not asked by default."""
    group: str | None = None
    """The group that it was written as a member of."""

    @property
    def is_judge(self) -> bool:
        """Whether it speaks once, at the end."""
        return self.role in JUDGES

    @property
    def is_chair(self) -> bool:
        """Whether it sums up or leads a round rather than debate."""
        return self.role in CHAIRS

    @property
    def is_control(self) -> bool:
        """Whether it speaks by rule."""
        return self.role in CONTROLS


class DebateConfig(Frozen):
    """A debate, and what `debate eval` compares it with."""

    backend: str = "transformers"
    """A registered backend, or a dotted path."""
    model: str = "smollm2"
    """`smollm2`, `tiny/NAME`, a hub id, or a local folder."""
    dtype: str = "bfloat16"
    """`bfloat16`, `float32` or `float16`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The backend's own options, e.g. max_num_seqs."""
    task: str = "arithmetic"
    """A registered task."""
    prompts: str | None = None
    """Folder of prompt files: a name under configs/prompts, or a path; the task's own by default."""
    format: Literal["auto", "chat", "plain"] = "auto"
    """Chat template, plain text, or whichever the model has."""
    agents: dict[str, AgentConfig] = Field(min_length=1)
    """Name → debater, in the order in which they are heard."""
    topology: str | TopologyConfig = "complete"
    """Who hears whom: a name, with parameters if need be, or a mapping (debate/topology/config.py)."""
    protocol: str = "simultaneous"
    """In which order they speak, and what of the topology is heard."""
    stopping: str = "fixed"
    """When to end before the last round."""
    order: Literal["fixed", "reversed", "shuffled"] = "fixed"
    """In which order solutions stand in a prompt: the agents', that reversed, or drawn for each turn."""
    agreement: float | None = Field(default=None, ge=0, le=1)
    """How much agents are asked to agree with each other, 0 to 1; not asked by default."""
    min_mapped: float = Field(default=0.6, ge=0, le=1)
    """Between tokenizers: the least share of a message's belief that must map for it to be heard as vectors."""
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
    execution: ExecutionConfig = ExecutionConfig()
    """How the run is carried out: debates at once, time-outs, retries, the journal's fsync policy."""
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Method → keys that differ, for `debate eval`."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not isinstance(given.get("agents"), Mapping):
            return given
        templates = given.get("templates") or {}
        if not isinstance(templates, Mapping):
            raise ValueError("templates: a mapping of name to an agent's keys")
        rest = {key: value for key, value in given.items() if key != "templates"}
        return {**rest, "agents": expanded(given["agents"], templates)}

    @field_validator("agents")
    @classmethod
    def _names(cls, agents: dict[str, AgentConfig]) -> dict[str, AgentConfig]:
        for name in agents:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"agent name {name!r}: use letters, digits, - and _")
        return agents

    @property
    def temperatures(self) -> dict[str, float]:
        """Temperature of everyone whose answer counts: not of judges and chairs; a control's is infinite."""
        counted = {
            name: float("inf") if agent.is_control else agent.temperature
            for name, agent in self.agents.items()
            if not (agent.is_judge or agent.is_chair)
        }
        return counted or {name: agent.temperature for name, agent in self.agents.items()}

    @property
    def deciding_agent(self) -> str:
        """The agent of the lowest temperature, the first of equals: the paper's answer, chosen before the debate."""
        return min(self.temperatures, key=self.temperatures.__getitem__)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Group → members."""
        return groups(self.agents)


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
    return validate(_with_file(raw, path.parent), source=str(path))


def validate(raw: Mapping[str, Any], *, source: str) -> DebateConfig:
    """Return the config of a plain mapping; errors name the source and the key path.

    Raises:
        ConfigError: a mistake, or a key of a server in it: a config is copied into run folders.
    """
    # Before anything else, so that no other mistake is explained by repeating the key.
    for path, found in _options(raw):
        refuse_secrets(found, where=f"{source}: {path}")
    try:
        return DebateConfig.model_validate(raw)
    except ValidationError as error:
        details = error.errors()
        if isinstance(raw.get("topology"), Mapping):
            # A mapping was meant: that it is no name either says nothing.
            details = [detail for detail in details if detail["loc"][-1:] != ("str",)]
        raise ConfigError("\n".join(dict.fromkeys(_explain(source, raw, detail) for detail in details))) from error


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
    raw = config.model_dump(exclude={"methods"}, by_alias=True)
    for changes in (BUILT_IN_METHODS.get(method, {}), config.methods.get(method, {})):
        raw = _merged(raw, changes)
    changed = validate(raw, source=f"methods.{method}")
    if method == "single":
        name = changed.deciding_agent
        alone = {"decision": "lowest_temperature", "agents": {name: changed.agents[name]}}
        changed = changed.model_copy(update={**NO_EXCHANGE, **alone})
    if method == "text" and isinstance(changed.topology, TopologyConfig):
        changed = changed.model_copy(update={"topology": _in_text(changed.topology)})
    return changed


def to_yaml(config: DebateConfig) -> str:
    """Return the resolved config as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False)


def configs_folder() -> Path:
    """Return the folder of shipped configs and prompts: beside the sources, or inside an installed package."""
    here = Path(__file__).resolve().parent
    beside = here.parent / "configs"
    return beside if beside.is_dir() else here / "shipped_configs"


def shipped() -> list[str]:
    """Return the names of the shipped config files."""
    folder = configs_folder()
    files = [path for pattern in ("*.yaml", "topologies/*.yaml", "specialists/*.yaml") for path in folder.glob(pattern)]
    return sorted(str(path.relative_to(folder)) for path in files)


def find_config(name: Path) -> Path:
    """Return the file of a path, or of a shipped config's name or path (`configs/x.yaml`, `x`, `topologies/x`)."""
    if name.exists():
        return name
    inside = name.relative_to("configs") if name.parts[:1] == ("configs",) else name
    if not inside.is_absolute() and ".." not in inside.parts:
        for candidate in (configs_folder() / inside, configs_folder() / f"{inside}.yaml"):
            if candidate.is_file():
                return candidate
    return name


def prompts_folder(name: str) -> Path:
    """Return the folder of a prompt set: a path, or a name under configs/prompts."""
    return Path(name) if "/" in name else configs_folder() / "prompts" / name


def task_prompts(task: str) -> str:
    """Return the prompt set of a task: the folder of its name, variant aside, or the one that `prompts/tasks.yaml` names."""
    base = task.partition(":")[0]
    folder = configs_folder() / "prompts"
    if (folder / base).is_dir() or not (folder / "tasks.yaml").is_file():
        return base
    named = yaml.safe_load((folder / "tasks.yaml").read_text(encoding="utf-8"))
    return str(named.get(base, base))


def _with_file(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the config with the topology file that it names read into it: nodes as agents, edges before its own."""
    topology = raw.get("topology")
    if not isinstance(topology, dict) or "file" not in topology:
        return raw
    path = Path(str(topology["file"])).expanduser()
    agents, edges = read_topology_file(path if path.is_absolute() else folder / path)
    own = raw.get("agents") or {}
    rest = {key: value for key, value in topology.items() if key != "file"}
    merged = _merged(agents, own) if isinstance(own, Mapping) else own
    return {**raw, "agents": merged, "topology": {**rest, "edges": [*edges, *(rest.get("edges") or [])]}}


def _in_text(topology: TopologyConfig) -> TopologyConfig:
    """Return the same topology with every edge heard as the debate's messages: the text baseline of a mixed one."""
    edges = tuple(edge.model_copy(update={"message": None, "encoder": None}) for edge in topology.edges)
    return topology.model_copy(update={"message": None, "edges": edges})


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
        return f"{source}: {where}: unknown key {key!r}. Known: {', '.join(known)}.{did_you_mean(str(key), known)}"
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
