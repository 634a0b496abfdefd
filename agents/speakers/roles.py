"""Which roles of a config are kinds of agents; the others are folders of prompt files."""

from agents.registry import names
from agents.speakers import CONTROLS
from kernels.registry import is_path

GROUP = "debate.speakers"


def names_kind(role: str | None) -> bool:
    """Whether a role is the name or dotted path of a kind of agent, and not of prompt files."""
    return role is not None and (role in CONTROLS or role in names(GROUP) or is_path(role))
