"""Which word is missing? Sentences of 38 languages, each with one word left out (Tatoeba, github facebookresearch/LASER).

Four words are offered: the one that stood there, one of another sentence of its language, and two of sentences of other languages
in the same script, all drawn by the sentence alone. Languages take turns. The sample carries the sentence with its gap, its
language and its script. Test and validation sentences have English translations that no model of LangSAMP's recipe learns.

`missing_word:reviews` asks of English film reviews (SST-2's sentences; the development sentences are `test`): the four words
are among the commonest of the training texts, the wrong ones as often as words of training texts are.
"""

import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby

from agents.errors import ModelError, TaskError
from agents.models.langsamp.cloze import GAP
from agents.models.langsamp.corpus import FIT, TEST, read_corpus
from agents.models.text_encoder.sst2 import read_sst2
from agents.observation import Text
from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

OPTIONS = 4
EACH = 20
"""Questions of a language at most."""
LONGEST = 60
"""Of a sentence, in characters."""
SHORTEST = 3
"""Of a word, in letters and their marks."""
REVIEWS = "reviews"
KNOWN = 2000
"""Of reviews, the commonest words of training texts, which alone are asked for and offered."""
LEAST = 6
"""Words of a review that is asked of."""
_PARTS = {"test": TEST, "validation": FIT}


class MissingWord(ChoiceTask):
    """One of four words."""

    name = "missing_word"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation"),
        source="Tatoeba by LASER",
        licence="CC BY 2.0 FR",
        scoring="equal letters",
        needs_data=True,
    )
    most_options = OPTIONS

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return what other texts can be asked of."""
        return (REVIEWS,)

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a sentence."""
        sentence, word, options = row.text("sentence"), row.text("word"), list(row.get("options"))
        sample = self.choice(row, f"Which word is missing? {sentence}", options, options.index(word))
        observation = Text(sentence, row.text("language"), row.text("script"))
        return replace(sample, metadata={"language": observation.language}, observations=(observation,))

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.variant == REVIEWS:
            return self._reviews(split)
        if self.data is None:
            raise TaskError("missing_word has no hub source: give a folder with tatoeba_v1.jsonl (.gz too) with --data")
        try:
            corpus = read_corpus(self.data)
        except ModelError as error:
            raise TaskError(str(error)) from error
        texts = {
            language: [text for text in found if len(text) <= LONGEST and _words(text)]
            for language, found in corpus.texts([_PARTS[split]]).items()
        }
        turns = [
            (language, texts[language][place])
            for place in range(EACH)
            for language in corpus.languages
            if place < len(texts[language])
        ]
        rows = []
        for number, (language, text) in enumerate(turns, start=1):
            alike = [
                each for each in corpus.languages if each != language and corpus.script[each] == corpus.script[language]
            ]
            asked = _asked(text, texts[language], [other for each in alike for other in texts[each]])
            if asked is None:
                continue
            values = {**asked, "language": language, "script": corpus.script[language]}
            rows.append(DataRow(values, number, f"{self.data} ({split}): sentence {number}"))
        return str(self.data), rows

    def _reviews(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if split != "test":
            raise TaskError(f"missing_word:{REVIEWS} has the split test; got {split!r}")
        try:
            learned, asked = ([text for _, text in read_sst2(self.data, part)] for part in ("train", "test"))
        except ModelError as error:
            raise TaskError(str(error)) from error
        counts = Counter(text[start:end].lower() for text in learned for start, end in _words(text))
        # The commonest, ties by the alphabet, so that no order of lines tells.
        common = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:KNOWN])
        rows = []
        for number, text in enumerate(asked, start=1):
            values = _of_review(text, common)
            if values is not None:
                rows.append(DataRow(values, number, f"{self.data} ({split}): sentence {number}"))
        return str(self.data), rows


def _of_review(text: str, common: Mapping[str, int]) -> dict[str, object] | None:
    """Return a review with a gap, its word and the options; None of a review that is short or has no common word."""
    places = _words(text)
    known = [(start, end) for start, end in places if text[start:end].lower() in common]
    if len(places) < LEAST or not known:
        return None
    drawn = random.Random(f"missing_word|{text}")
    start, end = drawn.choice(known)
    said = {text[first:last].lower() for first, last in places}
    options = [text[start:end].lower()]
    words, weights = list(common), list(common.values())
    for _ in range(1000):
        (other,) = drawn.choices(words, weights)
        if other not in said and other not in options:
            options.append(other)
        if len(options) == OPTIONS:
            word = options[0]
            drawn.shuffle(options)
            sentence = f"{text[:start]}{GAP}{text[end:]}"
            return {"sentence": sentence, "word": word, "options": options, "language": "eng", "script": "LATIN"}
    return None


def _asked(text: str, own: list[str], others: list[str]) -> dict[str, object] | None:
    """Return a sentence with a gap, its word and the options; None where there are not as many different words."""
    drawn = random.Random(f"missing_word|{text}")
    start, end = drawn.choice(_words(text))
    word = text[start:end].lower()

    def words(texts: list[str], count: int, taken: set[str]) -> list[str]:
        chosen: list[str] = []
        for _ in range(100):
            if len(chosen) == count or not texts:
                break
            other = drawn.choice(texts)
            first, last = drawn.choice(_words(other))
            each = other[first:last].lower()
            if each not in taken:
                taken.add(each)
                chosen.append(each)
        return chosen

    taken = {text[first:last].lower() for first, last in _words(text)}
    near = words(own, 1, taken)
    far = words(others, OPTIONS - 1 - len(near), taken)
    options = [word, *near, *far, *words(own, OPTIONS - 1 - len(near) - len(far), taken)]
    if len(options) < OPTIONS:
        return None
    drawn.shuffle(options)
    sentence = f"{text[:start]}{GAP}{text[end:]}"
    return {"sentence": sentence, "word": word, "options": options}


def _words(text: str) -> list[tuple[int, int]]:
    """Return where words of three letters and more begin and end; vowel signs and other marks belong to their word."""
    found = []
    for is_word, run in groupby(range(len(text)), key=lambda place: unicodedata.category(text[place])[0] in "LM"):
        places = list(run)
        if is_word and len(places) >= SHORTEST:
            found.append((places[0], places[-1] + 1))
    return found
