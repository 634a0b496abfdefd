"""What a debate is, as data: one frozen model, unknown keys refused, validated once at the edge.

A config file is YAML. `--set a.b=c` overrides one key. `methods` holds, for `debate eval`, what each row of the table
changes; `single`, `text` and `cipher` are known without being written.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from agents.component import check_component
from agents.errors import ConfigError
from agents.pretrained import transformed
from agents.speakers import CONTROLS
from debate.config.electorate import Electorate
from debate.config.execution import ExecutionConfig
from debate.config.frozen import Frozen
from debate.config.groups import MOST_AGENTS, expanded, groups
from debate.config.topology import TopologyConfig
from kernels.content import Content

# What an agent may be besides a debater or a control: one that sums up or leads each round, one that speaks once at the end.
CHAIRS = ("summariser", "moderator")
JUDGES = ("judge",)


def one_dtype(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a debate's keys with the option `dtype` as the debate's own key, which it is another way of writing.

    Raises:
        ValueError: both are there and differ.
    """
    options = raw.get("options")
    if not isinstance(options, Mapping) or "dtype" not in options:
        return raw
    if raw.get("dtype", options["dtype"]) != options["dtype"]:
        raise ValueError(
            f"dtype is {raw['dtype']!r} and options.dtype is {options['dtype']!r}, but they are one thing; give dtype alone"
        )
    rest = {key: value for key, value in options.items() if key != "dtype"}
    return {**raw, "dtype": options["dtype"], "options": rest}


