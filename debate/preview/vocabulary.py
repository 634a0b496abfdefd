"""How well one tokenizer's beliefs map to another's: over the vocabularies, a text, and the messages of a run."""

from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from agents.byte_tokens import ByteTokenizer
from agents.errors import ModelError, RunError
from agents.fingerprint import ModelFingerprint
from agents.model_folder import read_tokenizer
from agents.pretrained import locate
from agents.token_bytes import token_bytes
from agents.vocabulary_map import VocabularyMap
from debate.run_folder.contents import MESSAGES, refuse_all_but_files
from debate.run_folder.message_store import MessageStore

THRESHOLD = 0.6


def load_tokenizer(name: str) -> Any:
    """Return a tokenizer: of a model as engines find it, of a tokenizer.json, or `bytes`.

    Raises:
        ModelError: the tokenizer does not exist, or transformers cannot read it.
    """
    from transformers import PreTrainedTokenizerFast

    if name == "bytes":
        return ByteTokenizer()
    if not name.endswith(".json"):
        return read_tokenizer(locate(name), name=name)
    try:
        return PreTrainedTokenizerFast(tokenizer_file=name)
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise ModelError(f"cannot read a tokenizer from {name}: {error}") from error


def report(sender: str, receiver: str, *, text: Path | None = None, run: Path | None = None) -> Iterator[str]:
    """Yield what maps, a sentence at a time.

    Args:
        sender: a tokenizer, as `load_tokenizer` takes it.
        receiver: likewise.
        text: a file to spell.
        run: a run folder with CIPHER messages of the sender.
    """
    speaks, hears = load_tokenizer(sender), load_tokenizer(receiver)
    mapping = VocabularyMap(speaks, hears)
    spelled = [token for token in token_bytes(speaks) if token]
    yield f"vocabulary: {mapping.shared:.1%} of {len(spelled):,} tokens of {sender} are single tokens of {receiver}"
    if text is not None:
        yield _over_text(mapping, speaks, hears, text)
    if run is not None:
        yield from _over_messages(mapping, hears, run)


def _over_text(mapping: VocabularyMap, speaks: Any, hears: Any, path: Path) -> str:
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"cannot read {path}: {error}") from error
    ids = list(speaks(content, add_special_tokens=False).input_ids)
    pieces = [mapping.pieces(token) for token in ids]
    sent, heard = token_bytes(speaks), token_bytes(hears)
    said = b"".join(sent[token] or b"" for token in ids)
    read = b"".join(heard[piece] or b"" for found in pieces for piece in found)
    single = sum(len(found) == 1 for found in pieces) / max(len(pieces), 1)
    verdict = "spelled back exactly" if said == read else "NOT spelled back exactly"
    count = sum(map(len, pieces))
    return f"text: {len(ids):,} tokens, {single:.1%} of them single, become {count:,}; one-hot beliefs are {verdict}"


def _over_messages(mapping: VocabularyMap, hears: Any, run: Path) -> Iterator[str]:
    refuse_all_but_files(run)
    messages = MessageStore(run / MESSAGES)
    said = [messages.get(digest) for digest in messages]
    ciphers = [(message, message.cipher) for message in said if message.cipher is not None and len(message.cipher)]
    if not ciphers:
        raise RunError(f"{run} holds no CIPHER messages; make some with debate eval or debate run --out")
    receiver = ModelFingerprint("receiver", "", "receiver", len(token_bytes(hears)), 0)
    found = [mapping.apply(message, receiver) for message, _ in ciphers]
    kept = mean(float(cipher.top_probabilities.sum(dim=1).mean()) for _, cipher in ciphers)
    yield (
        f"messages: {len(found)}, which keep {kept:.3f} of their belief on average; mapped "
        f"{mean(m.mass for m in found):.3f}, in single tokens {mean(m.exact for m in found):.3f}; the worst step of all "
        f"{min(m.least for m in found):.3f}; {sum(m.mass >= THRESHOLD for m in found)} of {len(found)} map at least "
        f"{THRESHOLD:.0%}"
    )
