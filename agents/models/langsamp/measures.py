"""What is asked of a trained model, on sentences that it has not seen. N texts, D width, L layers."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.langsamp.backend import LangSAMP
from agents.models.langsamp.corpus import FAMILY, FIT, LATIN, TEST, Corpus
from agents.models.langsamp.model import LANGUAGES
from agents.models.sentences.batch import batch
from agents.models.sentences.contrastive import prefix
from agents.models.sentences.masking import masked

MOST = 100
"""Sentences of a language that are looked at."""


def measured(backend: LangSAMP, corpus: Corpus) -> dict[str, float]:
    """Return a model's figures: see the functions, and `claims` for what they are compared with."""
    tests, fits = (first(corpus.texts([part])) for part in (TEST, FIT))
    layer = backend.texts.layer - 1
    after = {language: encoded(backend, texts) for language, texts in tests.items()}
    latin = [language for language in corpus.languages if corpus.script[language] == LATIN]
    references = {language: encoded(backend, fits[language])[layer] for language in latin}
    tables = translations(backend, corpus, TEST)
    figures = {
        "log-probability": log_probability(backend, corpus, tests),
        "cosine": between(found[layer] for found in after.values()),
        "cosine, last": between(found[-1] for found in after.values()),
        "confused": confused({language: after[language][layer] for language in latin}, references),
        "retrieved": fmean(map(retrieved, tables)),
        "chosen": fmean(float(row.argmax() == 0) for table in tables for row in among_four(table)),
    }
    table = backend.texts.model.table(LANGUAGES)
    if table is not None:
        figures["relatives"] = relatives(table.weight.detach(), corpus.languages)
    return figures


def first(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the first sentences of each language, as many of all."""
    return {language: list(found[:MOST]) for language, found in texts.items()}


@torch.inference_mode()
def encoded(backend: LangSAMP, texts: Sequence[str]) -> Tensor:
    """Return unit vectors after each layer [L, N, D]."""
    encoder, found = backend.texts.model.encoder, []
    for start in range(0, len(texts), 64):
        tokens, there = batch(backend.texts.tokenizer, texts[start : start + 64], encoder.longest)
        found.append(torch.stack([prefix(rows, encoder.width) for rows in encoder(tokens, there)]))
    return torch.cat(found, 1)


@torch.inference_mode()
def log_probability(backend: LangSAMP, corpus: Corpus, texts: Mapping[str, Sequence[str]]) -> float:
    """Return the mean log-probability of a masked token in nats, the same tokens masked for every model, languages told."""
    model, tokenizer, found = backend.texts.model, backend.texts.tokenizer, []
    generator, special = torch.Generator().manual_seed(0), torch.tensor(tokenizer.all_special_ids)
    for language, said in texts.items():
        tokens, there = batch(tokenizer, said, model.encoder.longest)
        shown, wanted = masked(tokens, special, tokenizer.mask_token_id, len(tokenizer), generator)
        asked = wanted != -100
        logits = model(shown, there, asked, *corpus.rows([language] * len(said)))
        found.append(-functional.cross_entropy(logits, wanted[asked], reduction="none"))
    return float(torch.cat(found).double().mean())


def between(languages: Iterable[Tensor]) -> float:
    """Return the mean cosine between the means of two languages' vectors [N, D], over all pairs of languages."""
    means = [prefix(vectors.mean(0), vectors.shape[1]) for vectors in languages]
    return fmean(float(a @ b) for a, b in combinations(means, 2))


def confused(queries: Mapping[str, Tensor], references: Mapping[str, Tensor]) -> float:
    """Return the share of unit vectors [N, D] whose nearest reference is of another language, in the mean over languages."""
    known = torch.cat(list(references.values()))
    owner = [language for language, vectors in references.items() for _ in vectors]
    return fmean(
        fmean(float(owner[place] != language) for place in (vectors @ known.T).argmax(1).tolist())
        for language, vectors in queries.items()
    )


def translations(backend: LangSAMP, corpus: Corpus, part: int) -> list[Tensor]:
    """Return a language's cosines [N, N] of English sentences, by row, with its own; a translation is on the diagonal."""
    found = []
    for pairs in corpus.of_part(part).values():
        asked, said = pairs[:MOST], encoded(backend, [pair.text for pair in pairs[:MOST]])[backend.texts.layer - 1]
        english = encoded(backend, [pair.english for pair in asked])[backend.texts.layer - 1]
        found.append(english @ said.T)
    return found


def shared_tokens(tokenizer: Any, corpus: Corpus) -> float:
    """Return `retrieved` of the test sentences where two texts are as alike as their counts of tokens, by cosine."""

    def counts(texts: Iterable[str]) -> Tensor:
        rows = [
            torch.bincount(torch.tensor(ids), minlength=len(tokenizer)) for ids in tokenizer(list(texts))["input_ids"]
        ]
        counted = torch.stack(rows).float()
        counted[:, tokenizer.all_special_ids] = 0
        return prefix(counted, len(tokenizer))

    return fmean(
        retrieved(counts(pair.english for pair in pairs[:MOST]) @ counts(pair.text for pair in pairs[:MOST]).T)
        for pairs in corpus.of_part(TEST).values()
    )


def retrieved(cosines: Tensor) -> float:
    """Return the share of rows [N, N] that are highest on the diagonal; where another is as high, it is not found."""
    return float(((cosines >= cosines.diagonal()[:, None]).sum(1) == 1).double().mean())


def among_four(cosines: Tensor) -> list[Tensor]:
    """Return four cosines of each row [N, N]: its translation's first, and those of the next three sentences."""
    size = len(cosines)
    return [cosines[i, [(i + step) % size for step in range(4)]] for i in range(size)]


def relatives(table: Tensor, languages: Sequence[str]) -> float:
    """Return the share of languages, of those with relatives, whose nearest row [D] by cosine is of the same branch."""
    unit = prefix(table, table.shape[1])
    cosines = (unit @ unit.T).fill_diagonal_(-torch.inf)
    nearest = [languages[place] for place in cosines.argmax(1).tolist()]
    return fmean(
        float(FAMILY[other] == FAMILY[language])
        for language, other in zip(languages, nearest, strict=True)
        if _relatives(language, languages)
    )


def chance_of_relatives(languages: Sequence[str]) -> float:
    """Return what `relatives` is on average of a random table."""
    counts = [_relatives(language, languages) for language in languages]
    return fmean(count / (len(languages) - 1) for count in counts if count)


def _relatives(language: str, languages: Sequence[str]) -> int:
    return sum(FAMILY[other] == FAMILY[language] for other in languages) - 1
