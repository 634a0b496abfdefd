"""The recipe: masked words of Tatoeba's sentences in 38 languages and 7 scripts, with the tables and without.

Both models of a seed start from the same weights, and see the same sentences with the same words masked; only the tables are
one's alone. The paper goes on from XLM-R, with over 500 languages; ours starts from nothing. Sentences whose English is
held out are held out in every language. Languages take turns evenly, so that English, with which all are paired, has no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.models.langsamp.backend import STORED, LangSAMP
from agents.models.langsamp.corpus import FIT, TRAIN, Corpus, read_corpus
from agents.models.langsamp.measures import among_four, chance_of_relatives, measured, shared_tokens, translations
from agents.models.langsamp.model import MaskedModel
from agents.models.seeded import seeded
from agents.models.sentences.batch import batch
from agents.models.sentences.contrastive import best_temperature
from agents.models.sentences.masking import masked
from agents.models.sentences.steps import train_step
from agents.models.sentences.vocabulary import trained_tokenizer
from agents.pretrained import Progress


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper has XLM-R base, 768 wide and 12 layers deep, and batches of 1,024."""

    vocabulary: int = 4000
    width: int = 64
    layers: int = 3
    heads: int = 4
    steps: int = 2000
    batch: int = 32
    longest: int = 32
    learning_rate: float = 1.5e-3


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what the tables do at our size, on sentences that neither model of a seed was trained on.

    Args:
        out: models that are there are not trained again, with tables and without.
        seeds: training seeds, from 0.
        data: folder of tatoeba112.
        progress: told of each step that takes time.
    """
    recipe, corpus = Recipe(), read_corpus(data)
    train_on = corpus.texts(TRAIN)
    tokenizer = trained_tokenizer(
        [text for texts in train_on.values() for text in texts], recipe.vocabulary, starts=True
    )
    found: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
    for seed in range(seeds):
        for tables in (True, False):
            folder = out / f"tatoeba-{seed}{'' if tables else '-without-tables'}"
            if not (folder / STORED).is_file():
                progress(f"seed {seed}: masked words, {'with' if tables else 'without'} tables")
                model = train(corpus, train_on, tokenizer, recipe, tables=tables, seed=seed, progress=progress)
                save(model, tokenizer, corpus, folder)
            figures = measured(LangSAMP.from_pretrained(str(folder)), corpus)
            progress(f"seed {seed}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
            for name, value in figures.items():
                found[tables].setdefault(name, []).append(value)

    def against_twin(text: str, name: str) -> Claim:
        return Claim(text, tuple(found[True][name]), tuple(found[False][name]), least=0.0)

    def against(text: str, name: str, figure: float, least: float) -> Claim:
        return Claim(text, tuple(found[True][name]), (figure,) * seeds, least=least)

    return [
        against_twin("log-probability of a masked token, nats: above the model without tables", "log-probability"),
        against_twin("cosine between languages' means, layer compared: above the model without tables", "cosine"),
        against_twin("cosine between languages' means, last layer: above the model without tables", "cosine, last"),
        against_twin("Latin script, nearest neighbour of another language: more than without tables", "confused"),
        against_twin("English translation found among 100: above the model without tables", "retrieved"),
        against("English translation found among 100: above shared tokens alone", "retrieved",
                shared_tokens(tokenizer, corpus), 0.0),
        against("the right one of four translations: above chance", "chosen", 0.25, 0.05),
        against("nearest language in the table is of the same branch: above chance", "relatives",
                chance_of_relatives(corpus.languages), 0.1),
    ]  # fmt: skip


def train(
    corpus: Corpus,
    texts: Mapping[str, Sequence[str]],
    tokenizer: Any,
    recipe: Recipe,
    *,
    tables: bool,
    seed: int,
    progress: Progress = lambda _: None,
) -> MaskedModel:
    """Return a model trained to fill in masked tokens; a sentence is of a language drawn evenly."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=recipe.width, intermediate_size=4 * recipe.width,
        num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads, max_position_embeddings=recipe.longest + 1,
        type_vocab_size=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="sdpa",
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    rows = {"languages": len(corpus.languages), "scripts": len(corpus.scripts)} if tables else {}
    # The tables are drawn last, so that all other weights begin the same without them.
    model = seeded(lambda: MaskedModel(XLMRobertaForMaskedLM(config), **rows, longest=recipe.longest), seed)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    special = torch.tensor(tokenizer.all_special_ids)
    for step in range(recipe.steps):
        languages = [corpus.languages[i] for i in _draw(len(corpus.languages), recipe.batch, generator)]
        chosen = [texts[each][_draw(len(texts[each]), 1, generator)[0]] for each in languages]
        tokens, there = batch(tokenizer, chosen, recipe.longest)
        shown, wanted = masked(tokens, special, tokenizer.mask_token_id, len(tokenizer), generator)
        asked = wanted != -100
        loss = functional.cross_entropy(model(shown, there, asked, *corpus.rows(languages)), wanted[asked])
        train_step(optimiser, loss, model, recipe.learning_rate, step, recipe.steps)
        if (step + 1) % 500 == 0:
            progress(f"step {step + 1} of {recipe.steps}: {loss.item():.3f} nats a masked token")
    return model.eval()


def _draw(size: int, count: int, generator: torch.Generator) -> list[int]:
    return torch.randint(size, (count,), generator=generator).tolist()


def save(model: MaskedModel, tokenizer: Any, corpus: Corpus, folder: Path) -> None:
    """Write a model whose temperature fits one right translation among four, on the sentences held out for that."""
    backend = LangSAMP(model, tokenizer)
    four = [row for table in translations(backend, corpus, FIT) for row in among_four(table)]
    LangSAMP(
        model,
        tokenizer,
        layer=backend.texts.layer,
        languages=corpus.languages,
        scripts=corpus.scripts,
        temperature=best_temperature(four, [0] * len(four)),
    ).save_pretrained(folder)
