"""Config → debate: backends started once and shared, agents with their prompts, the graph and the protocol."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.adapter import find_adapter
from agents.agent import Agent
from agents.backend import Backend, Sampling
from agents.belief_backend import BeliefBackend
from agents.cards import create_belief_backend, is_belief_backend
from agents.chooser import Chooser
from agents.controls import Control
from agents.errors import ConfigError, UnknownName, did_you_mean
from agents.fingerprint import ModelFingerprint
from agents.pooling import POOLS, Pool
from agents.pretrained import Progress
from agents.prompts import Prompts
from agents.registry import create_backend
from agents.specialist import Specialist
from agents.tokenizers import tokenizer_of
from agents.verbaliser import Verbaliser
from debate.call import check_parameters, parse_call
from debate.config import CONTROLS, AgentConfig, DebateConfig, prompts_folder, task_prompts
from debate.exchange import Exchange, build_exchange, own_encoder
from debate.execution import DEFAULT_ENGINE
from debate.hearing import Hearing, Speaker, takes_vectors
from debate.orchestrator import Debate
from debate.protocol import Protocol, Stopped
from debate.stopping import Extract, Watch, stopping_rule
from debate.supervised import Supervised
from debate.topology.checks import check
from kernels.encoders import parse

if TYPE_CHECKING:
    from debate.ray_runtime.runners import Runners
    from debate.ray_runtime.session import RaySession

# Keys of an agent that mean something to a belief backend alone.
SPECIALISTS_ONLY = ("checkpoint", "pool", "trust")


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
            name: of the backend.
            model: of the model.
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
            from debate.ray_runtime.session import RaySession

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
    known = {DEFAULT_ENGINE, *_models(config.model_dump())}
    for model in config.execution.engines:
        if model not in known:
            raise ConfigError(
                f"execution.engines: unknown model {model!r}. Known: {', '.join(sorted(known))}.{did_you_mean(model, known)}"
            )


def _models(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield every model that a config names, of agents and methods too."""
    for key, value in raw.items():
        if key == "model" and isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _models(value)


def build_debate(
    config: DebateConfig,
    backends: Backends,
    *,
    extract: Extract | None = None,
    targets: Mapping[str, str] | None = None,
    shots: Sequence[tuple[str, str]] = (),
) -> Debate:
    """Return the debate of a config.

    Args:
        config: the debate.
        backends: the engines.
        extract: a response and its question's options → its answer, for edges, stopping rules and decisions that look at answers.
        targets: question → right answer, for the controls that are given it.
        shots: the task's worked examples, question and solution, in place of the first round's in the prompt files.

    Raises:
        DebateError: anything in it that cannot be: an unknown topology, missing prompts, a model that is not there.
    """
    for finding in check(config):
        if finding.kind == "error":
            raise ConfigError(f"topology: {finding.text}")
        backends.warn(finding.text)
    exchange = build_exchange(config)
    checked: dict[Prompts, Prompts] = {}
    agents = {name: _agent(config, name, backends, targets or {}, tuple(shots), checked) for name in config.agents}
    protocol: Protocol = exchange.planned
    watch = Watch(tuple(config.temperatures), exchange.planned.chairs, extract)
    rule = stopping_rule(config.stopping, watch)
    if rule is not None:
        protocol = Stopped(exchange.planned, rule)
    encoders = {turn: encoder for turn, encoder in exchange.encoders.items() if encoder != agents[turn.agent].encoder}
    debate = Debate(agents, protocol, config.seed, encoders, Hearing(extract, config.min_mapped))
    for name, encoder in dict.fromkeys((turn.agent, encoder) for turn, encoder in exchange.encoders.items()):
        _check_encoder(agents[name], encoder)
    _check_shortened(exchange, agents)
    for name in dict.fromkeys(_deaf(exchange, agents)):
        backends.warn(f"{name}'s backend takes no vectors: it hears CIPHER messages as their readings")
    return debate


def _deaf(exchange: Exchange, agents: Mapping[str, Speaker]) -> Iterator[str]:
    """Yield the agents that are to hear vectors and cannot."""
    for turn, inbox in exchange.planned.plan.items():
        hearer = agents[turn.agent]
        if isinstance(hearer, Control) or takes_vectors(hearer):
            continue
        pairs = zip(inbox.heard, inbox.edges, strict=True)
        if any(edge.wants_vectors and exchange.encoders[heard] for heard, edge in pairs):
            yield turn.agent


def _check_shortened(exchange: Exchange, agents: Mapping[str, Speaker]) -> None:
    """Raise ConfigError where only the first tokens are to be heard of an agent whose tokens nobody knows."""
    for inbox in exchange.planned.plan.values():
        for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
            speaker = agents[heard.agent]
            known = isinstance(speaker, Control) or speaker.backend.fingerprint.tokenizer
            if edge.first_tokens is not None and not known:
                raise ConfigError(
                    f"topology: first_tokens is {edge.first_tokens} for what {heard.agent} says, but its backend is an API "
                    "that does not tell its tokens. Limit its messages by max_tokens, or drop first_tokens on its edges."
                )


def _check_encoder(agent: Speaker, encoder: str | None) -> None:
    """Raise ConfigError where an agent cannot speak by an encoder that its hearers ask for."""
    if encoder is None or isinstance(agent, Control):
        return
    try:
        parse(encoder)
    except ValueError as error:
        raise ConfigError(f"agent {agent.name!r}: {error}") from error
    replace(agent, encoder=encoder)


