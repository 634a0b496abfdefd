"""Which tokens of a run's models spell the labels of its choices, kept in the run folder.

With them what a CIPHER message believes of the options is read from a finished run, without its engines.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agents.atomic_file import write_json
from agents.backend import Backend
from agents.errors import RunError
from agents.fingerprint import ModelFingerprint
from agents.tokenizers import tokenizer_of
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


class LabelTokens:
    """What tokens of a run's models spell, of the labels of its choices.

    Args:
        known: hash of a tokenizer → token → label.
    """

    def __init__(self, known: Mapping[str, Mapping[str, str]]) -> None:
        self._known = known
        self._spelled = {tokenizer: set(tokens.values()) for tokenizer, tokens in known.items()}

    def __call__(self, model: ModelFingerprint, token: int) -> str | None:
        """Return the label that a token of a model spells, or None."""
        return self._known.get(model.tokenizer, {}).get(str(token))

    def spells(self, model: ModelFingerprint, labels: Iterable[str]) -> bool:
        """Return whether each label is one token of a model: of a label of several no step holds a belief."""
        return self._spelled.get(model.tokenizer, set()).issuperset(labels)


def read_label_tokens(folder: Path) -> LabelTokens:
    """Return which tokens spell the labels; none in a run without a choice.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FILE
    known = read_facts(path)
    for tokens in known.values():
        if not isinstance(tokens, dict) or not all(isinstance(text, str) for text in tokens.values()):
            raise RunError(f"{path}: a tokenizer's entry is an object of token to text; this is {str(tokens)[:60]!r}")
    return LabelTokens(known)
