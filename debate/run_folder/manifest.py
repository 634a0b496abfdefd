"""RUN/manifest.json: what a finished run is, in checksums, signed.

It covers the journal up to its end, byte for byte, the messages that turns name, the configs, and what was derived:
results.json and each method's transcript. A run that goes on afterwards has it for as far as it went then, until it is finished
again.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from agents.atomic_file import write_json
from agents.errors import RunError, writing_failed
from agents.ordinary_file import read_ordinary
from agents.signing import SigningKey, is_signed
from debate.run_folder.contents import JOURNAL, MANIFEST, open_inside
from debate.run_folder.facts import LARGEST

FORMAT = 1
DOMAIN = b"cipher-debate run\n"
RESULTS, TRANSCRIPT, CONFIG = "results.json", "transcript.jsonl", "config.yaml"
_CHUNK = 1 << 20


def write_manifest(
    run: Path, run_id: str, key: SigningKey, *, methods: Iterable[str], messages: Collection[str]
) -> Path:
    """Sign what a run's folder holds, and return the manifest's path.

    Args:
        run: the folder; its results and transcripts are written.
        run_id: the run's id.
        key: by which.
        methods: the run's.
        messages: digests of its CIPHER messages.

    Raises:
        RunError: the disk does not take it, or does not give back what is to be signed.
    """
    folders = ["", *(f"{method}/" for method in sorted(methods))]
    # Not every method has a config of its own.
    configs = [name for folder in folders if (run / (name := f"{folder}{CONFIG}")).is_file()]
    names = [RESULTS, *configs, *(f"{folder}{TRANSCRIPT}" for folder in folders[1:])]
    try:
        length = (run / JOURNAL).stat().st_size
        body = {
            "format": FORMAT,
            "run": run_id,
            "journal": {"bytes": length, "sha256": sha256_of(run / JOURNAL, length)},
            "files": {name: sha256_of(run / name) for name in names},
            "messages": {"count": len(messages), "sha256": digest_of(messages)},
            "key": key.public,
        }
    except OSError as error:
        raise writing_failed(run / MANIFEST, error) from error
    return write_json(run / MANIFEST, {**body, "signature": key.sign(_statement(body))})


def read_manifest(run: Path) -> dict[str, Any] | None:
    """Return the manifest of a run, its signature verified; None where there is none.

    Raises:
        RunError: unreadable, or its signature is none of its content.
    """
    path = run / MANIFEST
    try:
        found = json.loads(read_ordinary(path, most=LARGEST, follow=False))
        signature = found.pop("signature")
        sound = found["format"] == FORMAT and is_signed(_statement(found), signature, found["key"])
        facts = (found["journal"]["bytes"], found["journal"]["sha256"], found["messages"]["sha256"], found["files"])
        sound = sound and type(facts[0]) is int and isinstance(found["run"], str) and isinstance(facts[3], dict)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} is no manifest of a run ({type(error).__name__}: {str(error)[:80]})") from error
    if not sound:
        raise RunError(f"{path}: its signature is not valid: the manifest was changed after it was signed")
    return dict(found)


def sha256_of(path: Path, length: int | None = None) -> str:
    """Return SHA-256 of a file in a run folder, or of its first bytes, in hexadecimal."""
    sha = hashlib.sha256()
    with open(path, "rb", opener=open_inside) as file:
        left = path.stat().st_size if length is None else length
        while left > 0 and (piece := file.read(min(left, _CHUNK))):
            sha.update(piece)
            left -= len(piece)
    return sha.hexdigest()


def digest_of(messages: Collection[str]) -> str:
    """Return one digest of those of messages, whatever their order."""
    return hashlib.sha256("\n".join(sorted(messages)).encode()).hexdigest()


def _statement(body: dict[str, Any]) -> bytes:
    return DOMAIN + json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