def role_folder(role: str) -> Path:
    """Return the folder of a role: a path, or a name under configs/prompts/roles.

    Raises:
        ConfigError: no such role.
    """
    if "/" in role:
        return Path(role)
    folder = prompts_folder("roles")
    if not (folder / role).is_dir():
        known = sorted([*CONTROLS, *(path.name for path in folder.glob("*") if path.is_dir())])
        raise ConfigError(f"unknown role {role!r}. Known: {', '.join(known)}.{did_you_mean(role, known)}")
    return folder / role


def _agent(
    config: DebateConfig,
    name: str,
    backends: Backends,
    targets: Mapping[str, str],
    shots: tuple[tuple[str, str], ...],
    checked: dict[Prompts, Prompts],
) -> Speaker:
    """Return one agent; agents of the same prompts share them, read and checked once."""
    agent = config.agents[name]
    if agent.backend is not None and is_belief_backend(agent.backend):
        return _specialist(config, name, agent.backend, backends)
    if stray := _set(agent, SPECIALISTS_ONLY):
        raise ConfigError(
            f"agents.{name}.{stray}: only agents with a belief backend have it; `debate backends` lists these"
        )
    if agent.weighs is None and _set(agent, ["words"]):
        raise ConfigError(
            f"agents.{name}.words: only agents that hold a belief over labels have it; add weighs: labels"
        )
    if is_belief_backend(config.backend):
        raise ConfigError(
            f"backend: {config.backend} holds beliefs over labels, and has no tokens to say them in. Give it to agents, "
            "and let the debate's own backend be a language model, or the mock"
        )
    backend = backends.get(agent.backend or config.backend, agent.model or config.model, agent.options)
    if agent.is_control:
        return Control(name, backend, str(agent.role), targets)
    prompts = Prompts(
        prompts_folder(agent.prompts or config.prompts or task_prompts(config.task)),
        config.format,
        role=role_folder(agent.role) if agent.role else None,
        shared=prompts_folder("shared"),
        agreement=agent.agreement if agent.agreement is not None else config.agreement,
        shots=shots,
    )
    if prompts not in checked:
        prompts.check()
        checked[prompts] = prompts
    debater = Agent(
        name=name,
        backend=backend,
        prompts=checked[prompts],
        sampling=Sampling(
            temperature=agent.temperature,
            top_p=agent.top_p,
            top_k=agent.top_k,
            max_tokens=config.max_tokens,
            stop=config.stop,
            top_beliefs=config.top_beliefs,
        ),
        encoder=own_encoder(config, name) if config.message == "cipher" and not agent.is_judge else None,
        # Looked at here, so that a mistyped folder stops a run before its first turn.
        adapter=None if agent.adapter is None else str(find_adapter(agent.adapter)),
    )
    return debater if agent.weighs is None else _chooser(debater, agent)


def _chooser(debater: Agent, agent: AgentConfig) -> Chooser:
    """Return a debater that weighs options in place of generating."""
    tokenizer = tokenizer_of(debater.backend)
    if tokenizer is None:
        raise ConfigError(f"agent {debater.name!r} weighs options in its model's tokens, and these are not known")
    fields = {field.name: getattr(debater, field.name) for field in dataclasses.fields(debater)}
    verbaliser = Verbaliser(tokenizer, debater.backend.fingerprint)
    return Chooser(**fields, verbaliser=verbaliser, weighs=agent.weighs or "labels", words=agent.words)


def _set(agent: AgentConfig, keys: Sequence[str]) -> str | None:
    """Return the first of some keys that an agent's config changes."""
    return next((key for key in keys if getattr(agent, key) != AgentConfig.model_fields[key].default), None)


def _specialist(config: DebateConfig, name: str, believer: str, backends: Backends) -> Specialist:
    """Return an agent with a belief backend; it speaks in the tokens of the debate's language model."""
    agent: AgentConfig = config.agents[name]
    if stray := _set(agent, ("role", "prompts", "weighs")):
        raise ConfigError(
            f"agents.{name}.{stray}: {believer} reads no prompts, and has neither role, prompts nor weighs"
        )
    backend = backends.get(config.backend, agent.model or config.model)
    tokenizer = tokenizer_of(backend)
    if tokenizer is None:
        raise ConfigError(
            f"agents.{name}: {believer} says its belief in the tokens of the debate's model, and those of {config.backend} "
            "are not known. Let the debate's own backend be transformers, vllm or mock, and give the API to an agent"
        )
    return Specialist(
        name=name,
        believer=backends.believer(believer, agent.checkpoint, agent.options),
        backend=backend,
        verbaliser=Verbaliser(tokenizer, backend.fingerprint),
        sampling=Sampling(temperature=agent.temperature),
        pool=None if agent.pool is None else find_pool(agent.pool),
        trust=agent.trust,
        words=agent.words,
        encoder=own_encoder(config, name) if config.message == "cipher" else None,
    )


def find_pool(text: str) -> Pool:
    """Return the rule that a config names, e.g. `product(prior=[0.7, 0.3])`.

    Raises:
        UnknownName: no such rule.
        ConfigError: a parameter that it does not take.
    """
    call = parse_call(text, "pool")
    if call.name not in POOLS:
        raise UnknownName("pool", call.name, POOLS)
    check_parameters(call, "pool", POOLS[call.name])
    return POOLS[call.name](**call.parameters)
