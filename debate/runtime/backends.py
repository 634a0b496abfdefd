"""Engines by backend, model and options: started once, shared, started again if they die."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from agents.backend import Backend
from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.cards import create_belief_backend
from agents.errors import UnknownName
from agents.fingerprint import ModelFingerprint
from agents.pretrained import Progress
from agents.registry import create_backend
from agents.supervision.supervised import Supervised
from agents.tokenizers import tokenizer_of
from debate.config.execution import DEFAULT_ENGINE
from debate.config.schema import DebateConfig

if TYPE_CHECKING:
    from debate.runtime.ray.runners import Runners
    from debate.runtime.ray.session import RaySession


class Backends:
    """Engines by backend, model and options, each shared by all agents and methods, and started again if it dies."""

    def __init__(self, config: DebateConfig, progress: Progress = lambda _: None) -> None:
        self._config, self._progress = config, progress
        self._started: dict[tuple[str, str, str], Backend] = {}
        self._believers: dict[tuple[str, str | None, str], BeliefBackend] = {}
        self._warned: set[str] = set()
        self._session: RaySession | None = None

    def get(self, name: str, model: str, own: Mapping[str, Any] | None = None) -> Backend:
        """Return the backend that holds a model, started if need be.

        Args:
            name: name of the backend.
            model: name of the model.
            own: an agent's options. The debate's are for its own backend, and mean nothing to another.
        """
        shared = self._config.options if name == self._config.backend else {}
        options = {"dtype": self._config.dtype, **shared, **(own or {})}
        key = (name, model, json.dumps(options, sort_keys=True, default=str))
        if key not in self._started:
            self._started[key] = self._engines(name, model, options)
        return self._started[key]

    def _engines(self, name: str, model: str, options: Mapping[str, Any]) -> Backend:
        if self._config.execution.runtime == "local":
            start = partial(create_backend, name, model=model, progress=self._progress, **options)
            return Supervised(f"{name}:{model}", start)
        if self._session is None:
            from debate.runtime.ray.session import RaySession

            _check_placed_models(self._config)
            self._session = RaySession(self._config.execution, self._progress)
        return self._session.engines(name, model, options)

    def believer(self, name: str, checkpoint: str | None, options: Mapping[str, Any]) -> BeliefBackend:
        """Return the belief backend of a checkpoint, loaded if need be."""
        key = (name, checkpoint, json.dumps(options, sort_keys=True, default=str))
        if key not in self._believers:
            self._believers[key] = create_belief_backend(name, checkpoint=checkpoint, **options)
        return self._believers[key]

    @property
    def started(self) -> list[Backend]:
        """Every engine that runs."""
        return list(self._started.values())

    def runners(self) -> "Runners | None":
        """Return the processes that play debates; None where this one does."""
        return None if self._session is None else self._session.runners()

    def decode(self, model: ModelFingerprint, token: int) -> str | None:
        """Return the text of a token of a started model; None where its tokenizer cannot be had."""
        for backend in self._started.values():
            if backend.fingerprint.same_tokenizer(model) and (tokenizer := tokenizer_of(backend)) is not None:
                return str(tokenizer.decode([token]))
        return None

    def warn(self, sentence: str) -> None:
        """Say what is probably not meant, once however many methods share it."""
        if sentence not in self._warned:
            self._warned.add(sentence)
            self._progress(f"warning: {sentence}")

    async def close(self) -> None:
        """Close them all."""
        if self._session is not None:
            self._session.stop()
        try:
            for backend in self._started.values():
                await backend.close()
        finally:
            if self._session is not None:
                self._session.close()


def _check_placed_models(config: DebateConfig) -> None:
    """Raise ConfigError where engines are placed of a model that nobody speaks by."""
    known = {DEFAULT_ENGINE, *_models(config.model_dump()), *(model for model, _, _ in config.engines)}
    for model in config.execution.engines:
        if model not in known:
            raise UnknownName("model", model, known, where="execution.engines")


def _models(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield every model that a config names, of agents and methods too."""
    for key, value in raw.items():
        if key == "model" and isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _models(value)
