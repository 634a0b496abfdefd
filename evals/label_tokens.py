"""Which tokens of a run's models spell the labels of its choices, kept in the run folder.

With them what a CIPHER message believes of the options is read from a finished run, without its engines.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from agents.atomic_file import write_json
from agents.backend import Backend
from agents.errors import RunError
from agents.fingerprint import ModelFingerprint
from agents.tokenizers import tokenizer_of
from debate.decision.decision import Decode
from debate.run_folder.facts import read_facts

FILE = "label_tokens.json"


def write_label_tokens(folder: Path, labels: Iterable[str], backends: Sequence[Backend]) -> None:
    """Write every token that is one of the labels but for white space, for each tokenizer; nothing where there are no labels.

    A run that goes on has them already: the same questions, the same models.

    Raises:
        RunError: the disk does not take it.
    """
    wanted = set(labels)
    if not wanted or (folder / FILE).is_file():
        return
    found: dict[str, dict[str, str]] = {}
    for backend in backends:
        name = backend.fingerprint.tokenizer
        if name in found or (tokenizer := tokenizer_of(backend)) is None:
            continue
        said = ((token, tokenizer.decode([token]).strip()) for token in range(backend.fingerprint.vocabulary))
        found[name] = {str(token): text for token, text in said if text in wanted}
    write_json(folder / FILE, found)


def read_label_tokens(folder: Path) -> Decode:
    """Return model, token → the label that it spells, or None.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FILE
    known = read_facts(path)
    for tokens in known.values():
        if not isinstance(tokens, dict) or not all(isinstance(text, str) for text in tokens.values()):
            raise RunError(f"{path}: a tokenizer's entry is an object of token to text; this is {str(tokens)[:60]!r}")

    def decode(model: ModelFingerprint, token: int) -> str | None:
        text: str | None = known.get(model.tokenizer, {}).get(str(token))
        return text

    return decode
