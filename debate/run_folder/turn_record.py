"""A turn as a record of the journal, and back. What depends on the clock or on who shared a batch stands apart, in `cost`."""

import sys
from dataclasses import asdict, dataclass
from typing import Any

from agents.backend import Usage
from agents.errors import RunError
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from debate.run_folder.message_store import MessageStore
from debate.transcript import Turn, TurnKey


@dataclass(frozen=True)
class Cost:
    """What taking a turn took; two runs of one config may differ in it.

    Fields:
        seconds: from submitting it to having it, of the try that succeeded.
        engine: which one said it.
        tries: how often it was submitted.
    """

    seconds: float
    engine: str = ""
    tries: int = 1


def turn_record(turn: Turn, cost: Cost) -> dict[str, Any]:
    """Return the fields of a turn; of a CIPHER message only the digest, which names its file."""
    message, usage = turn.message, turn.usage
    fields: dict[str, Any] = {
        "agent": turn.key.agent,
        "round": turn.key.round,
        "place": turn.place,
        "heard": [[key.round, key.agent] for key in turn.heard],
        "seed": turn.seed,
        "finish_reason": turn.finish_reason,
        "usage": {"prompt_tokens": usage.prompt_tokens, "generated_tokens": usage.generated_tokens},
        "bytes": message.num_bytes,
        "digest": message.digest,
    }
    if turn.mapped:
        fields["mapped"] = [[key.round, key.agent, mass] for key, mass in turn.mapped]
    if turn.read_out:
        fields["read_out"] = [[key.round, key.agent] for key in turn.read_out]
    if message.is_cipher:
        fields |= {"text": message.text, "encoder": message.encoder, "temperature": message.temperature}
        if message.thinking:
            fields |= {"thinking": message.thinking, "thinking_tokens": message.thinking_tokens}
    else:
        fields |= message.header()
    fields["cost"] = {**asdict(cost), "seconds": round(cost.seconds, 4), "cached_tokens": usage.cached_tokens}
    return fields


def read_turn(record: dict[str, Any], messages: MessageStore) -> Turn:
    """Return the turn of a record.

    Raises:
        MessageError: its file is missing or damaged.
        RunError: a record that is sound and says what no version writes.
    """
    try:
        return _turn(record, messages)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"a turn in the journal is none that a run writes ({type(error).__name__}: {error})") from error


def _turn(record: dict[str, Any], messages: MessageStore) -> Turn:
    if record["encoder"] is None:
        model = ModelFingerprint(**record["model"])
        message = Message(
            record["text"],
            model,
            record["temperature"],
            tuple(record["token_ids"]),
            thinking=record.get("thinking", ""),
            thinking_tokens=record.get("thinking_tokens", 0),
        )
    else:
        message = messages.get(record["digest"])
    usage, cost = record["usage"], record["cost"]
    return Turn(
        key=turn_key(record),
        message=message,
        heard=tuple(TurnKey(number, agent) for number, agent in record["heard"]),
        seed=record["seed"],
        usage=Usage(usage["prompt_tokens"], cost["cached_tokens"], usage["generated_tokens"]),
        finish_reason=record["finish_reason"],
        mapped=tuple((TurnKey(number, agent), mass) for number, agent, mass in record.get("mapped", [])),
        read_out=tuple(TurnKey(number, agent) for number, agent in record.get("read_out", [])),
        place=record["place"],
    )


def turn_key(record: dict[str, Any]) -> TurnKey:
    """Return which turn a record is of."""
    # A run has many turns and few agents: their names are kept once.
    return TurnKey(record["round"], sys.intern(record["agent"]))
