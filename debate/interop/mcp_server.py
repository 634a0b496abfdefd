"""Debates as tools of the Model Context Protocol."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from agents.errors import DebateError
from agents.installed import installed_version
from debate.serving.growing import told
from debate.serving.local import LocalModels
from debate.transcript import Turn, turn_fields

NAME = "cipher-debate"
# Debates that are kept to be shown.
MOST_KEPT = 256


def server_of(models: LocalModels) -> MCPServer[Any]:
    """Return a server with the tools `debate` and `show_debate`.

    Args:
        models: the configs, and their agents alone.
    """
    server: MCPServer[Any] = MCPServer(
        NAME,
        version=installed_version(NAME) or "",
        instructions="Language models that debate a question in rounds, and one answer. Served: "
        + ", ".join(models.ids),
    )
    # In words: the vectors of so many debates would fill the memory.
    kept: OrderedDict[str, dict[str, Any]] = OrderedDict()

    @server.tool()
    async def debate(
        question: str, context: Context[Any, Any], config: str = "", rounds: int | None = None
    ) -> dict[str, Any]:
        """Let several language models debate a question, and return the answer that they come to.

        Args:
            question: the question, whole: the debaters see nothing else.
            context: of the call.
            config: which debate, or one agent of it as CONFIG/AGENT; the first that is served by default.
            rounds: how often each speaks, up to the config's own; the config's by default.
        """
        said: asyncio.Queue[Turn] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        overrides = {} if rounds is None else {"rounds": rounds}
        body = {
            "model": config or models.ids[0],
            "messages": [{"role": "user", "content": question}],
            "debate": overrides,
        }

        def tell(turn: Turn) -> None:
            loop.call_soon_threadsafe(said.put_nowait, turn)

        telling = asyncio.create_task(_tell(said, context))
        try:
            found = await models.ask(body, tell)
        except DebateError as error:
            raise ToolError(str(error)) from error
        finally:
            # Of turns that were said all are told before the answer.
            await asyncio.sleep(0)
            joined = asyncio.ensure_future(said.join())
            await asyncio.wait([joined, telling], return_when=asyncio.FIRST_COMPLETED)
            joined.cancel()
            telling.cancel()
        transcript = found.outcome.transcript
        kept[found.id] = {"question": transcript.question.text, "turns": _turns(transcript.turns)}
        while len(kept) > MOST_KEPT:
            kept.popitem(last=False)
        decision = found.outcome.decision
        return {
            "id": found.id,
            "answer": decision.answer,
            "reason": decision.reason,
            "answers": dict(decision.answers),
            "text": found.content,
            "rounds": transcript.rounds,
            "tokens": transcript.generated_tokens,
        }

    @server.tool()
    async def show_debate(id: str) -> dict[str, Any]:
        """Return everything that was said in a debate: who, in which round, what, and what each heard.

        Args:
            id: of the debate, as `debate` returned it.
        """
        if id not in kept:
            raise ToolError(f"no debate {id[:80]!r} was played here; the last {MOST_KEPT} are kept")
        return kept[id]

    return server


def _turns(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    names = ("round", "agent", "text", "encoder", "heard", "prompt_tokens", "generated_tokens", "finish_reason")
    return [{name: turn_fields(turn)[name] for name in names} for turn in turns]


async def _tell(said: "asyncio.Queue[Turn]", context: Context[Any, Any]) -> None:
    """Report each turn as it is said, until cancelled."""
    count = 0
    while True:
        turn = await said.get()
        count += 1
        await context.report_progress(count, message=told(turn).strip())
        said.task_done()
