"""A topology as a config writes it.

topology: ring                          a name, with parameters if need be: sparse(k=3)
topology:                               or a mapping:
  generator: ring                         the edges that a rule makes,
  over: debater                           among a group, or a list of agents and groups,
  edges:                                  and edges one by one, which replace a generated edge of the same ends
    - {from: debater, to: judge, message: text}
  schedule:                               other graphs for some rounds
    - {rounds: [3, 4], generator: complete}
  file: graph.graphml                     nodes and edges of a GraphML, node-link JSON or YAML file
"""

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from debate.config.frozen import Frozen
from kernels.content import Content

Ends = str | tuple[str, ...]
Rounds = tuple[int, int | None]


def _round_range(given: Any) -> Any:
    """Read `3` as that round, `[2, 4]` as from to, `[2]` and `[2, null]` as from there on."""
    if isinstance(given, int) and not isinstance(given, bool):
        return (given, given)
    if isinstance(given, list | tuple) and len(given) == 1:
        return (given[0], None)
    return given


def _checked_range(rounds: Rounds | None) -> Rounds | None:
    if rounds is not None and (rounds[0] < 1 or (rounds[1] is not None and rounds[1] < rounds[0])):
        raise ValueError("rounds count from 1, and the first comes before the last")
    return rounds


class EdgeConfig(Frozen):
    """Edges from some agents to others; what is not set is the debate's."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    speakers: Ends = Field(alias="from")
    """Who speaks: an agent, a group, a list of them, or `*` for all."""
    hearers: Ends = Field(alias="to")
    """Who hears, written likewise; nobody hears itself."""
    message: Literal["text", "cipher", "both"] | None = None
    """How the message is heard: `text`, `cipher` or `both` (default: as the debate says)."""
    encoder: str | None = None
    """How the speaker's beliefs become vectors, in place of its own encoder."""
    content: Content | None = Field(default=None, exclude_if=lambda content: content is None)
    """What is heard in place of the message, a control (docs/controls.md); as the debate says by default."""
    seen: Literal["last", "all", "answers"] | None = None
    """What is heard: the last message, all so far, or only the answer of the last."""
    thinking: Literal["strip", "keep"] | None = Field(default=None, exclude_if=lambda thinking: thinking is None)
    """Whether a reasoning model's thinking is heard before its answer; as the debate says by default."""
    first_tokens: int | None = Field(default=None, ge=1)
    """Number of tokens heard of each message, from its beginning (default: all)."""
    reduce: str | None = Field(default=None, exclude_if=lambda reduce: reduce is None)
    """Hear fewer positions of each CIPHER message: `drop(keep=0.5, by=entropy)`, `merge(keep=0.5)`, or `none` where the debate
    reduces (docs/reduction.md)."""
    delay: int = Field(default=0, ge=0)
    """Rounds that a message is late."""
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Width of the edge in drawings; it changes nothing in the debate."""
    signed: str | dict[str, str] | None = Field(default=None, exclude_if=lambda signed: signed is None)
    """Public key (`debate keys`), or a file of one (relative to the config, then to where the command runs), without whose
    signature a message is refused; or speaker: key of each."""
    rounds: Rounds | None = None
    """The rounds in which it is heard: `3`, `[2, 4]`, or `[2]` for from there on."""
    remove: bool = False
    """Remove the generated edges between these ends."""

    _read_rounds = field_validator("rounds", mode="before")(_round_range)
    _check_rounds = field_validator("rounds")(_checked_range)


class ScheduleConfig(Frozen):
    """Another graph for a range of rounds."""

    rounds: Rounds
    """The rounds of this graph: `3`, `[2, 4]`, or `[2]` for from there on."""
    generator: str
    """Topology of those rounds by name, over the same agents."""

    _read_rounds = field_validator("rounds", mode="before")(_round_range)
    _check_rounds = field_validator("rounds")(_checked_range)


class TopologyConfig(Frozen):
    """Who hears whom."""

    generator: str = "custom"
    """Topology that makes the edges: a name, with parameters if need be, or a dotted path; `custom` makes none."""
    over: Ends | None = None
    """The agents that the generator joins (default: all that debate)."""
    message: Literal["text", "cipher", "both"] | None = None
    """How generated edges are heard (default: as the debate says)."""
    edges: tuple[EdgeConfig, ...] = ()
    """Edges one by one; a later one replaces an earlier one of the same ends and rounds."""
    schedule: tuple[ScheduleConfig, ...] = ()
    """Other graphs for some rounds; the first entry that covers a round counts."""
    redraw: bool | None = None
    """Draw a random graph again in each round (default: only for `dynamic`)."""
    seed: int | None = Field(default=None, ge=0)
    """Random seed of the graph (default: the debate's)."""

    @model_validator(mode="before")
    @classmethod
    def _no_file(cls, given: Any) -> Any:
        if isinstance(given, dict) and "file" in given:
            raise ValueError(
                "`file` is read where a config file is loaded; from Python use debate.config.topology_file"
            )
        return given
