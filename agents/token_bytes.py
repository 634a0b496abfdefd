"""The bytes that each token of a tokenizer stands for, whatever its kind writes them as.

Byte-level BPE (GPT-2, LLaMA 3, SmolLM2) writes bytes as printable characters; SentencePiece (LLaMA, Gemma) writes a
space as U+2581 and bytes as `<0x0A>`; WordPiece (BERT) marks the inside of a word with `##`.
"""

import json
import re
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"


def token_bytes(tokenizer: Any) -> list[bytes | None]:
    """Return the bytes of each token, by id; None for special tokens and ids without a token.

    Args:
        tokenizer: with `get_vocab()`, and `bytes_of(token)` of its own or a fast tokenizer's `backend_tokenizer`.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = set(getattr(tokenizer, "all_special_ids", ()))
    kind = _kind(tokenizer)
    found: list[bytes | None] = [None] * (max(vocabulary.values()) + 1)
    for token, place in vocabulary.items():
        if place not in special:
            found[place] = _bytes(token, kind, tokenizer)
    return found


def _kind(tokenizer: Any) -> str:
    if hasattr(tokenizer, "bytes_of"):
        return "own"
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    parts = json.loads(backend.to_str())
    described = json.dumps([parts.get("decoder"), parts.get("pre_tokenizer")])
    if '"ByteLevel"' in described:
        return "byte-level"
    if parts["model"].get("type") == "WordPiece":
        return "wordpiece"
    return "sentencepiece"


def _bytes(token: str, kind: str, tokenizer: Any) -> bytes | None:
    match kind:
        case "own":
            return tokenizer.bytes_of(token)  # type: ignore[no-any-return]
        case "byte-level":
            # A token added by hand is written as it reads.
            if all(character in _PRINTED for character in token):
                return bytes(_PRINTED[character] for character in token)
            return token.encode()
        case "wordpiece":
            return token[2:].encode() if token.startswith("##") and len(token) > 2 else f" {token}".encode()
        case _:
            if byte := _BYTE.fullmatch(token):
                return bytes([int(byte[1], 16)])
            return token.replace(_SPACE, " ").encode()


def _printed_bytes() -> dict[str, int]:
    """Return GPT-2's table: the character that stands for each byte (printable ones for themselves)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table = {chr(byte): byte for byte in plain}
    for shift, byte in enumerate(sorted(set(range(256)) - set(plain))):
        table[chr(256 + shift)] = byte
    return table


_PRINTED = _printed_bytes()
