"""Files of sentences: SICK (Marelli et al., 2014), STS of SemEval 2012, TREC's answer sentences (Wang et al., 2007), WikiText-2,
Tatoeba's translations into English (Artetxe and Schwenk, 2019).

Each is read as its authors wrote it, from a folder or from its own subfolder there, but for Tatoeba, whose 112 pairs of files
are one of JSON lines. None comes with this package.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agents.errors import ModelError
from agents.zip_files import read_unzipped

SICK = {"train": "SICK_train.txt", "trial": "SICK_trial.txt", "test": "SICK_test_annotated.txt"}


@dataclass(frozen=True)
class ScoredPair:
    """Two sentences and how alike in meaning people found them, 0 or 1 to 5."""

    first: str
    second: str
    score: float


@dataclass(frozen=True)
class AnswerSet:
    """A question, sentences that answer it, and sentences that do not, each once."""

    question: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Translation:
    """A sentence, its language (ISO 639-3) and script, and the same in English."""

    language: str
    script: str
    text: str
    english: str


def read_sick(data: Path | None, split: str) -> list[ScoredPair]:
    """Return SICK's pairs with relatedness 1 to 5; splits are train, trial and test."""
    rows = csv.DictReader(io.StringIO(_read(data, "sick", SICK[split])), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [ScoredPair(row["sentence_A"], row["sentence_B"], float(row["relatedness_score"])) for row in rows]


def read_sts12(data: Path | None) -> list[ScoredPair]:
    """Return the training pairs of STS 2012 (MSRpar, SMTeuroparl), scored 0 to 5."""
    found = []
    for name in ("MSRpar", "SMTeuroparl"):
        for line in _read(data, "sts12_16", f"2012/{name}.train.tsv").splitlines():
            score, first, second = line.split("\t")[:3]
            found.append(ScoredPair(first, second, float(score)))
    return found


def read_answers(data: Path | None, split: str) -> list[AnswerSet]:
    """Return the questions of a split (train, dev, test) in the file's order; a question that is asked twice is one."""
    questions: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for row in csv.DictReader(io.StringIO(_read(data, "trecqa_wang", f"{split}.csv"))):
        right, wrong = questions.setdefault(row["qtext"], ({}, {}))
        (right if row["label"] == "1" else wrong)[row["atext"]] = None
    return [
        AnswerSet(question, tuple(right), tuple(text for text in wrong if text not in right))
        for question, (right, wrong) in questions.items()
    ]


def read_prose(data: Path | None) -> list[str]:
    """Return the paragraphs of WikiText-2's validation file."""
    return [line.strip() for line in _read(data, "wikitext2", "valid.txt").splitlines() if len(line.split()) > 8]


def read_tatoeba(data: Path | None) -> list[Translation]:
    """Return the pairs of LASER's `data/tatoeba/v1`, from tatoeba_v1.jsonl: objects of `lang`, `script`, `text` and `eng`."""
    rows = map(json.loads, _read(data, "tatoeba112", "tatoeba_v1.jsonl").splitlines())
    return [Translation(row["lang"], row["script"], row["text"], row["eng"]) for row in rows]


def _read(data: Path | None, folder: str, name: str) -> str:
    for path in _places(data, folder, name):
        if path.is_file():
            return read_unzipped(path)
    raise ModelError(
        f"{folder}/{name} is not there: give --data with that file (.gz too), in the folder or in {folder}/"
    )


def _places(data: Path | None, folder: str, name: str) -> Iterator[Path]:
    if data is not None:
        for base in (data, data / folder):
            yield from (base / name, base / f"{name}.gz")