class AgentConfig(Frozen):
    """One debater. What is not set here is taken from the debate."""

    temperature: float = Field(default=1.0, ge=0, le=1000, allow_inf_nan=False)
    """Temperature of its belief, softmax(z / temperature); 0 means greedy."""
    encoder: str | None = None
    """How its beliefs become vectors; only in CIPHER debates. `none` for an agent that only speaks text."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus sampling: the smallest set of tokens with this probability; text only."""
    top_k: int | None = Field(default=None, ge=1)
    """Sample among this many most probable tokens; text only."""
    prompts: str | None = None
    """Folder of prompt files for this agent: a name under configs/prompts, or a path."""
    backend: str | None = None
    """Backend of this agent (default: the debate's)."""
    model: str | None = None
    """Model of this agent (default: the debate's)."""
    # Not written where there are none: earlier runs can be continued.
    transforms: tuple[str, ...] = Field(default=(), exclude_if=lambda transforms: not transforms)
    """Transforms that its model goes through, e.g. [optin(macs=0.7)]; what they make is kept in the model cache."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of its backend, added to the debate's options where it is the debate's backend."""
    adapter: str | None = None
    """A LoRA adapter of its model: a folder in peft's layout. Agents that differ in it alone share one loaded model."""
    decoding: str | None = Field(default=None, exclude_if=lambda decoding: decoding is None)
    """A way of decoding beyond sampling, e.g. `hso(steps=2)`, which adapts heard vectors (docs/minds.md); only on the backend
    transformers."""
    memory: Literal["debate", "questions"] | None = Field(default=None, exclude_if=lambda memory: memory is None)
    """Before each prompt it reads all that it read and said before: `debate`: in earlier rounds; `questions`: in a run's earlier
    questions too, which are then debated one after the other (docs/minds.md). Not with overflow: summarise."""
    checkpoint: str | None = None
    """Checkpoint that a belief backend loads (default: the backend's own)."""
    pool: str | None = None
    """How an agent with a belief backend pools what it hears: `linear`, `product(prior=[0.7, 0.3])` or, of numbers,
    `precision(…)`; by default it does not."""
    trust: float = Field(default=0.9, gt=0, lt=1)
    """Probability that such an agent gives to a label which another agent merely states."""
    words: Literal["label", "shares", "grounds"] = "label"
    """How an agent states a belief over labels in text: the best label, every label with its share in percent, or a belief
    backend's grounds alone, e.g. a teacher's examples."""
    weighs: Literal["labels", "texts"] | None = None
    """Weigh the labels of a choice, or the texts of its options, by log-likelihood, and state that belief; generate nothing."""
    role: str | None = None
    """A folder under configs/prompts/roles (`critic`, `judge`, …), a path, a control (`expert`, `random`, …), or the dotted
    path of a kind of agent."""
    agreement: float | None = Field(default=None, ge=0, le=1)
    """How much it is asked to agree with the others, from 0 to 1 (DebateLLM); by default it is not asked."""
    group: str | None = None
    """Name of the group that it belongs to."""

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
    """Name of a registered backend, or a dotted path; `debate backends` lists them."""
    model: str = "smollm2"
    """Model: `smollm2`, `tiny/NAME`, a hub id, or a local folder."""
    dtype: str = "bfloat16"
    """Data type of the weights: `bfloat16`, `float32` or `float16`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the backend, e.g. max_num_seqs."""
    task: str = "arithmetic"
    """Name of a registered task; `debate tasks` lists them."""
    data: str | None = Field(default=None, exclude_if=lambda data: data is None)
    """File or folder with the task's questions, or, for the task `file`, a dataset on the hub; `--data` wins over it."""
    columns: dict[str, str] = Field(default_factory=dict, exclude_if=lambda columns: not columns)
    """Names of the columns of your own questions, e.g. {question: prompt, answer: gold}; only for the task `file`."""
    prompts: str | None = None
    """Folder of prompt files: a name under configs/prompts, or a path (default: the task's own)."""
    format: Literal["auto", "chat", "plain"] = "auto"
    """Prompt format: the model's chat template, plain text, or `auto` for whichever the model has."""
    agents: dict[str, AgentConfig] = Field(min_length=1)
    """Agents by name, in the order in which they are heard."""
    topology: str | TopologyConfig = "complete"
    """Who hears whom: a name, with parameters if need be, or a mapping (below)."""
    protocol: str = "simultaneous"
    """Order in which agents speak, and which edges are heard; `debate topology list` names the protocols."""
    stopping: str = "fixed"
    """Rule that may end the debate before the last round; `fixed` plays all rounds."""
    order: Literal["fixed", "reversed", "shuffled"] = "fixed"
    """Order of the solutions in a prompt: the others' as the agents are listed, then one's own; the reverse of that; or the
    others' shuffled for each turn, then one's own."""
    agreement: float | None = Field(default=None, ge=0, le=1)
    """How much agents are asked to agree with each other, from 0 to 1; by default they are not asked."""
    min_mapped: float = Field(default=0.6, ge=0, le=1)
    """Between tokenizers: minimum share of a message's belief that must map; below it the message is heard as text."""
    rounds: int = Field(default=3, ge=1, le=10_000)
    """Turns of each agent in all; the paper's 3 rounds are one initial answer and two of debate."""
    message: Literal["text", "cipher"] = "cipher"
    """What agents send each other."""
    # Not written where it says what was so before there was a choice: earlier runs can be continued.
    thinking: Literal["strip", "keep"] = Field(default="strip", exclude_if=lambda thinking: thinking == "strip")
    """What is heard of a reasoning model: its answer alone, or what it thought before, too. Both are written down."""
    overflow: Literal["fail", "summarise", "truncate-oldest"] = Field(
        default="fail", exclude_if=lambda overflow: overflow == "fail"
    )
    """What happens to a prompt that is too long for its model: the question fails; the agent summarises the oldest messages
    first; or the oldest messages are left out. Which ones is written down with the turn."""
    encoder: str = "expectation"
    """How beliefs become vectors."""
    content: Content = Field(default="intact", exclude_if=lambda content: content == "intact")
    """What is heard in place of each message: `intact` is the message itself, the others are controls (docs/controls.md)."""
    reduce: str | None = Field(default=None, exclude_if=lambda reduce: reduce is None)
    """Hear fewer positions of every CIPHER message: `drop(keep=0.5, by=entropy)` or `merge(keep=0.5)` (docs/reduction.md)."""
    top_beliefs: int = Field(default=8, ge=0, le=1_000_000)
    """Number of most probable tokens that a CIPHER message keeps of each belief, for reading and for other tables."""
    max_tokens: int = Field(default=128, ge=1, le=10_000_000)
    """Maximum tokens of one message."""
    stop: tuple[str, ...] = ()
    """Texts that end a message where they begin."""
    decision: str = "lowest_temperature"
    """Rule that turns the transcript into an answer; `debate topology list` names them."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of every random draw."""
    execution: ExecutionConfig = ExecutionConfig()
    """How the run is carried out; nothing in it changes what is said."""
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Methods by name, each with the keys that differ from the config; rows of `debate eval`."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = one_dtype(given)
        if not isinstance(given.get("agents"), Mapping):
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
            for key in ("data", "columns"):
                if key in methods[name]:
                    raise ValueError(
                        f"{name}.{key}: every method is asked the same questions; write {key} above methods"
                    )
        return methods

    @field_validator("agents")
    @classmethod
    def _names(cls, agents: dict[str, AgentConfig]) -> dict[str, AgentConfig]:
        for name in agents:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"agent name {name!r}: use letters, digits, - and _")
        return agents

    def model_of(self, name: str) -> str:
        """Return the name of an agent's model, its transforms after it."""
        agent = self.agents[name]
        return transformed(agent.model or self.model, agent.transforms)

    def dtype_of(self, name: str) -> str:
        """Return what an agent's model computes in."""
        return str(self.agents[name].options.get("dtype", self.dtype))

    @property
    def engines(self) -> tuple[tuple[str, str, str], ...]:
        """Return (model, dtype, backend) of each engine that an agent speaks by, in the order of the agents."""
        spoken = (
            (self.model_of(name), self.dtype_of(name), agent.backend or self.backend)
            for name, agent in self.agents.items()
        )
        return tuple(dict.fromkeys(spoken))

    @property
    def electorate(self) -> Electorate:
        """Everyone whose answer counts: not judges and chairs, unless there is nobody else."""
        voters = tuple(name for name, agent in self.agents.items() if not (agent.is_judge or agent.is_chair))
        temperatures = {name: float("inf") if a.is_control else a.temperature for name, a in self.agents.items()}
        return Electorate(voters or tuple(self.agents), temperatures)

    @property
    def temperatures(self) -> dict[str, float]:
        """Temperature of everyone whose answer counts; a control's is infinite."""
        return self.electorate.of_voters

    @property
    def deciding_agent(self) -> str:
        """The agent of the lowest temperature, the first of equals: the paper's answer, chosen before the debate."""
        return self.electorate.order()[0]

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Group → members."""
        return groups(self.agents)


def _allows_huge(given: Mapping[str, Any]) -> bool:
    execution = given.get("execution")
    if isinstance(execution, ExecutionConfig):
        return execution.allow_huge
    return isinstance(execution, Mapping) and execution.get("allow_huge") is True
