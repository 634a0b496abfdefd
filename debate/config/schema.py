"""What a debate is, as data: one frozen model, unknown keys refused, validated once at the edge.

A config file is YAML. `--set a.b=c` overrides one key. `methods` holds, for `debate eval`, what each row of the table
changes; `single`, `text` and `cipher` are known without being written.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from agents.component import check_component
from agents.errors import ConfigError
from debate.config.execution import ExecutionConfig
from debate.config.frozen import Frozen
from debate.config.groups import MOST_AGENTS, expanded, groups
from debate.config.topology import TopologyConfig

# What an agent may be besides a debater: one that sums up or leads each round, one that speaks once at the end, and the
# paper's controls, which say what they say without a model.
CHAIRS = ("summariser", "moderator")
JUDGES = ("judge",)
CONTROLS = ("expert", "misaligned", "random", "dummy")


class AgentConfig(Frozen):
    """One debater. What is not set here is taken from the debate."""

    temperature: float = Field(default=1.0, ge=0, le=1000, allow_inf_nan=False)
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
    """Who hears whom: a name, with parameters if need be, or a mapping (debate/config/topology.py)."""
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
    rounds: int = Field(default=3, ge=1, le=10_000)
    """Turns of each agent in all; the paper's 3 rounds are one initial answer and two of debate."""
    message: Literal["text", "cipher"] = "cipher"
    """What agents send each other."""
    encoder: str = "expectation"
    """How beliefs become vectors."""
    top_beliefs: int = Field(default=8, ge=0, le=1_000_000)
    """Tokens of each belief that a CIPHER message keeps, for reading and for receivers with another table."""
    max_tokens: int = Field(default=128, ge=1, le=10_000_000)
    """Most steps of one message."""
    stop: tuple[str, ...] = ()
    """Strings that end a message where they begin."""
    decision: str = "lowest_temperature"
    """How the transcript becomes an answer."""
    seed: int = Field(default=0, ge=0, lt=2**63)
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
        return {
            **rest,
            "agents": expanded(given["agents"], templates, most=None if _allows_huge(given) else MOST_AGENTS),
        }

    @field_validator("stop")
    @classmethod
    def _stops(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if "" in stop:
            raise ValueError("an empty text would end every message at once; leave it out")
        return stop

    @field_validator("methods")
    @classmethod
    def _methods(cls, methods: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in methods:
            try:
                check_component(name, "method")
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return methods

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


def _allows_huge(given: Mapping[str, Any]) -> bool:
    execution = given.get("execution")
    if isinstance(execution, ExecutionConfig):
        return execution.allow_huge
    return isinstance(execution, Mapping) and execution.get("allow_huge") is True
