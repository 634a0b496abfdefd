"""The prompt files that an agent of a config reads."""

from collections.abc import Sequence

from agents.prompts import Prompts
from agents.speakers.roles import names_kind
from debate.config.schema import DebateConfig
from debate.config.shipped import prompts_folder, role_folder, task_prompts


def prompts_of(config: DebateConfig, name: str, shots: Sequence[tuple[str, str]] = ()) -> Prompts:
    """Return the prompt files of an agent, not read yet.

    Args:
        config: the debate.
        name: the agent.
        shots: the task's worked examples, question and solution.

    Raises:
        PromptError: there is no such folder.
        UnknownName: no such role.
    """
    keys = config.agents[name]
    return Prompts(
        prompts_folder(keys.prompts or config.prompts or task_prompts(config.task)),
        config.format,
        role=role_folder(keys.role) if keys.role and not names_kind(keys.role) else None,
        shared=prompts_folder("shared"),
        agreement=keys.agreement if keys.agreement is not None else config.agreement,
        shots=tuple(shots),
        own_first=config.order == "reversed",
    )
