"""What is served: each config as a model, and each of its debaters alone as another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.backend import Backend
from agents.beliefs.cards import is_belief_backend
from agents.decoding.thinking import knows_tags
from agents.errors import ConfigError, UnknownName
from agents.pretrained import Progress
from agents.prompts import Prompts
from agents.registry import load
from agents.speakers.speaker import Speaker
from agents.tokenizers import tokenizer_of
from debate.ask import task_reader
from debate.build import build_debate
from debate.config.load import load_config, merged, validate
from debate.config.schema import DebateConfig
from debate.decision.decision import Decision, Poll, Reader
from debate.decision.rules import decision_rule
from debate.orchestrator import Debate
from debate.serving.engines import Pool, PooledBackends
from debate.serving.errors import ApiError
from debate.serving.limits import Limits
from debate.serving.requests import Asked
from debate.transcript import Transcript

# The rows of a table are said above this package: found by name, as tasks are.
ROW, SINGLE, NAMES = "evals.methods:resolve", "evals.methods:method_config", "evals.methods:servable"
# Debates that are kept built: a client asks for few kinds, many times.
MOST_BUILT = 64
MethodConfig = Callable[..., DebateConfig]


@dataclass(frozen=True)
class Plan:
    """What one request plays.

    Attributes:
        config: with the request's overrides.
        debate: built of it.
        method: the row of `debate eval` that it is, for the record.
        reader: a response → the answer in it.
        backends: the engines.
        instructions: what whoever asks says to every agent.
    """

    config: DebateConfig
    debate: Debate
    method: str
    reader: Reader
    backends: PooledBackends
    instructions: str = ""

    @property
    def most_tokens(self) -> int:
        """Tokens generated if every turn is as long as it may be."""
        return self.debate.protocol.num_turns * self.config.max_tokens

    @property
    def decider(self) -> Speaker:
        """The agent that decides, or the one that speaks alone."""
        return self.debate.agents[self.config.deciding_agent]

    def speaks_plainly(self, agent: str) -> bool:
        """Whether an agent says its message from the first token on, and not thoughts before it, of which only the end tells."""
        tokenizer = tokenizer_of(self.debate.agents[agent].backend)
        return tokenizer is not None and not knows_tags(tokenizer)

    @property
    def engines(self) -> list[Backend]:
        """The engines that its agents speak by, each once."""
        return list({id(agent.backend): agent.backend for agent in self.debate.agents.values()}.values())

    def decide(self, transcript: Transcript) -> Decision:
        """Return what a debate comes to."""
        rule = decision_rule(self.config.decision, self.backends.decode)
        return rule(Poll(transcript, self.config.electorate, self.reader, getattr(self.reader, "same", None)))


class ServedModel:
    """A config, or one of its debaters alone, under the id by which clients ask for it.

    Args:
        id: the id.
        config: the debate.
        backends: its engines.
        agent: the debater that speaks alone; None for the debate.
    """

    def __init__(self, id: str, config: DebateConfig, backends: PooledBackends, agent: str | None = None) -> None:
        self.id, self.config, self.agent = id, config, agent
        self._backends, self._reader = backends, task_reader(config)
        self._row: MethodConfig = load(ROW, "methods", "")
        self._single: MethodConfig = load(SINGLE, "methods", "")
        self._rows: tuple[str, ...] = load(NAMES, "methods", "")(config)
        # Read once, so that a server's prompts cannot change under it.
        self._read: dict[Prompts, Prompts] = {}
        self._built: dict[tuple[object, ...], Plan] = {}

    def plan(self, asked: Asked, limits: Limits, *, instructions: str = "", alone: bool = False) -> Plan:
        """Return what a request plays.

        Args:
            asked: the request.
            limits: what the server allows.
            instructions: of the system messages, to every agent.
            alone: one agent answers, whichever config is asked.

        Raises:
            ApiError: an override that the server does not allow.
            DebateError: one that the config does not take.
        """
        changes = asked.debate.model_dump(exclude_none=True)
        for key in changes:
            if key not in limits.overrides:
                allowed = ", ".join(limits.overrides) or "none"
                raise ApiError(
                    400, f"debate.{key}: this server does not allow it; allowed: {allowed}", param=f"debate.{key}"
                )
        changes.pop("id", None)
        changes["seed"] = self.config.seed if asked.drawn_seed is None else asked.drawn_seed
        kind = (*sorted(changes.items()), instructions, alone, asked.longest, limits)
        if kind not in self._built:
            while len(self._built) >= MOST_BUILT:
                del self._built[next(iter(self._built))]
            self._built[kind] = self._build(changes, asked.longest, limits, instructions, alone)
        return self._built[kind]

    def _build(
        self, changes: Mapping[str, Any], longest: int | None, limits: Limits, instructions: str, alone: bool
    ) -> Plan:
        config, method = self._configured(changes, limits, alone)
        if longest is not None and longest < config.max_tokens:
            config = config.model_copy(update={"max_tokens": longest})
        debate = build_debate(
            config,
            self._backends,
            extract=lambda said, _: self._reader(said),
            instructions=instructions,
            read=self._read,
        )
        plan = Plan(config, debate, method, self._reader, self._backends, instructions)
        if limits.max_tokens is not None and plan.most_tokens > limits.max_tokens:
            raise ApiError(
                400,
                f"{self.id} may generate {plan.most_tokens} tokens in {debate.protocol.num_turns} turns; this server allows "
                f"{limits.max_tokens}: ask for fewer rounds or a lower max_tokens",
                code="too_many_tokens",
                param="max_tokens",
            )
        return plan

    def _configured(self, changes: Mapping[str, Any], limits: Limits, alone: bool) -> tuple[DebateConfig, str]:
        """Return the config of a request, and the method that it is."""
        config, method = self.config, changes.get("method")
        if self.agent is not None or alone:
            if method not in (None, "single") or changes.get("rounds", 1) != 1:
                raise ApiError(
                    400, f"{self.id} is one agent, which speaks once; leave method and rounds out", param="debate"
                )
            config = self._single(config, "single", agent=self.agent)
            method = "single"
        elif method == "single" and changes.get("rounds", 1) != 1:
            raise ApiError(
                400,
                f"debate.rounds is {changes['rounds']}, and the method single is one agent, which speaks once; leave rounds out",
                param="debate.rounds",
            )
        elif method is not None:
            if method not in self._rows:
                raise UnknownName("method", method, self._rows, where="debate.method")
            config = self._row(config, method)
        keys: dict[str, Any] = {"seed": changes["seed"]}
        if (rounds := changes.get("rounds")) is not None and method != "single":
            most = limits.max_rounds or self.config.rounds
            if rounds > most:
                raise ApiError(
                    400,
                    f"debate.rounds is {rounds}; this server allows up to {most} of {self.id}",
                    param="debate.rounds",
                )
            keys["rounds"] = rounds
        if (temperature := changes.get("temperature")) is not None:
            keys["agents"] = {
                name: {"temperature": temperature} for name, agent in config.agents.items() if not agent.is_control
            }
        changed = validate(merged(config.model_dump(by_alias=True), keys), source=self.id)
        return changed, method or config.message


class Catalogue:
    """All models of a server, their engines loaded.

    Args:
        configs: id → config.
        limits: what the server allows.
        progress: told what takes time.

    Raises:
        DebateError: a config that cannot be played, or may generate more than the server allows.
    """

    def __init__(
        self, configs: Mapping[str, DebateConfig], limits: Limits, progress: Progress = lambda _: None
    ) -> None:
        self._pool = Pool()
        self._models: dict[str, ServedModel] = {}
        self._backends: list[PooledBackends] = []
        for id, config in configs.items():
            backends = PooledBackends(config, self._pool, progress)
            self._backends.append(backends)
            agents = [
                name
                for name in config.electorate.voters
                if not (config.agents[name].is_control or config.agents[name].weighs)
                and not is_belief_backend(config.agents[name].backend or config.backend)
            ]
            for agent in (None, *agents):
                model = ServedModel(id if agent is None else f"{id}/{agent}", config, backends, agent)
                try:
                    model.plan(Asked(model=model.id), limits)
                except ApiError as error:
                    raise ConfigError(f"--max-tokens: {error.message}") from error
                if model.id in self._models:
                    raise ConfigError(f"two models would be called {model.id!r}; rename a config's file or an agent")
                self._models[model.id] = model
        self._pool.is_sealed = True

    @property
    def ids(self) -> Sequence[str]:
        """The models' ids, configs before their agents."""
        return list(self._models)

    @property
    def models(self) -> Sequence[ServedModel]:
        """The models, in the order of their ids."""
        return list(self._models.values())

    def get(self, id: str) -> ServedModel:
        """Return a model.

        Raises:
            ApiError: 404, there is none.
        """
        if id not in self._models:
            known = ", ".join(self._models)
            raise ApiError(
                404, f"no model {id[:200]!r} is served here. Served: {known}", code="model_not_found", param="model"
            )
        return self._models[id]

    async def close(self) -> None:
        """Free the engines, which the configs share."""
        await self._backends[0].close()


def configs_of(names: Sequence[Path], settings: Sequence[str] = ()) -> dict[str, DebateConfig]:
    """Return config by id: a shipped one's name, another file's name without its ending.

    Raises:
        ConfigError: one that cannot be used, or two of one id.
    """
    found: dict[str, DebateConfig] = {}
    for name in names:
        is_file = name.suffix in (".yaml", ".yml") or name.is_absolute()
        id = name.stem if is_file else name.as_posix()
        if id in found:
            raise ConfigError(f"two configs would be served as {id!r}; rename a file")
        found[id] = load_config(name, settings)
    return found
