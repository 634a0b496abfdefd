"""The recipe: four vocabularies of one size for the same text, how likely they make it, and a small language model on each.

Models read the same pieces of text in the same order for as many steps, so as many bytes; those whose tokens are longer compute
less. Predictions and what came of them are in docs/minds.md.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim, claims_of
from agents.errors import ModelError
from agents.models.figures import kept_figures
from agents.models.glyphs.text import read_text
from agents.models.seeded import seeded
from agents.models.sentences.corpora import read_prose
from agents.models.sentences.steps import train_step
from agents.models.subwords.measures import read
from agents.models.subwords.tokenizer import (
    END,
    KINDS,
    as_tokenizer,
    count_words,
    swe_tokenizer,
    symbols,
    trained_baseline,
)
from agents.models.subwords.vocabulary import fitted
from agents.pretrained import Progress

TEXTS = ("Shakespeare", "Wikipedia")
# BPE's sub-words, words cut into the likeliest of them: what of a difference is the vocabulary's and what the cuts'.
CUT_ANEW = "bpe cut anew"
ARMS = ("swe", *KINDS)


@dataclass(frozen=True)
class Recipe:
    """What is learned from, and how.

    Attributes:
        size: tokens of a vocabulary, the 256 bytes and the end among them.
        exchanges: rounds of exchanges at most, of SWE.
        characters: of each text, from its beginning; a tenth of them is held out.
        piece: characters of a piece about, which models read as a text of its own.
        width, layers, heads: of the models.
        steps, batch, rate: of their training; pieces of a step.
    """

    size: int = 512
    exchanges: int = 10
    characters: int = 200_000
    piece: int = 160
    width: int = 64
    layers: int = 2
    heads: int = 4
    steps: int = 100
    batch: int = 16
    rate: float = 3e-3


def _asked() -> dict[str, tuple[float | None, float | None]]:
    """Return claim → by how much ours is to be above the baseline, or how near the two are to be."""
    found: dict[str, tuple[float | None, float | None]] = {}
    for text in TEXTS:
        found |= {
            f"bits a byte by independent tokens (negated), {text}, learned: swe above {other}": (least, None)
            for other, least in (("bpe", 0.05), ("wordpiece", 0.05), ("unigram", 0.0), (CUT_ANEW, 0.02))
        }
        found |= {
            f"bits a byte by independent tokens (negated), {text}, held out: swe above {other}": (least, None)
            for other, least in (("bpe", 0.03), ("unigram", 0.0))
        }
        found[f"bytes a token, {text}, held out: swe near bpe"] = (None, 0.15)
        found |= {
            f"bits a byte by a language model (negated), {text}, held out: swe above {other}": (0.0, None)
            for other in KINDS
        }
    return found


ASKED: Mapping[str, tuple[float | None, float | None]] = _asked()


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return whether a vocabulary chosen by likelihood is worth more than BPE's, WordPiece's and Unigram's.

    Args:
        out: models with their tokenizers, and each seed's figures; those there by the same recipe are not measured again.
        seeds: from 0; of the tenth of the text that is held out, of weights and of the order of pieces.
        data: folder of tinyshakespeare and wikitext2.
        progress: told of each step that takes time.
    """
    recipe = Recipe()
    texts = {name: pieces(text[: recipe.characters], recipe.piece) for name, text in _texts(data).items()}
    measured = [
        kept_figures(out / f"seed-{seed}", recipe, partial(figures, out, recipe, texts, seed, progress))
        for seed in range(seeds)
    ]
    pairs = {text: [_compared(each, text) for each in measured] for text in ASKED}
    return claims_of(pairs, ASKED)


def _compared(figures: Mapping[str, float], claim: str) -> tuple[float, float]:
    """Return ours and the baseline's figure of what a claim is about."""
    what, _, arms = claim.rpartition(": swe ")
    return figures[f"{what}: swe"], figures[f"{what}: {arms.partition(' ')[2]}"]


def figures(
    out: Path, recipe: Recipe, texts: Mapping[str, Sequence[str]], seed: int, progress: Progress = lambda _: None
) -> dict[str, float]:
    """Return what one seed gives: `WHAT, TEXT, learned or held out: ARM` → figure. Models are kept by text, arm and seed."""
    found: dict[str, float] = {}
    for name, whole in texts.items():
        learned, unseen = divided(whole, seed)
        for arm, tokenizer in _tokenizers(recipe, learned).items():
            ours, other = read(tokenizer, learned), read(tokenizer, unseen)
            found[f"bits a byte by independent tokens (negated), {name}, learned: {arm}"] = -ours.bits
            found[f"bits a byte by independent tokens (negated), {name}, held out: {arm}"] = -other.bits_by(
                ours, recipe.size
            )
            found[f"bytes a token, {name}, held out: {arm}"] = other.bytes_a_token
            told = f"{ours.bits:.4f} bits a byte learned, {other.bytes_a_token:.3f} bytes a token"
            if arm in ARMS:
                model = train(build(recipe, len(tokenizer), seed), tokenizer, learned, recipe, seed)
                bits = bits_by_model(model, tokenizer, unseen, recipe)
                found[f"bits a byte by a language model (negated), {name}, held out: {arm}"] = -bits
                folder = out / f"{name.lower()}-{arm}-{seed}"
                model.save_pretrained(folder)
                tokenizer.save_pretrained(folder)
                told += f", {bits:.4f} bits a byte by a language model"
            progress(f"seed {seed}: {name}: {arm}: {told}")
    return found


