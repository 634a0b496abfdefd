"""Prompt files → Prompt. One folder a task: `system.jinja`, `initial.jinja`, `debate.jinja`, `examples.yaml`.

`initial.jinja` is given `question`; `debate.jinja` is given `question`, `own` (the agent's last solution) and `others` (the
solutions it hears, in the order of the topology's nodes). A slot that nobody fills is an error. Whether a solution is text
or vectors, the file is the same: it says where the solution stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agents import slots
from agents.backend import ChatTurn, Part, Prompt
from agents.errors import PromptError
from agents.message import Message

Stage = Literal["initial", "debate"]


@dataclass(frozen=True)
class Prompts:
    """The prompt files of one task or role.

    Fields:
        folder: where the files are.
        format: chat template, plain text, or whichever the model has.
    """

    folder: Path
    format: Literal["auto", "chat", "plain"] = "auto"

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            known = sorted(path.name for path in self.folder.parent.glob("*") if path.is_dir())
            raise PromptError(f"no prompts in {self.folder}. Known beside it: {', '.join(known) or 'none'}.")

    def check(self) -> None:
        """Render every file once, so that a mistake in one is found before anything runs.

        Raises:
            PromptError: with the file.
        """
        self._render("system", {})
        self._render("initial", {"question": "?"})
        self._render("debate", {"question": "?", "own": "?", "others": ["?"]})
        for stage in ("initial", "debate"):
            for example in self._examples.get(stage, []):
                self._render(stage, example)

    def initial(self, question: str) -> Prompt:
        """Return the first round's prompt: the question alone."""
        return self._prompt("initial", {"question": question}, [])

    def debate(self, question: str, own: Message, others: Sequence[Message]) -> Prompt:
        """Return a later round's prompt (CIPHER, Algorithm 1): the question, what is heard, and the agent's own solution."""
        messages = [own, *others]
        marks = [slots.mark(index) for index in range(len(messages))]
        return self._prompt("debate", {"question": question, "own": marks[0], "others": marks[1:]}, messages)

    def _prompt(self, stage: Stage, values: dict[str, Any], messages: list[Message]) -> Prompt:
        slots.checked(values["question"])
        turns = [ChatTurn("system", (system,))] if (system := self._render("system", {})) else []
        for example in self._examples.get(stage, []):
            turns.append(ChatTurn("user", (self._render(stage, example),)))
            turns.append(ChatTurn("assistant", (str(example["solution"]).strip(),)))
        asked = slots.split(self._render(stage, values))
        parts: list[Part] = [piece if isinstance(piece, str) else messages[piece] for piece in asked]
        return Prompt(
            (*turns, ChatTurn("user", tuple(parts))), cue=self._examples.get("cue", "Answer:"), format=self.format
        )

    def _render(self, stage: str, values: dict[str, Any]) -> str:
        path = self.folder / f"{stage}.jinja"
        try:
            return self._environment.from_string(path.read_text()).render(values).strip()
        except OSError as error:
            raise PromptError(f"cannot read the prompt {path}: {error.strerror}") from error
        except TemplateError as error:
            raise PromptError(f"{path}: {error}") from error

    @cached_property
    def _environment(self) -> ImmutableSandboxedEnvironment:
        # Prompts are plain text for a model, not HTML.
        return ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

    @cached_property
    def _examples(self) -> dict[str, Any]:
        path = self.folder / "examples.yaml"
        if not path.exists():
            return {}
        try:
            found = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise PromptError(f"{path}: not YAML: {error}") from error
        known = {"cue", "initial", "debate"}
        if not isinstance(found, dict) or set(found) - known:
            raise PromptError(f"{path}: expected the keys {', '.join(sorted(known))}")
        for stage in ("initial", "debate"):
            for place, example in enumerate(found.get(stage) or []):
                if not isinstance(example, dict) or not {"question", "solution"} <= set(example):
                    raise PromptError(f"{path}: {stage}[{place}]: an example has a question and a solution")
        return {key: value for key, value in found.items() if value}
