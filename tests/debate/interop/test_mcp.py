"""An MCP client against `debate mcp`, over standard input and output as assistants run it, and in this process."""

import sys

import pytest
from support.serving import SUM, smoke

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters, stdio_client

from debate.interop.mcp_server import server_of
from debate.serving.local import LocalModels

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


async def debated(client):
    """Return the tools, what a debate came to, its progress, and what was said in it."""
    told = []

    async def progress(count, total, message):
        told.append((count, message))

    tools = {tool.name for tool in (await client.list_tools()).tools}
    found = await client.call_tool("debate", {"question": SUM, "rounds": 2}, progress_callback=progress)
    assert not found.is_error, found
    answer = found.structured_content
    shown = await client.call_tool("show_debate", {"id": answer["id"]})
    return tools, answer, told, shown.structured_content


def check(tools, answer, told, shown):
    assert tools == {"debate", "show_debate"}
    assert (answer["answer"], answer["rounds"]) == ("15", 2)
    assert answer["text"].endswith("Answer: 15")
    assert [count for count, _ in told] == [1, 2, 3, 4]
    assert any(message.startswith("ben, round 2:") for _, message in told)
    assert shown["question"] == SUM
    assert [(turn["round"], turn["agent"]) for turn in shown["turns"]] == [
        (1, "ada"),
        (1, "ben"),
        (2, "ada"),
        (2, "ben"),
    ]
    assert shown["turns"][2]["heard"] == ["1/ben"]


def test_a_client_debates_over_pipes(run):
    async def main():
        command = StdioServerParameters(command=sys.executable, args=["-m", "debate", "mcp", "smoke"])
        async with Client(stdio_client(command)) as client:
            return await debated(client)

    check(*run(main()))


def test_mistakes_are_told_to_the_client_in_a_sentence(run):
    async def main(models):
        async with Client(server_of(models)) as client:
            check(*await debated(client))
            for arguments, sentence in (
                ({"question": SUM, "rounds": 99}, "allows up to 3"),
                ({"question": SUM, "config": "no"}, "no model 'no'"),
                ({"question": " "}, "empty"),
            ):
                found = await client.call_tool("debate", arguments)
                assert found.is_error
                assert sentence in found.content[0].text
            found = await client.call_tool("show_debate", {"id": "x"})
            assert found.is_error
            assert "no debate 'x'" in found.content[0].text
            alone = await client.call_tool("debate", {"question": SUM, "config": "smoke/ben"})
            assert alone.structured_content["rounds"] == 1
            # No chat interface asks here for itself.
            whole = await client.call_tool("debate", {"question": f"### Task:\n{SUM}"})
            assert whole.structured_content["rounds"] == 3

    with LocalModels({"smoke": smoke()}) as models:
        run(main(models))
