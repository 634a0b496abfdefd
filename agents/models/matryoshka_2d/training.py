"""The recipe: a small BERT on masked words of SICK and STS, then CoSENT on SICK's training pairs, with and without depth.

The paper's base loss is AnglE's; ours is its cosine part, CoSENT. Both models of a seed start from the same masked language
model, see the same pairs in the same order, and take as many steps.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.errors import MissingDependency
from agents.models.matryoshka_2d.backend import STORED, Matryoshka2D
from agents.models.matryoshka_2d.losses import layer_losses
from agents.models.seeded import seeded
from agents.models.sentences.batch import batch
from agents.models.sentences.contrastive import cosent, prefix
from agents.models.sentences.corpora import ScoredPair, read_sick, read_sts12
from agents.models.sentences.encoder import Encoder
from agents.models.sentences.masking import masked
from agents.models.sentences.steps import train_step
from agents.models.sentences.vocabulary import trained_tokenizer
from agents.pretrained import Progress


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper has BERT-base, 768 wide and 12 layers deep."""

    vocabulary: int = 2048
    width: int = 64
    layers: int = 4
    heads: int = 4
    masked_steps: int = 800
    epochs: int = 8
    batch: int = 32
    longest: int = 40
    learning_rate: float = 1e-3
    dims: tuple[int, ...] = (8, 16, 32)
    divergence: float = 1.0
    temperature: float = 0.3
    first: int = 1
    """0 where the embeddings are among the earlier layers that are drawn, as in sentence-transformers."""


def claims(
    out: Path,
    *,
    seeds: int = 3,
    data: Path | None = None,
    progress: Progress = lambda _: None,
    recipe: Recipe | None = None,
) -> list[Claim]:
    """Return what of the paper's findings holds on SICK's test pairs, in Spearman's rank correlation.

    Args:
        out: models that are there are not trained again; the baseline is.
        seeds: training seeds, from 0.
        data: folder of sick and sts12_16.
        progress: told of each step that takes time.
        recipe: how; ours by default.
    """
    # Before any training.
    _spearman()
    recipe = recipe or Recipe()
    pairs, test = read_sick(data, "train"), read_sick(data, "test")
    texts = list(dict.fromkeys(text for p in [*pairs, *read_sts12(data)] for text in (p.first, p.second)))
    tokenizer = trained_tokenizer(texts, recipe.vocabulary, starts=True)
    grids: dict[bool, list[dict[tuple[int, int], float]]] = {True: [], False: []}
    times: list[tuple[float, float]] = []
    for seed in range(seeds):
        folder = out / f"sick-{seed}"
        progress(f"seed {seed}: masked words")
        body = masked_model(tokenizer, texts, recipe, seed=seed, progress=progress)
        for both in (True, False):
            if both and (folder / STORED).is_file():
                encoder = Matryoshka2D.from_pretrained(str(folder)).texts.encoder
            else:
                progress(f"seed {seed}: SICK, {'every layer and length' if both else 'last layer, whole vectors'}")
                encoder = train(body, tokenizer, pairs, recipe, both=both, seed=seed)
                if both:
                    Matryoshka2D(encoder, tokenizer).save_pretrained(folder)
            grids[both].append(correlations(encoder, tokenizer, test, [*recipe.dims, recipe.width]))
            if both:
                times.append(seconds(encoder, tokenizer, [pair.first for pair in test[:256]]))
        rows = [f"{grid[recipe.layers, recipe.width]:.3f}" for grid in (grids[True][-1], grids[False][-1])]
        progress(f"seed {seed}: whole {rows[0]}, trained on the last layer only {rows[1]}")
    return _table(grids, times, recipe)


def published_claims(
    out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None
) -> list[Claim]:
    """Return the same claims, the embeddings among the layers that are drawn, as in sentence-transformers' Matryoshka2dLoss."""
    return claims(out, seeds=seeds, data=data, progress=progress, recipe=replace(Recipe(), first=0))


def _table(
    grids: dict[bool, list[dict[tuple[int, int], float]]], times: Sequence[tuple[float, float]], recipe: Recipe
) -> list[Claim]:
    def mean(both: bool, which: Any) -> tuple[float, ...]:
        return tuple(fmean(value for place, value in grid.items() if which(*place)) for grid in grids[both])

    def claim(text: str, which: Any, **asked: float) -> Claim:
        return Claim(text, mean(True, which), mean(False, which), **asked)

    last, whole, half = recipe.layers, recipe.width, recipe.layers // 2
    return [
        claim(f"SICK, mean over layers 1 to {last - 1} and all lengths: above training the last layer only",
              lambda n, k: n < last, least=0.0),
        claim(f"SICK, layer {half}, all {whole} numbers: above training the last layer only",
              lambda n, k: (n, k) == (half, whole), least=0.0),
        claim(f"SICK, last layer, lengths {', '.join(map(str, recipe.dims))}: above training the last layer only",
              lambda n, k: n == last and k < whole, least=0.0),
        claim("SICK, last layer, whole: near training the last layer only", lambda n, k: (n, k) == (last, whole), within=0.02),
        Claim(f"time up to layer {half} of {last}, as a share of the whole: near a half",
              tuple(early / all_ for early, all_ in times), (0.5,) * len(times), within=0.1),
    ]  # fmt: skip


