"""What Inspect finds by its entry point: the provider `cipher-debate/CONFIG` and the solver `debate/debate`."""

from typing import Any

from inspect_ai.agent import Agent, AgentState, agent
from inspect_ai.model import ModelAPI, modelapi
from inspect_ai.solver import Generate, Solver, TaskState, solver

PROVIDER = "cipher-debate"


@modelapi(name=PROVIDER)
def provider() -> type[ModelAPI]:
    """Return the provider: `--model cipher-debate/debaters/experts -M method=text`."""
    from debate.interop.inspect_model import DebateAPI

    return DebateAPI


@solver(name="debate")
def debate_solver(config: str, **options: Any) -> Solver:
    """Return a solver that debates a sample's question, a span for each round and for each agent in it.

    Args:
        config: a config file, or the name of a shipped one.
        options: `agent`, `method`, `rounds`, `temperature`, `seed`, `concurrent` and `out`, as of the provider.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        from debate.interop.inspect_spans import debated

        message, output = await debated(config, options, state.messages, str(state.sample_id))
        state.messages.append(message)
        state.output = output
        return state

    return solve


@agent(name="debate_agent", description="Several language models that debate the question and give one answer.")
def debate_agent(config: str, **options: Any) -> Agent:
    """Return an agent that answers the last message of a conversation by a debate, a span for each round and agent in it.

    Args:
        config, options: as of the solver.
    """

    async def execute(state: AgentState) -> AgentState:
        from debate.interop.inspect_spans import debated

        message, output = await debated(config, options, state.messages, None)
        state.messages.append(message)
        state.output = output
        return state

    return execute
