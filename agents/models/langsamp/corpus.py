"""Tatoeba's sentences in 38 languages and 7 scripts, each with its English; what is held out is so in every language."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from agents.models.sentences.corpora import Translation, read_tatoeba

ENGLISH, LATIN = "eng", "LATIN"
FAMILIES = {
    "Germanic": ("eng", "afr", "dan", "deu", "nld", "swe"),
    "Romance": ("cat", "fra", "ita", "por", "ron", "spa"),
    "Slavic": ("bel", "bul", "ces", "hrv", "pol", "rus", "slk", "ukr"),
    "Turkic": ("aze", "tat", "tur", "uig"),
    "Uralic": ("est", "fin", "hun"),
    "Austronesian": ("ind", "tgl", "war", "zsm"),
    "Indo-Aryan": ("ben", "hin", "mar", "urd"),
    "Semitic": ("ara", "heb"),
    "Greek": ("ell",),
}
"""The languages, ISO 639-3, by branch of their family."""
FAMILY = {language: family for family, members in FAMILIES.items() for language in members}
PARTS = 8
TEST, FIT, TRAIN = 0, 1, range(2, PARTS)
"""Parts of the corpus: to test on, to fit a temperature on, to train on."""


@dataclass(frozen=True)
class Corpus:
    """Sentences by language, and which row of the tables a language and its script have.

    Attributes:
        pairs: translations by language, English none; no English sentence twice in a language.
        languages, scripts: the codes, in the order of the tables' rows.
        script: of each language.
    """

    pairs: Mapping[str, tuple[Translation, ...]]
    languages: tuple[str, ...]
    scripts: tuple[str, ...]
    script: Mapping[str, str]

    def of_part(self, part: int) -> dict[str, list[Translation]]:
        """Return the pairs of each language whose English is in a part."""
        return {
            language: [pair for pair in pairs if part_of(pair.english) == part]
            for language, pairs in self.pairs.items()
        }

    def texts(self, parts: Iterable[int]) -> dict[str, list[str]]:
        """Return the sentences of each language, English too, of some parts; none twice."""
        found: dict[str, dict[str, None]] = {language: {} for language in self.languages}
        for part in parts:
            for language, pairs in self.of_part(part).items():
                for pair in pairs:
                    found[language][pair.text] = None
                    found[ENGLISH][pair.english] = None
        return {language: list(texts) for language, texts in found.items()}

    def rows(self, languages: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the rows of languages and of their scripts [B] in the tables."""
        return (
            torch.tensor([self.languages.index(language) for language in languages]),
            torch.tensor([self.scripts.index(self.script[language]) for language in languages]),
        )


def part_of(english: str) -> int:
    """Return which part of the corpus an English sentence is in, and with it all its translations."""
    return zlib.crc32(english.encode()) % PARTS


def read_corpus(data: Path | None) -> Corpus:
    """Return the sentences of the languages of `FAMILIES` that are in Tatoeba's file."""
    pairs: dict[str, dict[str, Translation]] = {}
    script = {ENGLISH: LATIN}
    for pair in read_tatoeba(data):
        if pair.language in FAMILY:
            pairs.setdefault(pair.language, {}).setdefault(pair.english, pair)
            script[pair.language] = pair.script
    languages = (ENGLISH, *sorted(pairs))
    kept = {language: tuple(found.values()) for language, found in sorted(pairs.items())}
    return Corpus(kept, languages, tuple(sorted(set(script.values()))), script)