def masked_model(tokenizer: Any, texts: Sequence[str], recipe: Recipe, *, seed: int, progress: Progress) -> Any:
    """Return a BertModel trained to fill in 15 % of the tokens, 80 / 10 / 10 masked, drawn and kept (Devlin et al., 2019)."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=recipe.width, intermediate_size=4 * recipe.width,
        num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads, max_position_embeddings=64,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )  # fmt: skip
    model = seeded(lambda: BertForMaskedLM(config), seed)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    special = torch.tensor(tokenizer.all_special_ids)
    for step in range(recipe.masked_steps):
        chosen = torch.randint(len(texts), (recipe.batch,), generator=generator).tolist()
        tokens, there = batch(tokenizer, [texts[i] for i in chosen], recipe.longest)
        shown, wanted = masked(tokens, special, tokenizer.mask_token_id, len(tokenizer), generator)
        logits = model(input_ids=shown, attention_mask=there.long()).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-100)
        train_step(optimiser, loss, model, recipe.learning_rate, step, recipe.masked_steps)
        if (step + 1) % 200 == 0:
            progress(f"step {step + 1} of {recipe.masked_steps}: {loss.item():.3f} nats a masked token")
    return model.bert


def train(body: Any, tokenizer: Any, pairs: Sequence[ScoredPair], recipe: Recipe, *, both: bool, seed: int) -> Encoder:
    """Return an encoder trained from a copy of a masked model: after every layer and for every length, or the last and whole."""
    encoder = Encoder(copy.deepcopy(body), longest=recipe.longest).train()
    generator = torch.Generator().manual_seed(seed)
    depths = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=recipe.learning_rate / 2, weight_decay=0.01)
    steps, step = recipe.epochs * -(-len(pairs) // recipe.batch), 0
    for _ in range(recipe.epochs):
        for places in torch.split(torch.randperm(len(pairs), generator=generator), recipe.batch):
            chosen = [pairs[int(place)] for place in places]
            scores = torch.tensor([pair.score for pair in chosen])
            texts = [pair.first for pair in chosen] + [pair.second for pair in chosen]
            vectors = encoder(*batch(tokenizer, texts, recipe.longest), first=recipe.first)

            def base(unit: Tensor, scores: Tensor = scores) -> Tensor:
                first, second = unit.chunk(2)
                return cosent(first, second, scores)

            if both:
                layer = int(torch.randint(recipe.first, recipe.layers, (), generator=depths))
                dim = recipe.dims[int(torch.randint(len(recipe.dims), (), generator=depths))]
                loss = layer_losses(
                    vectors[layer - recipe.first], vectors[-1], base,
                    dim=dim, divergence=recipe.divergence, temperature=recipe.temperature,
                )  # fmt: skip
            else:
                loss = base(prefix(vectors[-1], recipe.width))
            train_step(optimiser, loss, encoder, recipe.learning_rate / 2, step, steps)
            step += 1
    return encoder.eval()


@torch.inference_mode()
def correlations(
    encoder: Encoder, tokenizer: Any, pairs: Sequence[ScoredPair], dims: Sequence[int]
) -> dict[tuple[int, int], float]:
    """Return Spearman's correlation of cosines and scores for each layer and length."""
    spearman = _spearman()
    found: dict[tuple[int, int], list[float]] = {}
    for start in range(0, len(pairs), 64):
        chosen = pairs[start : start + 64]
        texts = [pair.first for pair in chosen] + [pair.second for pair in chosen]
        for number, vectors in enumerate(encoder(*batch(tokenizer, texts, encoder.longest)), start=1):
            for dim in dims:
                a, b = prefix(vectors, dim).chunk(2)
                found.setdefault((number, dim), []).extend((a * b).sum(-1).tolist())
    scores = [pair.score for pair in pairs]
    return {place: float(spearman(values, scores).statistic) for place, values in found.items()}


def _spearman() -> Any:
    try:
        from scipy.stats import spearmanr
    except ImportError as error:
        raise MissingDependency("the recipe of matryoshka_2d", "scipy", "train") from error
    return spearmanr


@torch.inference_mode()
def seconds(encoder: Encoder, tokenizer: Any, texts: Sequence[str], *, rounds: int = 15) -> tuple[float, float]:
    """Return the median time of a batch up to half of the layers, and up to the last; they take turns."""
    tokens, there = batch(tokenizer, texts, encoder.longest)
    taken: dict[int, list[float]] = {encoder.layers // 2: [], encoder.layers: []}
    for _ in range(rounds):
        for layer, times in taken.items():
            begun = time.perf_counter()
            encoder(tokens, there, layer=layer)
            times.append(time.perf_counter() - begun)
    half, whole = taken.values()
    return median(half), median(whole)
