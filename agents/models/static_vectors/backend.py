"""An agent that compares texts by the means of their words' vectors: the cheapest there is. n words, D numbers of each."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import Similarity
from agents.errors import BeliefError, ConfigError, ModelError, first_line
from agents.models.sentences.embedding import SentenceEmbedding
from agents.models.sentences.folder import read_settings, write_settings
from agents.models.static_vectors.files import MOST_WORDS, Form, WordVectors, form_of, read_vectors, write_vectors
from agents.question import Question

STORED = "static_vectors.json"
SETTINGS = ("weights", "centred", "temperature")
VECTORS: dict[Form, str] = {"binary": "vectors.bin", "text": "vectors.txt"}
WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
# Arora et al.'s a, in the middle of what they tried.
SMOOTHING = 1e-3


class StaticEmbedding(SentenceEmbedding):
    """Vectors of texts: the mean of the vectors of their words, those without one left out; zeros where no word has one.

    Args:
        vectors: words and vectors.
        weights: `even`, or `sif`, by which frequent words count less: a / (a + p) with a = 0.001 (Arora, Liang and Ma, ICLR
            2017). The files do not say how frequent words are, but list them by frequency: p is taken as Zipf's law has it,
            1 / rank, summing to 1.
        centred: take the mean of all words' vectors away from each first.

    Raises:
        ConfigError: other weights, or `centred` that is neither true nor false.
    """

    backend = name = "static_vectors"

    def __init__(
        self, vectors: WordVectors, *, weights: Literal["even", "sif"] = "even", centred: bool = False
    ) -> None:
        if weights not in ("even", "sif"):
            raise ConfigError(f"static_vectors: weights is even or sif; got {weights!r}")
        if not isinstance(centred, bool):
            raise ConfigError(f"static_vectors: centred is true or false; got {centred!r}")
        self.vectors, self.weights, self.centred = vectors, weights, centred
        ranks = np.arange(1, len(vectors.table) + 1, dtype=np.float64)
        shares = 1 / ranks / (1 / ranks).sum()
        self._weight = SMOOTHING / (SMOOTHING + shares) if weights == "sif" else np.ones_like(ranks)
        self._mean = vectors.table.mean(axis=0, dtype=np.float64) if centred else np.zeros(vectors.table.shape[1])

    @property
    def width(self) -> int:
        """D."""
        return int(self.vectors.table.shape[1])

    def rows(self, text: str) -> list[int]:
        """Return the rows of the words of a text that have a vector, in order."""
        found = (self.vectors.row(word) for word in WORD.findall(text))
        return [row for row in found if row is not None]

    def vector(self, text: str) -> Tensor:
        """Return the vector [D] of a text, summed in float64."""
        rows = self.rows(text)
        if not rows:
            return torch.zeros(self.width)
        weights = self._weight[rows]
        mean = weights @ (self.vectors.table[rows].astype(np.float64) - self._mean) / weights.sum()
        return torch.from_numpy(mean).float()


class StaticVectors(Similarity):
    """A belief over the options of a question; it abstains where the question or an option has no word with a vector, or
    none but zeros.

    Args:
        vectors: words and vectors.
        weights, centred: as of `StaticEmbedding`.
        temperature: softmax(cos / temperature); fitted on a validation split it is calibrated.

    Raises:
        ConfigError: as of `StaticEmbedding`, or a temperature that is no number.
        BeliefError: a temperature that is not finite or not above 0.
    """

    def __init__(
        self,
        vectors: WordVectors,
        *,
        weights: Literal["even", "sif"] = "even",
        centred: bool = False,
        temperature: float = 0.05,
    ) -> None:
        self.texts = StaticEmbedding(vectors, weights=weights, centred=centred)
        if not isinstance(temperature, int | float) or isinstance(temperature, bool):
            raise ConfigError(f"static_vectors: temperature is a number; got {temperature!r}")
        self.temperature = temperature
        super().__init__(self.texts, temperature=temperature)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | None = None,
        *,
        form: Form = "auto",
        words: int = MOST_WORDS,
        duplicates: Literal["refuse", "first"] = "refuse",
        **options: Any,
    ) -> Self:
        """Return the backend of a file of word2vec, GloVe or fastText, or of a folder that `save_pretrained` wrote.

        Args:
            checkpoint: the file or folder.
            form: `text`, `binary`, or `auto` to tell by looking.
            words: read so many, the first of the file, which of published files are the most frequent.
            duplicates: `refuse` a file with a word twice, or keep its `first` vector.
            options: of the constructor.

        Raises:
            ModelError: no such file, or one that is refused (agents/models/static_vectors/files.py); or a folder's settings
                that cannot be.
            ConfigError: an option that there is not, or that cannot be.
            BeliefError: a temperature that is not finite or not above 0.
        """
        if checkpoint is None:
            raise ModelError(
                "static_vectors ships no vectors: give checkpoint: FILE, of word2vec (text or binary), GloVe (.txt) or "
                "fastText (.vec)"
            )
        choices = (("form", form, ("auto", "text", "binary")), ("duplicates", duplicates, ("refuse", "first")))
        for name, value, known in choices:
            if value not in known:
                raise ConfigError(f"static_vectors: {name} is {', '.join(known)}; got {value!r}")
        if not isinstance(words, int) or isinstance(words, bool) or words < 1:
            raise ConfigError(f"static_vectors: words is a whole number of at least 1; got {words!r}")
        path, stored = Path(checkpoint), {}
        if path.is_dir():
            stored = _settings(path)
            form = "text" if (path / VECTORS["text"]).is_file() else "binary"
            path /= VECTORS[form]
        if odd := sorted(set(options) - set(SETTINGS)):
            raise ConfigError(f"static_vectors has no option {odd[0]!r}; it has {', '.join(SETTINGS)}")
        return cls(read_vectors(path, form=form, most=words, duplicates=duplicates), **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write static_vectors.json and the vectors in word2vec's form: binary, or text where a word has a space in it.

        Raises:
            ModelError: a word that no form keeps; nothing is written.
        """
        form = form_of(self.texts.vectors)
        folder.mkdir(parents=True, exist_ok=True)
        for name in VECTORS.values():
            (folder / name).unlink(missing_ok=True)
        write_vectors(folder / VECTORS[form], self.texts.vectors)
        stored = {"weights": self.texts.weights, "centred": self.texts.centred, "temperature": self.temperature}
        write_settings(folder / STORED, stored)

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        found = super()._believe(cases, observations)
        for place, (case, seen) in enumerate(zip(cases, observations, strict=True)):
            labels, texts = case.alternatives
            named = (("the text", seen.text), *((f"the option {text!r}", text) for text in texts))
            # The cosine of zeros would be 0, and above that of options which are known.
            if lacks := next(filter(None, (self._lacks(what, text) for what, text in named)), ""):
                found[place] = Belief.abstain(labels, lacks)
        return found

    def _lacks(self, what: str, text: str) -> str:
        """Return why a text has no direction; empty where it has one."""
        if not self.texts.rows(text):
            return f"no word of {what} has a vector"
        return "" if self.texts.vector(text).any() else f"the vectors of the words of {what} come to zero"


def _settings(folder: Path) -> dict[str, Any]:
    """Return what a folder's static_vectors.json says, of which the file may be wrong in any way.

    Raises:
        ModelError: no mapping, a setting that there is not, or one that cannot be.
    """
    try:
        stored = read_settings(folder / STORED)
        if odd := sorted(set(stored) - set(SETTINGS)):
            raise ValueError(f"there is no setting {odd[0]!r}; there are {', '.join(SETTINGS)}")
        # Of one word, for what is checked is what is said and not the vectors.
        StaticVectors(WordVectors({"": 0}, np.zeros((1, 1), dtype=np.float32)), **stored)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError, ConfigError, BeliefError) as error:
        raise ModelError(f"no settings of static_vectors in {folder}: {first_line(error)}") from error
    return stored
