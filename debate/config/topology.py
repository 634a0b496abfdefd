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
    """An agent, a group, a list of them, or `*` for all."""
    hearers: Ends = Field(alias="to")
    """Likewise; nobody hears itself."""
    message: Literal["text", "cipher", "both"] | None = None
    """How it is heard."""
    encoder: str | None = None
    """How the speaker's beliefs become vectors, in place of its own encoder."""
    seen: Literal["last", "all", "answers"] | None = None
    """The last message, all so far, or only the answer of the last."""
    thinking: Literal["strip", "keep"] | None = Field(default=None, exclude_if=lambda thinking: thinking is None)
    """Whether a reasoning model's thinking is heard before its answer; as the debate says by default."""
    first_tokens: int | None = Field(default=None, ge=1)
    """Only so many tokens of a message."""
    delay: int = Field(default=0, ge=0)
    """Rounds that a message is late."""
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """How strong it is drawn; no protocol reads it."""
    rounds: Rounds | None = None
    """The rounds in which it is heard: `3`, `[2, 4]`, or `[2]` for from there on."""
    remove: bool = False
    """Take generated edges between these ends away."""

    _read_rounds = field_validator("rounds", mode="before")(_round_range)
    _check_rounds = field_validator("rounds")(_checked_range)


class ScheduleConfig(Frozen):
    """Another graph for a range of rounds."""

    rounds: Rounds
    """`3`, `[2, 4]`, or `[2]` for from there on."""
    generator: str
    """A topology by name, over the same agents."""

    _read_rounds = field_validator("rounds", mode="before")(_round_range)
    _check_rounds = field_validator("rounds")(_checked_range)


class TopologyConfig(Frozen):
    """Who hears whom."""

    generator: str = "custom"
    """A topology by name, with parameters if need be, or a dotted path to a function."""
    over: Ends | None = None
    """The agents that it joins; by default all that debate."""
    message: Literal["text", "cipher", "both"] | None = None
    """How generated edges are heard; the debate's by default."""
    edges: tuple[EdgeConfig, ...] = ()
    """More edges, in order; a later one replaces an earlier one of the same ends and rounds."""
    schedule: tuple[ScheduleConfig, ...] = ()
    """Other graphs for some rounds; the first that holds a round counts."""
    redraw: bool | None = None
    """Draw a random graph again each round; by default only `dynamic` is."""
    seed: int | None = Field(default=None, ge=0)
    """Of what is drawn; the debate's by default."""

    @model_validator(mode="before")
    @classmethod
    def _no_file(cls, given: Any) -> Any:
        if isinstance(given, dict) and "file" in given:
            raise ValueError(
                "`file` is read where a config file is loaded; from Python use debate.config.topology_file"
            )
        return given
