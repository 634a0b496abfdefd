"""The exception tree. A user's mistake derives from DebateError and reaches the command line without a traceback.

DebateError                  anything a user can mend; exit code 2
├── ConfigError              a config file, a key in it, or an override
├── PromptError              a prompt file, or a slot in it that nobody fills
├── UnknownName              a name that is not registered; carries the known ones
├── MissingDependency        an extra that is not installed; carries the install line
├── ModelError               a model that cannot be found, fetched, verified or driven
├── ObservationError         an image, sound, series, … that is not what it has to be
├── BeliefError              numbers that are no distribution over labels
├── MessageError             a message that cannot be read, or that a receiver cannot take
│   └── MessageMismatch      a sound message, but of another model
├── RequestError             a request that a backend must refuse
│   └── PromptTooLong        prompt and answer exceed the context; carries by how much
├── TaskError                a benchmark file or a row in it
├── RunError                 a run folder: unwritable, full, of another config, unreadable
└── BackendFailed            an engine died with requests under way; carries the cause
    ├── EngineLost           the machine under it went away; no request is to blame
    ├── StartStopped         its process was ended from outside while it started; no model is to blame
    ├── OutOfMemory          it has not the memory for what it was given at once
    └── TurnTimedOut         it did not answer within the config's time-out
"""

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kernels.names import unknown


class DebateError(Exception):
    """Something the user can mend. It crosses a process border whole: type, fields and cause."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class again: subclasses build their sentence from other arguments than `args`.
        cause = None if self.__cause__ is None else portable(self.__cause__)
        return _rebuilt, (type(self), self.args, dict(vars(self)), cause)


class Elsewhere(Exception):
    """An exception of another process that is no DebateError: its traceback as text."""


def portable(error: BaseException) -> BaseException:
    """Return an exception that can be sent to another process: a DebateError as it is, any other as its traceback."""
    if isinstance(error, DebateError | Elsewhere):
        return error
    return Elsewhere("".join(traceback.format_exception(error)).strip())


def first_line(error: BaseException, *, silent: str | None = None) -> str:
    """Return the first line of what an error says.

    Args:
        error: of a library, as a rule.
        silent: what stands for an error without words; its name by default.
    """
    return (str(error).strip().splitlines() or [type(error).__name__ if silent is None else silent])[0]


def _rebuilt(
    cls: type[DebateError], args: tuple[Any, ...], fields: dict[str, Any], cause: BaseException | None
) -> DebateError:
    error = cls.__new__(cls, *args)
    vars(error).update(fields)
    error.__cause__ = cause
    return error


class ConfigError(DebateError):
    """A config that cannot be used; the message starts with the file and the key path."""


class PromptError(DebateError):
    """A prompt file that is missing, malformed, or has a slot nobody fills."""


class UnknownName(DebateError):
    """A name that is not registered.

    Args:
        kind: what was looked up, in the singular ("backend").
        given: the name that was asked for.
        known: every name that would have been accepted.
        where: the place in a config.
    """

    def __init__(self, kind: str, given: str, known: Iterable[str], *, where: str = "") -> None:
        self.kind, self.given, self.known = kind, given, tuple(sorted(known))
        super().__init__(f"{where}: " * bool(where) + unknown(kind, given, self.known))


class MissingDependency(DebateError):
    """A package that is not installed, and the extra of cipher-debate that brings it, where one does."""

    def __init__(self, what: str, package: str, extra: str | None) -> None:
        self.package, self.extra = package, extra
        install = f"Install it with: pip install 'cipher-debate[{extra}]'" if extra else "Install it."
        super().__init__(f"{what} needs the package {package!r}. {install}")


class ModelError(DebateError):
    """A model that cannot be found, fetched, verified or driven."""


class ObservationError(DebateError):
    """An observation of the wrong shape, dtype or modality, or with numbers that are not finite."""


class BeliefError(DebateError):
    """Numbers that are no distribution over labels, or labels that do not fit."""


class MessageError(DebateError):
    """A message file or value that fails a check; the text says which check."""


class MessageMismatch(MessageError):
    """A sound message whose sender's model is not the receiver's, and that cannot be re-rendered for it."""


class RequestError(DebateError):
    """A request that the backend refuses before it runs."""


class PromptTooLong(RequestError):
    """Prompt plus room for the answer exceed the model's context.

    Args:
        prompt_tokens: positions of the prompt.
        max_tokens: positions asked for the answer.
        context: positions the model has.
        agent: whose turn it was, where that is known.
        round: likewise, from 1.
    """

    def __init__(
        self, prompt_tokens: int, max_tokens: int, context: int, *, agent: str = "", round: int | None = None
    ) -> None:
        self.agent, self.round = agent, round
        self.prompt_tokens, self.max_tokens, self.context = prompt_tokens, max_tokens, context
        self.over = prompt_tokens + max_tokens - context
        turn = "" if round is None else f", round {round}"
        who = f"agent {agent!r}{turn}: " if agent else ""
        super().__init__(
            f"{who}the prompt has {prompt_tokens} tokens and asks for up to {max_tokens} more, but the context holds "
            f"{context}: {self.over} too many. Nothing was cut. Use fewer examples, rounds or agents, or a smaller "
            "max_tokens; or let `overflow: truncate-oldest` leave out the oldest messages."
        )


class TaskError(DebateError):
    """A benchmark file, or a row of it, that cannot be used; the message has file and line."""


class RunError(DebateError):
    """A run folder that cannot be written, read or continued."""


class BackendFailed(DebateError):
    """An engine failed while requests were under way."""


class EngineLost(BackendFailed):
    """The machine under an engine went away. No question is to blame."""


class StartStopped(BackendFailed):
    """An engine's process was ended from outside while it started. No model is to blame."""


class OutOfMemory(BackendFailed):
    """An engine has not the memory for what it was given at once; with less it may do."""


class RowFailed(BackendFailed):
    """An engine cannot answer one request, by what its model computes for it; the others go on."""


class TurnTimedOut(BackendFailed):
    """An engine did not answer in time.

    Args:
        seconds: how long it was waited for.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"no answer within {seconds:g} s (execution.turn_timeout_s)")


def writing_failed(path: Path, cause: OSError) -> RunError:
    """Return the error for a file that could not be written, with what to do about it."""
    reason = cause.strerror or str(cause)
    return RunError(
        f"cannot write {path}: {reason}. What was finished before is on disk; free space or choose another folder with --out."
    )
