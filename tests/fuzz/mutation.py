"""Changes of an input, drawn from a seed: of its bytes, of the values in its JSON, of pieces that its format knows."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

# A second for each 100 KB is what readers of text promise.
LONGEST = 100_000
# Values that a reader does not expect where it expects another.
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    1.5,
    -0.0,
    2**31,
    2**63,
    2**64 - 1,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    ".",
    "..",
    "a/b",
    "\x00",
    "\ud800",
    "\x1b[2J",
    "\u202e",
    "$x^{2",
    "9" * 5000,
    "text",
    "cipher",
    [],
    {},
    [[]],
    [None],
    {"a": []},
    {"": {}},
    "1e999",
    "0x10",
    "٠",
    "🙂" * 40,
)
PIECES = (
    b"\0",
    b"\n",
    b"\r\n",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 400,
    b"<",
    b">",
    b"&",
    b"|",
    b":",
    b"- ",
    b"'",
    b"\x1b[31m",
    "½".encode(),
    "٠".encode(),
    "一亿".encode(),
    "\u202e".encode(),
    b"\\u0000",
    b"\\ud800",
    b"../",
    b"%",
    b"$",
)
Value = Any


def mutate(blob: bytes, other: bytes, chance: random.Random, pieces: Sequence[bytes]) -> bytes:
    """Return an input with one to four changes of its bytes.

    Args:
        blob: the input.
        other: another one, to take a stretch from.
        chance: draws.
        pieces: of its format, besides those of every format.
    """
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        blob = _changed(blob, other, chance, pieces)
    return blob[:LONGEST]


def _changed(blob: bytes, other: bytes, chance: random.Random, pieces: Sequence[bytes]) -> bytes:
    place = chance.randrange(len(blob) + 1)
    end = min(len(blob), place + chance.choice((1, 1, 2, 4, 8, 32, 200)))
    match chance.randrange(9):
        case 0:
            return blob[:place]
        case 1:
            return blob[:place] + blob[end:]
        case 2:
            return blob[:place] + chance.randbytes(end - place) + blob[end:]
        case 3:
            flipped = bytes([blob[place] ^ (1 << chance.randrange(8))]) if place < len(blob) else b""
            return blob[:place] + flipped + blob[place + 1 :]
        case 4:
            start = chance.randrange(len(other) + 1)
            return blob[:place] + other[start : start + chance.choice((1, 8, 64, 500))] + blob[place:]
        case 5:
            times = chance.choice((2, 3, 10, 100, 2000))
            return blob[:place] + blob[place:end] * times + blob[end:]
        case 6:
            lines = blob.split(b"\n")
            first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[first], lines[second] = lines[second], lines[first]
            return b"\n".join(lines)
        case 7:
            return blob[:place] + chance.choice(PIECES) + blob[end if chance.random() < 0.3 else place :]
        case _:
            known = pieces or PIECES
            return blob[:place] + chance.choice(known) * chance.choice((1, 1, 1, 5, 200)) + blob[place:]


def mutate_value(value: Value, chance: random.Random) -> Value:
    """Return JSON values with one to three of them changed, left out, said twice or in another's place."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        value = _changed_value(value, chance)
    return value


def _changed_value(value: Value, chance: random.Random) -> Value:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        match chance.randrange(10):
            case 0:
                return {name: inner for name, inner in value.items() if name != key}
            case 1:
                return {**value, str(chance.choice(ODD)): value[key]}
            case 2:
                return {**value, key: value[chance.choice(list(value))]}
            case _:
                return {**value, key: _changed_value(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        match chance.randrange(10):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return [*value, value[place]]
            case 2:
                return [*value[:place], chance.choice(ODD), *value[place:]]
            case _:
                return [*value[:place], _changed_value(value[place], chance), *value[place + 1 :]]
    if isinstance(value, str) and chance.random() < 0.4:
        return mutate(value.encode("utf-8", "replace"), b"", chance, ()).decode("utf-8", "replace")
    if isinstance(value, int | float) and chance.random() < 0.4:
        return chance.choice((value + 1, value - 1, -value, value * 1000, float(value), str(value)))
    return chance.choice(ODD)


def by_value(
    read: Callable[[bytes], Value] = json.loads, write: Callable[[Value], bytes] | None = None
) -> Callable[[bytes, random.Random], bytes]:
    """Return what changes the values in an input: it is read, changed and written again, or left where it cannot be."""
    written = write or (lambda value: json.dumps(value).encode())

    def changed(blob: bytes, chance: random.Random) -> bytes:
        try:
            return written(mutate_value(read(blob), chance))
        except Exception:  # whatever cannot be read or written is left as it is
            return blob

    return changed


def in_a_line(change: Callable[[bytes, random.Random], bytes]) -> Callable[[bytes, random.Random], bytes]:
    """Return what makes a change in one line of an input."""

    def changed(blob: bytes, chance: random.Random) -> bytes:
        lines = blob.split(b"\n")
        place = chance.randrange(len(lines))
        lines[place] = change(lines[place], chance)
        return b"\n".join(lines)

    return changed
