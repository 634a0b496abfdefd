"""Agents as a config writes them: templates, and groups, so that fifty agents are a line.

templates: {bold: {temperature: 1.2}}
agents:
  ada: {like: bold}
  debater: {count: 50, temperature: [0.1, 1.5]}     debater1 … debater50, temperatures evenly spread
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kernels.names import unknown

# More agents than this are a misplaced digit: their prompts alone would not fit any model.
MOST_AGENTS = 10_000


def expanded(
    agents: Mapping[str, Any], templates: Mapping[str, Any], *, most: int | None = MOST_AGENTS
) -> dict[str, Any]:
    """Return every agent with its own keys; a member of a group carries the group's name.

    Args:
        agents, templates: mappings of the config.
        most: limit on the number of agents; None for none.

    Raises:
        ValueError: an unknown template, a count that is no positive number, two agents of one name, or too many agents.
    """
    found: dict[str, Any] = {}
    for name, given in agents.items():
        keys = given
        if isinstance(given, Mapping) and "like" in given:
            keys = _merged(name, given, templates)
        members = [(name, keys)]
        if isinstance(keys, Mapping) and "count" in keys:
            members = _members(name, keys, most)
        for member, own in members:
            if member in found:
                raise ValueError(
                    f"agents: two agents are called {member!r}: a group's members are its name and a number"
                )
            found[member] = own
    return found


def groups(agents: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return group → members of expanded agents."""
    found: dict[str, tuple[str, ...]] = {}
    for name, agent in agents.items():
        if agent.group is not None:
            found[agent.group] = (*found.get(agent.group, ()), name)
    return found


def _merged(name: str, given: Mapping[str, Any], templates: Mapping[str, Any]) -> dict[str, Any]:
    like = given["like"]
    template = templates.get(like) if isinstance(like, str) else None
    if not isinstance(template, Mapping):
        raise ValueError(f"agents.{name}.like: {unknown('template', str(like), sorted(templates))}")
    return {**template, **{key: value for key, value in given.items() if key != "like"}}


def _members(name: str, keys: Mapping[str, Any], most: int | None) -> list[tuple[str, dict[str, Any]]]:
    count = keys["count"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"agents.{name}.count: must be a whole number of at least 1; got {count!r}")
    if most is not None and count > most:
        raise ValueError(f"agents.{name}.count: at most {most:,}, unless --allow-huge is given; got {count:,}")
    shared = {key: value for key, value in keys.items() if key != "count"}
    shared.setdefault("group", name)
    temperatures = _spread(name, shared.pop("temperature", None), count)
    return [
        (f"{name}{place + 1}", {**shared, **({} if temperature is None else {"temperature": temperature})})
        for place, temperature in enumerate(temperatures)
    ]


def _spread(name: str, given: Any, count: int) -> Sequence[Any]:
    if not isinstance(given, list):
        return [given] * count
    if len(given) == count:
        return given
    if len(given) != 2 or not all(isinstance(value, int | float) for value in given):
        raise ValueError(
            f"agents.{name}.temperature: a number, [lowest, highest], or one for each of {count}; got {given!r}"
        )
    low, high = given
    return [round(low + (high - low) * place / max(count - 1, 1), 6) for place in range(count)]
