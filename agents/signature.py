"""Where a message was said, and by whose key that is vouched for: values only. Keys and verifying: agents/signing.py.

What is signed is a line of JSON of the content's digest, the place and the key: a message that is changed, said again elsewhere,
or put under another's name has no valid signature there.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agents.errors import MessageError

FORMAT = 1
# Before what is signed, so that a signature of one thing is none of another.
MESSAGE_DOMAIN = b"cipher-debate message\n"
# Base64 of 32 and of 64 bytes; the last character has bits that say nothing, and they are 0: one text for one value.
_KEY = re.compile(r"ed25519:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
_VALUE = re.compile(r"[A-Za-z0-9+/]{85}[AQgw]==")
# Ids of questions may be long; a run's and a debate's are not.
LONGEST_NAME = 10_000
MOST_ROUNDS = 1 << 31


@dataclass(frozen=True)
class Place:
    """Where one message was said: nowhere else is it that message.

    Attributes:
        run: the run's id.
        debate: the method, of a run that has several.
        question: its id.
        round: from 1.
        agent: who said it.
    """

    run: str
    debate: str
    question: str
    round: int
    agent: str

    def difference(self, other: "Place") -> str:
        """Return in words in what another place differs; empty if in nothing."""
        ours, theirs = asdict(self), asdict(other)
        names = {"run": "run", "debate": "debate", "question": "question", "round": "round", "agent": "agent"}
        differing = [name for name in names if ours[name] != theirs[name]]
        return ", ".join(f"{name} {str(theirs[name])[:40]!r} and not {str(ours[name])[:40]!r}" for name in differing)


@dataclass(frozen=True)
class Signature:
    """What vouches for a message at a place.

    Attributes:
        place: where it was said.
        key: the public key, `ed25519:…`, 32 bytes in base64.
        value: Ed25519 over `statement`, 64 bytes in base64.
    """

    place: Place
    key: str
    value: str

    def header(self) -> dict[str, Any]:
        """Return it as JSON values, flat."""
        return {**asdict(self.place), "key": self.key, "value": self.value}


def statement(digest: str, place: Place, key: str) -> bytes:
    """Return the bytes that are signed.

    Args:
        digest: of the message: SHA-256 over its header and every tensor.
        place: where it is said.
        key: the public key.
    """
    said = {"format": FORMAT, "digest": digest, **asdict(place), "key": key}
    return MESSAGE_DOMAIN + json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def read_signature(fields: Any) -> Signature:
    """Return the signature of a header, every field of its type and form; whether it is valid is not looked at.

    Raises:
        MessageError: it is none.
    """
    names = {"run", "debate", "question", "round", "agent", "key", "value"}
    if not isinstance(fields, Mapping) or set(fields) != names:
        raise MessageError(f"the header is malformed: signature must be an object with {', '.join(sorted(names))}")
    texts = {name: fields[name] for name in ("run", "debate", "question", "agent")}
    if not all(isinstance(text, str) and len(text) <= LONGEST_NAME and is_valid(text) for text in texts.values()):
        raise MessageError("the header is malformed: a signature's run, debate, question and agent are texts")
    if type(fields["round"]) is not int or not 0 < fields["round"] < MOST_ROUNDS:
        raise MessageError("the header is malformed: a signature's round is a whole number of at least 1")
    if not isinstance(fields["key"], str) or not is_public_key(fields["key"]):
        raise MessageError("the header is malformed: a signature's key is ed25519: and 32 bytes in base64")
    if not isinstance(fields["value"], str) or not _VALUE.fullmatch(fields["value"]):
        raise MessageError("the header is malformed: a signature's value is 64 bytes in base64")
    return Signature(Place(round=fields["round"], **texts), fields["key"], fields["value"])


def is_public_key(text: str) -> bool:
    """Whether a text has the form of a public key."""
    return _KEY.fullmatch(text) is not None


def is_valid(text: str) -> bool:
    """Whether a text is one of whole characters."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
