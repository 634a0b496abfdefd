"""Prompt files → Prompt. One folder a task: `system.jinja`, `initial.jinja`, `debate.jinja`, `examples.yaml`.

`initial.jinja` is given `question`; `debate.jinja` is given `question`, `own` (the agent's last solution) and `others`
(the solutions it hears, in the order of the topology's nodes), and `own_first`, whether its own is to stand before them, the
control for positional bias; `review.jinja`, for an agent that hears others before
it has spoken, is given `question` and `others`; `summary.jinja`, for one that sums up what its next prompt has no room for, too.
A slot that nobody fills is an error. Whether a solution is text or
vectors, the
file is the same: it says where the solution stands.

`examples.yaml` has worked examples by stage, and for plain text the cue before each answer (one, or one a stage) and `close`,
what follows each: a base model's message ends there.

A role is another such folder. What it has stands in place of the task's file, but for `system.jinja`, which is read
before the task's. What neither has is looked for in the shared folder.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agents import slots
from agents.backend import ChatTurn, Part, Prompt
from agents.errors import ConfigError, PromptError
from agents.message import Message
from agents.ordinary_file import read_ordinary_text
from agents.yaml_file import read_yaml
from kernels.names import did_you_mean

Stage = Literal["initial", "debate", "review"]
STAGES: tuple[Stage, ...] = ("initial", "debate", "review")
# Bytes of a prompt file.
LARGEST_FILE = 10_000_000
# One solution in a prompt: a message, text made of one, or a message with its reading.
Heard = Message | str | tuple[Message, Message]


@dataclass(frozen=True)
class Prompts:
    """The prompt files of one task or role.

    Attributes:
        folder: folder of the files.
        format: chat template, plain text, or whichever the model has.
        role: the folder of a role.
        shared: files for stages that neither role nor task has.
        agreement: 0 to 1, how far to agree with the others; None does not mention it.
        shots: question and solution of worked examples, in place of the first round's in `examples.yaml`.
        own_first: an agent's own solution stands before those that it hears.
        instructions: what whoever asks adds to the system turn; text, and no template.
    """

    folder: Path
    format: Literal["auto", "chat", "plain"] = "auto"
    role: Path | None = None
    shared: Path | None = None
    agreement: float | None = None
    shots: tuple[tuple[str, str], ...] = ()
    own_first: bool = False
    instructions: str = ""

    def __post_init__(self) -> None:
        for folder in (self.folder, self.role):
            if folder is not None and not os.path.isdir(folder):
                known = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
                raise PromptError(
                    f"no prompts in {folder}. Known beside it: {', '.join(known) or 'none'}.{did_you_mean(folder.name, known)}"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process: what was read stays here, as compiled templates cannot be sent, and is read again there.
        values = (getattr(self, field.name) for field in fields(self))
        return Prompts, tuple(value.absolute() if isinstance(value, Path) else value for value in values)

    def check(self) -> None:
        """Render every file once, so that a mistake in one is found before anything runs.

        Raises:
            PromptError: a template is wrong; the message names the file.
        """
        self._system()
        self._render("initial", {"question": "?"})
        if self._find("review").exists():
            self._render("review", {"question": "?", "others": ["?"]})
        own, other = slots.mark(0), slots.mark(1)
        debate = self._render("debate", {"question": "?", "own": own, "others": [other]})
        if self.own_first and own in debate and other in debate and debate.index(own) > debate.index(other):
            raise PromptError(
                f"{self._find('debate')}: order: reversed puts an agent's own solution before the others', and this file "
                "does not: let it read own_first, as the shipped ones do, or set another order"
            )
        for stage in STAGES:
            for example in self._worked(stage):
                self._render(stage, example)

    def instructed(self, instructions: str) -> "Prompts":
        """Return the same files, as they were read, with other instructions."""
        if instructions == self.instructions:
            return self
        other = replace(self, instructions=instructions)
        vars(other).update(
            {name: getattr(self, name) for name in ("_environment", "_examples", "_files", "_templates")}
        )
        return other

    def initial(self, question: str) -> Prompt:
        """Return the first round's prompt: the question alone."""
        return self._prompt("initial", {"question": question}, [])

    def debate(self, question: str, own: Heard, others: Sequence[Heard]) -> Prompt:
        """Return a later round's prompt (CIPHER, Algorithm 1): question, what is heard, the agent's own solution."""
        parts: list[Part] = []
        marks = [_place(solution, parts) for solution in (own, *others)]
        return self._prompt("debate", {"question": question, "own": marks[0], "others": marks[1:]}, parts)

    def review(self, question: str, others: Sequence[Heard]) -> Prompt:
        """Return the prompt of an agent that hears others before it has spoken."""
        parts: list[Part] = []
        marks = [_place(solution, parts) for solution in others]
        return self._prompt("review", {"question": question, "others": marks}, parts)

    def summary(self, question: str, others: Sequence[Heard]) -> Prompt:
        """Return the prompt of an agent that sums up messages for which its next prompt has no room."""
        parts: list[Part] = []
        marks = [_place(solution, parts) for solution in others]
        return self._prompt("review", {"question": question, "others": marks}, parts, file="summary")

    @property
    def shown(self) -> tuple[str, ...]:
        """Every question that a prompt shows with its answer: a benchmark's row among them is not to be asked."""
        return tuple(dict.fromkeys(str(example["question"]) for stage in STAGES for example in self._worked(stage)))

    def num_shots(self, stage: Stage) -> int:
        """Return how many worked examples the prompt of a stage shows."""
        return len(self._worked(stage))

    def _worked(self, stage: Stage) -> list[dict[str, Any]]:
        """Return the worked examples of a stage."""
        if stage == "initial" and self.shots:
            return [{"question": slots.checked(question), "solution": solution} for question, solution in self.shots]
        found: list[dict[str, Any]] = self._examples.get(stage, [])
        return found

    def _system(self) -> str:
        pieces = []
        if self.role is not None and self._role_has("system"):
            pieces.append(self._render_file(self.role / "system.jinja", {}))
        pieces.append(self._render_file(self.folder / "system.jinja", {}))
        if self.agreement is not None and self.shared is not None:
            pieces.append(self._render_file(self.shared / "agreement.jinja", {"percent": round(100 * self.agreement)}))
        pieces.append(self.instructions)
        return "\n".join(piece for piece in pieces if piece)

    def _role_has(self, stage: str) -> bool:
        return self.role is not None and (self.role / f"{stage}.jinja").exists()

    def _prompt(self, stage: Stage, values: dict[str, Any], messages: list[Part], *, file: str = "") -> Prompt:
        slots.checked(values["question"])
        if stage not in self._heads:
            self._heads[stage] = self._head(stage)
        asked = slots.split(self._render(file or stage, values))
        parts: list[Part] = [piece if isinstance(piece, str) else messages[piece] for piece in asked]
        turns = (*self._heads[stage], ChatTurn("user", tuple(parts)))
        cue = self._examples.get("cue", "Answer:")
        if not isinstance(cue, str):
            cue = cue[stage]
        return Prompt(turns, cue=cue, close=self._examples.get("close", ""), format=self.format)

    def _head(self, stage: Stage) -> tuple[ChatTurn, ...]:
        """Return what comes before every question of a stage: the system turn and the worked examples."""
        turns = [ChatTurn("system", (system,))] if (system := self._system()) else []
        for example in self._worked(stage):
            turns.append(ChatTurn("user", (self._render(stage, example),)))
            turns.append(ChatTurn("assistant", (str(example["solution"]).strip(),)))
        return tuple(turns)

    def _find(self, stage: str) -> Path:
        """Return the file of a stage: the role's, else the task's, else the shared one."""
        if self.role is not None and self._role_has(stage):
            return self.role / f"{stage}.jinja"
        own = self.folder / f"{stage}.jinja"
        if not own.exists() and self.shared is not None and (self.shared / f"{stage}.jinja").exists():
            return self.shared / f"{stage}.jinja"
        return own

    def _render(self, stage: str, values: dict[str, Any]) -> str:
        if stage not in self._files:
            self._files[stage] = self._find(stage)
        return self._render_file(self._files[stage], values)

    def _render_file(self, path: Path, values: dict[str, Any]) -> str:
        try:
            if path not in self._templates:
                self._templates[path] = self._environment.from_string(read_ordinary_text(path, most=LARGEST_FILE))
            return self._templates[path].render({"own_first": self.own_first, **values}).strip()
        except OSError as error:
            raise PromptError(f"cannot read the prompt {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise PromptError(f"cannot read the prompt {path}: not UTF-8 (byte {error.start})") from error
        except TemplateError as error:
            raise PromptError(f"{path}: {error}") from error
        except Exception as error:  # a template is a program: whatever it makes of its slots
            raise PromptError(f"{path}: {type(error).__name__}: {error}") from error

    @cached_property
    def _templates(self) -> dict[Path, Template]:
        # Read and compiled once, so a run's prompts cannot change under it.
        return {}

    @cached_property
    def _heads(self) -> dict[str, tuple[ChatTurn, ...]]:
        return {}

    @cached_property
    def _files(self) -> dict[str, Path]:
        return {}

    @cached_property
    def _environment(self) -> ImmutableSandboxedEnvironment:
        # Prompts are plain text for a model, not HTML.
        return ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

    @cached_property
    def _examples(self) -> dict[str, Any]:
        path = self.folder / "examples.yaml"
        if self.role is not None and (self.role / "examples.yaml").is_file():
            path = self.role / "examples.yaml"
        if not path.is_file():
            return {}
        try:
            found = read_yaml(path)
        except ConfigError as error:
            raise PromptError(str(error)) from error
        known = {"cue", "close", *STAGES}
        if not isinstance(found, dict) or set(found) - known:
            raise PromptError(f"{path}: expected the keys {', '.join(sorted(known))}")
        cue, close = found.get("cue", ""), found.get("close", "")
        if not isinstance(close, str) or not (
            isinstance(cue, str) or (isinstance(cue, dict) and set(cue) == set(STAGES))
        ):
            raise PromptError(f"{path}: close is a text, and cue a text or one each for {', '.join(STAGES)}")
        for stage in STAGES:
            examples = found.get(stage) or []
            if not isinstance(examples, list):
                raise PromptError(f"{path}: {stage}: worked examples are a list; this is a {type(examples).__name__}")
            for place, example in enumerate(examples):
                if not isinstance(example, dict) or not {"question", "solution"} <= set(example):
                    raise PromptError(f"{path}: {stage}[{place}]: an example has a question and a solution")
        return {key: value for key, value in found.items() if value}


def continued(prompt: Prompt, earlier: Sequence[tuple[Prompt, Heard]]) -> Prompt:
    """Return a prompt behind what was read and said before: each earlier prompt and what was answered to it, in their order.

    A system turn or a worked example that stands there already is not said again.

    Args:
        prompt: what is to be answered now.
        earlier: prompts and answers, the oldest first.
    """
    turns: list[ChatTurn] = []
    shown: list[tuple[ChatTurn, ...]] = []
    for before, answer in [*earlier, (prompt, None)]:
        cue = None if before.cue == prompt.cue else before.cue
        new = [group for group in _examples_of(before) if group not in shown]
        shown += new
        turns += [replace(turn, cue=cue) if turn.role == "assistant" else turn for group in new for turn in group]
        turns.append(before.turns[-1])
        if answer is not None:
            parts: list[Part] = []
            _place(answer, parts)
            turns.append(ChatTurn("assistant", tuple(parts[:1]), cue=cue))
    return replace(prompt, turns=tuple(turns))


def _examples_of(prompt: Prompt) -> list[tuple[ChatTurn, ...]]:
    """Return what stands before a question: the system turn, and each worked example's question and answer together."""
    groups: list[tuple[ChatTurn, ...]] = []
    for turn in prompt.turns[:-1]:
        if turn.role == "assistant" and groups:
            groups[-1] = (*groups[-1], turn)
        else:
            groups.append((turn,))
    return groups


def _place(solution: Heard, parts: list[Part]) -> str:
    """Add a solution's parts, and return what stands for it while the file is rendered."""
    if isinstance(solution, tuple):
        vectors, reading = solution
        return f"{_place(vectors, parts)} (in words: {_place(reading, parts)})"
    parts.append(solution)
    return slots.mark(len(parts) - 1)
