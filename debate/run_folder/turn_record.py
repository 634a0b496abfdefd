"""A turn as a record of the journal, and back. What depends on the clock or on who shared a batch stands apart, in `cost`."""

import re
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from agents.backend import Usage
from agents.errors import ConfigError, RunError, UnknownName
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.reduction import reduction
from agents.signature import read_signature
from debate.run_folder.message_store import MessageStore
from debate.transcript import Control, Reduced, Summary, Turn, TurnKey

# SHA-256, as messages are named by it.
DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Cost:
    """What taking a turn took; two runs of one config may differ in it.

    Attributes:
        seconds: time from submission to answer in the try that succeeded.
        engine: name of the engine that said it.
        tries: number of submissions.
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
    if turn.log_likelihood is not None:
        fields["log_likelihood"] = turn.log_likelihood
    if turn.controls:
        fields["controls"] = [
            [key.round, key.agent, control.content, *([control.question] if control.question else [])]
            for key, control in turn.controls
        ]
    if turn.reduced:
        fields["reduced"] = [
            {
                "of": [key.round, key.agent],
                "rule": one.rule,
                "before": one.before,
                "after": one.after,
                "positions": [group[0] if len(group) == 1 else list(group) for group in one.groups],
                "digest": one.digest,
            }
            for key, one in turn.reduced
        ]
    if turn.left_out:
        fields["left_out"] = [[key.round, key.agent] for key in turn.left_out]
    if turn.forgotten:
        fields["forgotten"] = turn.forgotten
    if turn.summary is not None:
        fields["summary"] = {
            "of": [[key.round, key.agent] for key in turn.summary.of],
            "text": turn.summary.text,
            "usage": asdict(turn.summary.usage),
        }
    if message.is_cipher:
        fields |= {"text": message.text, "encoder": message.encoder, "temperature": message.temperature}
        if message.thinking:
            fields |= {"thinking": message.thinking, "thinking_tokens": message.thinking_tokens}
    else:
        fields |= message.header()
    if turn.signature is not None:
        fields["signature"] = turn.signature.header()
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
            text(record["text"]),
            model,
            float(record["temperature"]),
            tuple(map(whole, record["token_ids"])),
            thinking=text(record.get("thinking", "")),
            thinking_tokens=whole(record.get("thinking_tokens", 0)),
        )
    else:
        message = messages.get(text(record["digest"]))
    usage, cost = record["usage"], record["cost"]
    return Turn(
        key=turn_key(record),
        message=message,
        heard=tuple(_key(number, agent) for number, agent in record["heard"]),
        seed=whole(record["seed"]),
        usage=Usage(*map(whole, (usage["prompt_tokens"], cost["cached_tokens"], usage["generated_tokens"]))),
        finish_reason=text(record["finish_reason"]),  # type: ignore[arg-type]
        mapped=tuple((_key(number, agent), float(mass)) for number, agent, mass in record.get("mapped", [])),
        read_out=tuple(_key(number, agent) for number, agent in record.get("read_out", [])),
        controls=tuple(
            (_key(number, agent), Control(*map(text, about))) for number, agent, *about in record.get("controls", [])
        ),
        reduced=tuple(map(_reduced, record.get("reduced", []))),
        place=whole(record["place"]),
        left_out=tuple(_key(number, agent) for number, agent in record.get("left_out", [])),
        forgotten=whole(record.get("forgotten", 0)),
        summary=_summary(record["summary"]) if "summary" in record else None,
        signature=read_signature(record["signature"]) if "signature" in record else None,
        log_likelihood=float(record["log_likelihood"]) if "log_likelihood" in record else None,
    )


def _summary(fields: dict[str, Any]) -> Summary:
    of = tuple(_key(number, agent) for number, agent in fields["of"])
    counts = {name: whole(fields["usage"][name]) for name in ("prompt_tokens", "cached_tokens", "generated_tokens")}
    return Summary(of, text(fields["text"]), Usage(**counts))


def _reduced(fields: dict[str, Any]) -> tuple[TurnKey, Reduced]:
    groups = tuple(
        tuple(map(whole, group)) if isinstance(group, list) else (whole(group),) for group in fields["positions"]
    )
    before, digest = whole(fields["before"]), text(fields["digest"])
    if whole(fields["after"]) != len(groups):
        raise ValueError(f"{fields['after']} positions of a reduced message, and {len(groups)} are listed")
    # One heard position follows another, and those of a merged one are neighbours: every position stands once, in order.
    places = [place for group in groups for place in group]
    if not all(groups) or bool(places) != bool(before) or any(one >= two for one, two in pairwise(places)):
        raise ValueError("positions of a reduced message are some, each once, in order")
    if places and places[-1] >= before:
        raise ValueError(f"position {places[-1]} of a message of {before}")
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest[:80]!r} is no digest of a message")
    return _key(*fields["of"]), Reduced(_rule(text(fields["rule"])), before, groups, digest)


@lru_cache(maxsize=256)
def _rule(rule: str) -> str:
    """Return a rule by which messages are reduced, as it was written.

    Raises:
        ValueError: it is none.
    """
    try:
        found = reduction(rule)
    except (ConfigError, UnknownName) as error:
        raise ValueError(f"{rule[:80]!r} reduces nothing: {error}") from error
    if found is None:
        raise ValueError(f"{rule[:80]!r} reduces nothing")
    return rule


def turn_key(record: dict[str, Any]) -> TurnKey:
    """Return which turn a record is of.

    Raises:
        ValueError: it says so in no way that a run does.
    """
    return _key(record["round"], record["agent"])


def _key(number: Any, agent: Any) -> TurnKey:
    # A run has many turns and few agents: their names are kept once.
    return TurnKey(whole(number), sys.intern(text(agent)))


def whole(value: Any) -> int:
    """Return a value of a record that is a whole number of at least 0.

    Raises:
        ValueError: it is something else.
    """
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:60]!r} is no whole number of at least 0")
    return value


def text(value: Any) -> str:
    """Return a value of a record that is a text.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:60]!r} is no text")
    return value
