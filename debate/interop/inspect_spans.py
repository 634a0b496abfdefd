"""A debate in a transcript of Inspect: a span for each round, and in it one for each agent, with what it said."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from inspect_ai.log import transcript
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ModelOutput
from inspect_ai.util import span

from debate.interop.inspect_model import Asker
from debate.interop.inspect_outputs import said_by, text_messages, turn_facts
from debate.transcript import Turn

SOURCE = "cipher-debate"


async def debated(
    config: str, options: Mapping[str, Any], messages: Sequence[ChatMessage], sample: str | None
) -> tuple[ChatMessageAssistant, ModelOutput]:
    """Return what a debate of a conversation comes to, and leave its spans in the current sample's transcript.

    Args:
        config, options: see `Asker`.
        messages: the conversation.
        sample: its id, from which with the seed and the epoch all that is drawn follows; None to make one of what is asked.
    """
    asker = _asker(config, json.dumps(dict(options), sort_keys=True))
    found = await asker.ask(asker.body(text_messages(messages), id=sample))
    output = asker.output(found)
    # Turns of a round are said side by side; the transcript is a tree, in which they stand one after the other.
    async with span(name=f"debate of {asker.model}", type="debate"):
        for round, turns in groupby(found.outcome.transcript.turns, lambda turn: turn.key.round):
            async with span(name=f"round {round}", type="round"):
                for turn in turns:
                    await _tell(turn)
        transcript().info(dict(output.metadata or {}), source=SOURCE)
    return output.choices[0].message, output


async def _tell(turn: Turn) -> None:
    async with span(name=turn.key.agent, type="agent"):
        transcript().info({"said": said_by(turn).text, **turn_facts(turn)}, source=SOURCE)


@cache
def _asker(config: str, options: str) -> Asker:
    """Return who asks a config; an evaluation's samples share its engines, which end with the process."""
    return Asker(config, json.loads(options))