def pieces(text: str, length: int) -> list[str]:
    """Return a text in pieces of so many characters or a little more, each but the first beginning with a white space.

    Words, which have the space before them, are cut nowhere.
    """
    found, start = [], 0
    while start < len(text):
        end = start + length
        while end < len(text) and not (text[end].isspace() and not text[end - 1].isspace()):
            end += 1
        found.append(text[start:end])
        start = end
    return found


def divided(whole: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Return the pieces that are learned, and a tenth in a row that is held out: of seed 0 the first, of seed 10 again.

    Raises:
        ModelError: fewer pieces than ten.
    """
    if len(whole) < 10:
        raise ModelError(f"a text is divided into tenths, and has {len(whole)} pieces; give a longer one")
    tenth, place = len(whole) // 10, seed % 10
    begin = place * tenth
    return [*whole[:begin], *whole[begin + tenth :]], list(whole[begin : begin + tenth])


def build(recipe: Recipe, rows: int, seed: int) -> Any:
    """Return a LlamaForCausalLM with random weights and tied tables."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=rows, hidden_size=recipe.width, intermediate_size=2 * recipe.width, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, max_position_embeddings=1024, tie_word_embeddings=True, pad_token_id=0,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return seeded(lambda: LlamaForCausalLM(config), seed)


def train(model: Any, tokenizer: Any, learned: Sequence[str], recipe: Recipe, seed: int) -> Any:
    """Return the model trained on pieces of text, each between two ends; every tokenizer's model reads the same ones."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.0)
    model.train()
    for step in range(recipe.steps):
        drawn = torch.randint(len(learned), (recipe.batch,), generator=generator).tolist()
        ids, labels = _rows(tokenizer, [learned[place] for place in drawn])
        loss = _nats(model, ids, labels) / (labels >= 0).sum()
        train_step(optimiser, loss, model, recipe.rate, step, recipe.steps)
    return model.eval()


@torch.inference_mode()
def bits_by_model(model: Any, tokenizer: Any, texts: Sequence[str], recipe: Recipe) -> float:
    """Return bits a byte of texts, each read alone from the end token on; where a text ends is not foretold."""
    nats = 0.0
    for start in range(0, len(texts), recipe.batch):
        ids, labels = _rows(tokenizer, texts[start : start + recipe.batch], with_end=False)
        nats += float(_nats(model, ids, labels))
    return nats / math.log(2) / sum(len(text.encode()) for text in texts)


def _rows(tokenizer: Any, texts: Sequence[str], *, with_end: bool = True) -> tuple[Tensor, Tensor]:
    """Return token numbers [B, T] that begin with the end token, and what each foretells, −100 where a row is filled up."""
    end = tokenizer.convert_tokens_to_ids(END)
    rows = [[end, *ids, *([end] if with_end else [])] for ids in tokenizer(list(texts))["input_ids"]]
    longest = max(map(len, rows)) - 1
    ids, labels = (torch.full((len(rows), longest), fill) for fill in (end, -100))
    for row, (tokens, wanted) in enumerate((each[:-1], each[1:]) for each in rows):
        ids[row, : len(tokens)], labels[row, : len(wanted)] = torch.tensor(tokens), torch.tensor(wanted)
    return ids, labels


def _nats(model: Any, ids: Tensor, labels: Tensor) -> Tensor:
    logits = model(ids, use_cache=False).logits
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")


def _tokenizers(recipe: Recipe, learned: Sequence[str]) -> dict[str, Any]:
    """Return the tokenizer of each arm, all of one size and learned from the same pieces."""
    found = {"swe": swe_tokenizer(learned, recipe.size, exchanges=recipe.exchanges)}
    found |= {kind: trained_baseline(kind, learned, recipe.size) for kind in KINDS}
    bpe = [token for token in found["bpe"].get_vocab() if token != END]
    return {**found, CUT_ANEW: as_tokenizer(fitted(count_words(learned), bpe, symbols()))}


def _texts(data: Path | None) -> dict[str, str]:
    return dict(zip(TEXTS, (read_text(data), "\n".join(read_prose(data))), strict=True))
