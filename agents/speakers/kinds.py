"""The kinds of agents, and which one a config means."""

from agents.beliefs.cards import is_belief_backend
from agents.errors import ConfigError
from agents.registry import load_class
from agents.speakers import CONTROLS
from agents.speakers.agent import Agent
from agents.speakers.chooser import Chooser
from agents.speakers.controls import Control
from agents.speakers.roles import GROUP, names_kind
from agents.speakers.speaker import AgentPlan, Speaker
from agents.speakers.specialist import Specialist

# Kinds that a role names, beside those that entry points of the group register.
BY_ROLE: dict[str, type[Speaker]] = dict.fromkeys(CONTROLS, Control)
KINDS: tuple[type[Speaker], ...] = (Specialist, Control, Chooser, Agent)


def build_speaker(plan: AgentPlan) -> Speaker:
    """Return the agent that a config describes.

    Raises:
        ConfigError: it cannot be, or has a key that is not for its kind.
    """
    kind = _kind(plan)
    for other in KINDS:
        for key, sentence in other.own_keys.items():
            if key not in kind.own_keys and plan.changed(key):
                raise ConfigError(f"agents.{plan.name}.{key}: {sentence}")
    return kind.build(plan)


def _kind(plan: AgentPlan) -> type[Speaker]:
    keys = plan.keys
    if keys.backend is not None and is_belief_backend(keys.backend):
        return Specialist
    if names_kind(keys.role):
        kind: type[Speaker] = load_class(keys.role, "role", GROUP, Speaker, BY_ROLE)
        return kind
    return Agent if keys.weighs is None else Chooser
