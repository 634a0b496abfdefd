"""Config → debate: backends started once and shared, agents with their prompts, the graph and the protocol."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agents.adapter import find_adapter
from agents.backend import Sampling
from agents.beliefs.cards import is_belief_backend
from agents.beliefs.pooling import POOLS, Pool
from agents.beliefs.verbaliser import Verbaliser
from agents.errors import ConfigError, UnknownName
from agents.prompts import Prompts
from agents.speakers.agent import Agent
from agents.speakers.chooser import Chooser
from agents.speakers.controls import Control
from agents.speakers.specialist import Specialist
from agents.tokenizers import tokenizer_of
from debate.config.named import check_parameters, parse_named
from debate.config.schema import AgentConfig, DebateConfig
from debate.config.shipped import prompts_folder, role_folder, task_prompts
from debate.hearing import Hearing, Speaker, takes_vectors
from debate.orchestrator import Debate
from debate.preview.checks import check
from debate.protocol.exchange import Exchange, build_exchange, own_encoder
from debate.protocol.protocol import Protocol
from debate.protocol.stopped import Stopped
from debate.protocol.stopping import Extract, StoppingContext, stopping_rule
from debate.runtime.backends import Backends
from kernels.encoders import parse

if TYPE_CHECKING:
    pass

# Keys of an agent that mean something to a belief backend alone.
SPECIALISTS_ONLY = ("checkpoint", "pool", "trust")


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
    watch = StoppingContext(tuple(config.temperatures), exchange.planned.chairs, extract)
    rule = stopping_rule(config.stopping, watch)
    if rule is not None:
        protocol = Stopped(exchange.planned, rule)
    encoders = {turn: encoder for turn, encoder in exchange.encoders.items() if encoder != agents[turn.agent].encoder}
    debate = Debate(agents, protocol, config.seed, encoders, Hearing(extract, config.min_mapped, config.thinking))
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
    call = parse_named(text, "pool")
    if call.name not in POOLS:
        raise UnknownName("pool", call.name, POOLS)
    check_parameters(call, "pool", POOLS[call.name])
    return POOLS[call.name](**call.parameters)
