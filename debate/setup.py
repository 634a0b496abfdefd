"""Config → debate: backends started once and shared, agents with their prompts, the graph and the protocol."""

from typing import Any

from agents.agent import Agent
from agents.backend import Backend, Sampling
from agents.pretrained import Progress
from agents.prompts import Prompts
from agents.registry import create_backend
from debate.config import DebateConfig, prompts_folder
from debate.graph import build_graph
from debate.orchestrator import Debate
from debate.protocol import SimultaneousRounds


class Backends:
    """Engines by (backend, model), each started once however many agents and methods use it."""

    def __init__(self, config: DebateConfig, progress: Progress = lambda _: None) -> None:
        self._config, self._progress = config, progress
        self._started: dict[tuple[str, str], Backend] = {}

    def get(self, name: str, model: str) -> Backend:
        """Return the backend that holds a model, started if need be."""
        if (name, model) not in self._started:
            options: dict[str, Any] = {"dtype": self._config.dtype, **self._config.options}
            self._started[name, model] = create_backend(name, model=model, progress=self._progress, **options)
        return self._started[name, model]

    @property
    def started(self) -> list[Backend]:
        """Every engine that runs."""
        return list(self._started.values())

    async def close(self) -> None:
        """Close them all."""
        for backend in self._started.values():
            await backend.close()


def build_debate(config: DebateConfig, backends: Backends) -> Debate:
    """Return the debate of a config.

    Raises:
        DebateError: anything in it that cannot be: an unknown topology, missing prompts, a model that is not there.
    """
    graph = build_graph(config.topology, list(config.agents))
    agents = {}
    for name, agent in config.agents.items():
        prompts = Prompts(prompts_folder(agent.prompts or config.prompts or config.task), config.format)
        prompts.check()
        agents[name] = Agent(
            name=name,
            backend=backends.get(agent.backend or config.backend, agent.model or config.model),
            prompts=prompts,
            sampling=Sampling(
                temperature=agent.temperature,
                top_p=agent.top_p if config.message == "text" else None,
                top_k=agent.top_k if config.message == "text" else None,
                max_tokens=config.max_tokens,
                stop=config.stop,
                top_beliefs=config.top_beliefs,
            ),
            encoder=(agent.encoder or config.encoder) if config.message == "cipher" else None,
        )
    return Debate(agents, SimultaneousRounds(graph, config.rounds), config.seed)
