"""Config → debate: backends started once and shared, agents with their prompts, the graph and the protocol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agents.backend import Backend, Sampling
from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.cards import is_belief_backend
from agents.errors import ConfigError
from agents.prompts import Prompts
from agents.question import Question
from agents.registry import parse_named
from agents.speakers.kinds import build_speaker
from agents.speakers.speaker import AgentPlan, Speaker
from debate.config.prompt_files import prompts_of
from debate.config.schema import AgentConfig, DebateConfig
from debate.contents import check_contents, swaps
from debate.decision.rules import decision_rule
from debate.donors import donors
from debate.hearing import Hearing
from debate.hearing_tables import hearing_tables
from debate.memory import check_memory
from debate.orchestrator import Debate
from debate.preview.checks import check
from debate.preview.engines import check_transforms
from debate.protocol.exchange import Exchange, build_exchange, own_encoder
from debate.protocol.protocol import Protocol
from debate.protocol.stopped import Stopped
from debate.protocol.stopping import Extract, StoppingContext, stopping_rule
from debate.run_folder.signing import signing_key
from debate.runtime.backends import Backends
from debate.transcript import TurnKey


def build_debate(
    config: DebateConfig,
    backends: Backends,
    *,
    extract: Extract | None = None,
    targets: Mapping[Question, str] | None = None,
    solutions: Mapping[Question, str] | None = None,
    shots: Sequence[tuple[str, str]] = (),
    instructions: str = "",
    read: dict[Prompts, Prompts] | None = None,
    questions: Sequence[Question] = (),
) -> Debate:
    """Return the debate of a config.

    Args:
        config: the debate.
        backends: the engines.
        extract: function from a response and its question's options to its answer, for edges, stopping rules and decisions that
            depend on answers.
        targets: question → right answer, for the controls that are given it.
        solutions: question → right solution in words, which controls say instead of the bare answer.
        shots: the task's worked examples (question and solution), used instead of those in the prompt files.
        instructions: further text for the system turn of every agent.
        read: prompt files read for other debates, which are not read again; those read now are added.
        questions: all questions of the run, for the control that swaps messages between them and for agents that remember them.

    Raises:
        DebateError: a part that does not exist: an unknown topology, missing prompts, a missing model.
    """
    exchange = build_exchange(config)
    # Of a rule that does not exist, lacks a parameter, or does not know a voter, one hears before anything is said.
    decision_rule(config.decision, backends.decode, voters=config.electorate.voters)
    for finding in check(config, exchange):
        if finding.kind == "error":
            raise ConfigError(f"topology: {finding.text}")
        if finding.kind == "warning":
            backends.warn(finding.text)
    if _weighs_texts(config) and config.message != "text":
        raise ConfigError(
            "decision likeliest weighs texts by their own model, and this debate is in CIPHER: set message: text"
        )
    checked = {} if read is None else read
    check_memory(config, exchange, questions)
    plans = [
        _Plan(name, config, backends, targets or {}, solutions or {}, tuple(shots), instructions, checked)
        for name in config.agents
    ]
    agents = {plan.name: build_speaker(plan) for plan in plans}
    protocol: Protocol = exchange.planned
    watch = StoppingContext(config.electorate.voters, exchange.planned.chairs, extract)
    rule = stopping_rule(config.stopping, watch)
    if rule is not None:
        protocol = Stopped(exchange.planned, rule)
    encoders = {turn: encoder for turn, encoder in exchange.encoders.items() if encoder != agents[turn.agent].encoder}
    check_contents(exchange, agents)
    for name in config.electorate.voters if _weighs_texts(config) else ():
        if not agents[name].backend.capabilities.scores:
            raise ConfigError(
                f"decision likeliest: the backend of {name} does not say how likely its texts are; the backend transformers does"
            )
    hearing = Hearing(extract, config.min_mapped, config.thinking)
    tables = hearing_tables(exchange, agents, config.top_beliefs)
    demanded = _demanded(exchange, agents, config)
    swapped = donors(questions) if swaps(exchange) else None
    debate = Debate(agents, protocol, config.seed, encoders, hearing, tables, config.overflow, demanded, swapped)
    for name, encoder in dict.fromkeys((turn.agent, encoder) for turn, encoder in exchange.encoders.items()):
        agents[name].in_encoder(encoder)
    _check_shortened(exchange, agents)
    for sentence in _reduced_in_vain(exchange, agents):
        backends.warn(sentence)
    for name in dict.fromkeys(_deaf(exchange, agents)):
        backends.warn(f"{name}'s backend takes no vectors: it hears CIPHER messages as their readings")
    for sentence in dict.fromkeys(_between_models(exchange, agents, config.min_mapped)):
        backends.warn(sentence)
    return debate


def _weighs_texts(config: DebateConfig) -> bool:
    return parse_named(config.decision, "decision").name == "likeliest"


def _demanded(exchange: Exchange, agents: Mapping[str, Speaker], config: DebateConfig) -> dict[TurnKey, frozenset[str]]:
    """Return the turns that somebody hears only if they are signed, and by which keys.

    Raises:
        ConfigError: the speaker has no key of its own, and the run's is not the one.
    """
    found: dict[TurnKey, frozenset[str]] = {}
    for inbox in exchange.planned.plan.values():
        for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
            if edge.signed is not None:
                found[heard] = found.get(heard, frozenset()) | {edge.signed}
    demanded = {(turn.agent, key) for turn, keys in found.items() for key in keys}
    own = {name for name, _ in demanded if not agents[name].backend.capabilities.signs}
    ours = signing_key(config.execution.sign_with) if own else None
    for name, key in sorted(demanded):
        if name in own and (ours is None or ours.public != key):
            with_what = "no key is given" if ours is None else f"the run signs with {ours.public}"
            raise ConfigError(
                f"topology: an edge from {name} demands a signature by {key}, and {with_what}. Give its private key with "
                "--sign-with, or drop `signed` on the edge."
            )
    return found


def _deaf(exchange: Exchange, agents: Mapping[str, Speaker]) -> Iterator[str]:
    """Yield the agents that are to hear vectors and cannot."""
    for turn, inbox in exchange.planned.plan.items():
        hearer = agents[turn.agent]
        if not hearer.listens or hearer.takes_vectors:
            continue
        pairs = zip(inbox.heard, inbox.edges, strict=True)
        if any(edge.wants_vectors and exchange.encoders[heard] for heard, edge in pairs):
            yield turn.agent


def _between_models(exchange: Exchange, agents: Mapping[str, Speaker], min_mapped: float) -> Iterator[str]:
    """Yield how vectors pass between agents of different models, where they do not pass as they are."""
    for turn, inbox in exchange.planned.plan.items():
        hearer = agents[turn.agent]
        if not hearer.listens or not hearer.takes_vectors:
            continue
        for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
            sender, receiver = agents[heard.agent].backend.fingerprint, hearer.backend.fingerprint
            if not (edge.wants_vectors and exchange.encoders[heard]) or sender.same_table(receiver):
                continue
            if sender.same_tokenizer(receiver):
                yield f"{sender.model} and {receiver.model} have one tokenizer and two tables: beliefs pass on the hearer's table"
            else:
                yield (
                    f"{sender.model} and {receiver.model} have two tokenizers: beliefs pass token by token, and a message of "
                    f"which less than {min_mapped:.0%} maps is heard as text"
                )


def _check_shortened(exchange: Exchange, agents: Mapping[str, Speaker]) -> None:
    """Raise ConfigError where only the first tokens are to be heard of an agent whose tokens nobody knows."""
    for inbox in exchange.planned.plan.values():
        for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
            speaker = agents[heard.agent]
            if edge.first_tokens is not None and not speaker.knows_tokens:
                raise ConfigError(
                    f"topology: first_tokens is {edge.first_tokens} for what {heard.agent} says, but its backend is an API "
                    "that does not tell its tokens. Limit its messages by max_tokens, or drop first_tokens on its edges."
                )


def _reduced_in_vain(exchange: Exchange, agents: Mapping[str, Speaker]) -> Iterator[str]:
    """Yield a warning where messages are to be reduced and nobody hears vectors, as in a row of text beside rows of CIPHER.

    Raises:
        ConfigError: the reading of a message, which says it whole, stands beside its vectors.
    """
    asked, heard_so = "", False
    for turn, inbox in exchange.planned.plan.items():
        for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
            if edge.reduce is None:
                continue
            asked, hearer = edge.reduce.text, agents[turn.agent]
            speaks = exchange.encoders[heard] is not None and edge.wants_vectors and edge.seen != "answers"
            if speaks and edge.message == "both":
                raise ConfigError(
                    f"reduce: {asked} on {heard.agent} to {turn.agent}: the message is read beside its vectors (message: both), "
                    "and that reading says it whole; let it be message: cipher, or reduce: none on this edge"
                )
            heard_so |= speaks and hearer.listens and hearer.takes_vectors
    if asked and not heard_so:
        yield f"reduce: {asked} drops or merges positions of CIPHER messages, and nobody here hears vectors: all is heard whole"


@dataclass(frozen=True)
class _Plan(AgentPlan):
    """One agent of a config; agents of the same prompts share them, read and checked once."""

    name: str
    config: DebateConfig
    backends: Backends
    targets: Mapping[Question, str]
    solutions: Mapping[Question, str]
    shots: tuple[tuple[str, str], ...]
    instructions: str
    checked: dict[Prompts, Prompts]

    @property
    def keys(self) -> AgentConfig:
        return self.config.agents[self.name]

    @property
    def engine_name(self) -> str:
        return self.config.backend

    @property
    def encoder(self) -> str | None:
        speaks = self.config.message == "cipher" and not self.keys.is_judge
        return own_encoder(self.config, self.name) if speaks else None

    @property
    def sampling(self) -> Sampling:
        return Sampling(
            temperature=self.keys.temperature,
            top_p=self.keys.top_p,
            top_k=self.keys.top_k,
            max_tokens=self.config.max_tokens,
            stop=self.config.stop,
            top_beliefs=self.config.top_beliefs,
            likelihood=_weighs_texts(self.config),
        )

    def changed(self, *keys: str) -> str | None:
        defaults = AgentConfig.model_fields
        return next((key for key in keys if getattr(self.keys, key) != defaults[key].default), None)

    def engine(self) -> Backend:
        if is_belief_backend(self.config.backend):
            raise ConfigError(
                f"backend: {self.config.backend} holds beliefs over labels, and has no tokens to say them in. Give it to "
                "agents, and let the debate's own backend be a language model, or the mock"
            )
        name = self.keys.backend or self.config.backend
        if self.keys.is_control:
            self._refuse_transforms()
        if self.keys.transforms:
            check_transforms(self.keys.transforms, name, f"agents.{self.name}")
        return self.backends.get(name, self.config.model_of(self.name), self.keys.options)

    def shared_engine(self) -> Backend:
        self._refuse_transforms()
        return self.backends.get(self.config.backend, self.keys.model or self.config.model)

    def _refuse_transforms(self) -> None:
        """Raise ConfigError for transforms of an agent that speaks by rule or by a belief over labels."""
        if self.keys.transforms:
            raise ConfigError(
                f"agents.{self.name}.transforms: it has no language model of its own that could be transformed; leave them out"
            )

    def believer(self) -> BeliefBackend:
        assert self.keys.backend is not None
        return self.backends.believer(self.keys.backend, self.keys.checkpoint, self.keys.options)

    def prompts(self) -> Prompts:
        prompts = prompts_of(self.config, self.name, self.shots)
        if prompts not in self.checked:
            prompts.check()
            self.checked[prompts] = prompts
        return self.checked[prompts].instructed(self.instructions)
