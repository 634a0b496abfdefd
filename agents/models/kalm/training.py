"""The recipe: a tiny causal Qwen2 on prose, then contrastive training on pairs; baselines from the same language model.

Sentences that answer a question (TREC), and pairs that people found alike (SICK, STS 2012), with hard negatives: wrong answers
to the same question, or what shares a sentence with little relatedness. Judged on TREC's test questions.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.models.kalm.backend import STORED, KaLM
from agents.models.kalm.losses import PUBLISHED_TEMPERATURE, PUBLISHED_WEIGHTS, Loss, soup
from agents.models.kalm.model import Encoder, Reading
from agents.models.seeded import seeded
from agents.models.sentences.batch import batch
from agents.models.sentences.contrastive import best_temperature, prefix
from agents.models.sentences.corpora import AnswerSet, ScoredPair, read_answers, read_prose, read_sick, read_sts12
from agents.models.sentences.steps import train_step
from agents.models.sentences.vocabulary import trained_tokenizer
from agents.pretrained import Progress

ALIKE, UNLIKE = 4.0, 3.0
"""Scores from which a pair is a positive, and below which it is a hard negative."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper starts from Qwen2-0.5B, 896 wide."""

    vocabulary: int = 2048
    width: int = 96
    layers: int = 2
    heads: int = 4
    prose_steps: int = 300
    steps: int = 150
    batch: int = 24
    negatives: int = 2
    longest: int = 40
    learning_rate: float = 2e-3
    dims: tuple[int, ...] = (96, 48, 24, 12)
    weights: tuple[float, ...] = ()
    temperature: float = 0.05
    soups: int = 2
    """The checkpoints after each of so many last fifths of the training are averaged."""


@dataclass(frozen=True)
class Example:
    """A text, what goes with it, and what must not; `group` is the same where texts are."""

    query: str
    positive: str
    negatives: tuple[str, ...]
    group: int


def claims(
    out: Path,
    *,
    seeds: int = 3,
    data: Path | None = None,
    progress: Progress = lambda _: None,
    recipe: Recipe | None = None,
) -> list[Claim]:
    """Return what of the paper's choices helps at our size, all from the same language model a seed.

    Args:
        out: KaLMs that are there are not trained again; the baselines are.
        seeds: training seeds, from 0.
        data: folder of trecqa_wang, sick, sts12_16 and wikitext2.
        progress: told of each step that takes time.
        recipe: how; ours by default.
    """
    recipe = recipe or Recipe()
    answers, pairs = read_answers(data, "train"), [*read_sick(data, "train"), *read_sts12(data)]
    dev, test = read_answers(data, "dev"), judged(read_answers(data, "test"))
    prose = [*read_prose(data), *dict.fromkeys(text for pair in pairs for text in (pair.first, pair.second))]
    prose += [text for each in answers for text in (each.question, *each.right, *each.wrong)]
    tokenizer = trained_tokenizer(prose, recipe.vocabulary)
    examples = read_examples(answers, pairs)
    small = recipe.dims[-2]
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        progress(f"seed {seed}: a causal language model")
        body = language_model(tokenizer, prose, recipe, seed=seed, progress=progress)
        whole = Loss(recipe.dims, recipe.temperature, weights=recipe.weights)
        plain = replace(whole, gamma=0.0, mixing=False)
        paper = Reading(longest=recipe.longest)
        variants = {
            "kalm": (paper, whole),
            "plain": (paper, plain),
            "single": (paper, replace(whole, dims=recipe.dims[:1], weights=recipe.weights[:1])),
            "causal mean": (replace(paper, bidirectional=False), plain),
            "causal last": (replace(paper, bidirectional=False, pooling="last"), plain),
        }
        for name, (reading, loss) in variants.items():
            folder = out / f"kalm-{seed}"
            if name == "kalm" and (folder / STORED).is_file():
                encoder = KaLM.from_pretrained(str(folder)).questions.encoder
            else:
                progress(f"seed {seed}: contrastive training, {name}")
                encoder = train(body, tokenizer, examples, reading, loss, recipe, seed=seed)
                if name == "kalm":
                    KaLM(encoder, tokenizer, temperature=fitted(encoder, tokenizer, judged(dev))).save_pretrained(
                        folder
                    )
            found.setdefault(name, []).append(reciprocal_rank(encoder, tokenizer, test))
            found.setdefault(f"{name}, short", []).append(reciprocal_rank(encoder, tokenizer, test, dim=small))
            progress(f"seed {seed}: {name}: {found[name][-1]:.3f}; {small} numbers {found[f'{name}, short'][-1]:.3f}")
    by = {name: tuple(values) for name, values in found.items()}
    chance = (expected_reciprocal_rank(test),) * seeds
    return [
        Claim("TREC's answers, MRR: above a random order", by["kalm"], chance, least=0.05),
        Claim(
            "MRR, plain InfoNCE: bidirectional and mean above causal and last",
            by["plain"],
            by["causal last"],
            least=0.02,
        ),
        Claim(
            "MRR, plain InfoNCE: bidirectional and mean above causal and mean",
            by["plain"],
            by["causal mean"],
            least=0.0,
        ),
        Claim("MRR: focal weights and mixed negatives near plain InfoNCE", by["kalm"], by["plain"], within=0.02),
        Claim(f"MRR: {small} of {recipe.dims[0]} numbers near all of them", by["kalm, short"], by["kalm"], within=0.03),
        Claim(
            f"MRR of {small} numbers: above training without prefixes",
            by["kalm, short"],
            by["single, short"],
            least=0.0,
        ),
    ]


def published_claims(
    out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None
) -> list[Claim]:
    """Return the same claims with the published prefix weights, one for each of our prefixes, and temperature."""
    recipe = Recipe()
    weights = PUBLISHED_WEIGHTS[: len(recipe.dims)]
    published = replace(recipe, weights=weights, temperature=PUBLISHED_TEMPERATURE)
    return claims(out, seeds=seeds, data=data, progress=progress, recipe=published)


def judged(sets: Sequence[AnswerSet]) -> list[AnswerSet]:
    """Return the questions that have right and wrong sentences, as all who report on this set do."""
    return [each for each in sets if each.right and each.wrong]


def read_examples(answers: Sequence[AnswerSet], pairs: Sequence[ScoredPair]) -> list[Example]:
    """Return an example for each right answer and each pair alike; without hard negatives of its own it has none."""
    groups: dict[str, int] = {}
    against: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.score < UNLIKE:
            against.setdefault(pair.first, []).append(pair.second)
            against.setdefault(pair.second, []).append(pair.first)
    found = [
        Example(each.question, right, each.wrong, groups.setdefault(each.question, len(groups)))
        for each in answers
        for right in each.right
    ]
    for pair in pairs:
        if pair.score >= ALIKE and pair.first != pair.second:
            group = groups.setdefault(pair.first, len(groups))
            found.append(Example(pair.first, pair.second, tuple(against.get(pair.first, ())), group))
    return found


def language_model(tokenizer: Any, prose: Sequence[str], recipe: Recipe, *, seed: int, progress: Progress) -> Any:
    """Return a Qwen2Model trained to predict the next token of shuffled prose."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=recipe.width, intermediate_size=2 * recipe.width,
        num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads, num_key_value_heads=recipe.heads,
        max_position_embeddings=512, tie_word_embeddings=True, use_cache=False, attn_implementation="sdpa",
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = seeded(lambda: Qwen2ForCausalLM(config), seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(prose), generator=generator).tolist()
    stream = torch.tensor([token for place in order for token in tokenizer(prose[place])["input_ids"]])
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    for step in range(recipe.prose_steps):
        starts = torch.randint(len(stream) - 49, (16,), generator=generator)
        windows = stream[starts[:, None] + torch.arange(49)]
        logits = model(windows[:, :-1]).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        train_step(optimiser, loss, model, recipe.learning_rate, step, recipe.prose_steps)
        if (step + 1) % 100 == 0:
            progress(f"step {step + 1} of {recipe.prose_steps}: {loss.item():.3f} nats a token")
    return model.model


def train(
    body: Any, tokenizer: Any, examples: Sequence[Example], reading: Reading, loss: Loss, recipe: Recipe, *, seed: int
) -> Encoder:
    """Return an encoder trained from a copy of a language model; the last checkpoints are averaged."""
    encoder = Encoder(copy.deepcopy(body), reading).train()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=recipe.learning_rate / 2, weight_decay=0.01)
    kept: list[dict[str, Tensor]] = []
    fifths = {recipe.steps - recipe.steps // 5 * place for place in range(recipe.soups)}
    for step in range(recipe.steps):
        chosen = [examples[int(i)] for i in torch.randint(len(examples), (recipe.batch,), generator=generator)]
        texts = [each.query for each in chosen] + [each.positive for each in chosen]
        for each in chosen:
            pool = each.negatives or _others(each, chosen) or _others(each, examples)
            texts += [pool[int(i)] for i in torch.randint(len(pool), (recipe.negatives,), generator=generator)]
        vectors = encoder(*batch(tokenizer, texts, recipe.longest))
        q, p, n = vectors.split([len(chosen), len(chosen), len(chosen) * recipe.negatives])
        groups = torch.tensor([each.group for each in chosen])
        found = loss(q, p, n.unflatten(0, (len(chosen), -1)), groups, generator)
        train_step(optimiser, found, encoder, recipe.learning_rate / 2, step, recipe.steps)
        if step + 1 in fifths:
            kept.append({name: value.detach().clone() for name, value in encoder.state_dict().items()})
    encoder.load_state_dict(soup(kept))
    return encoder.eval()


def _others(example: Example, examples: Sequence[Example]) -> tuple[str, ...]:
    """Return what goes with other texts."""
    return tuple(other.positive for other in examples if other.group != example.group)


@torch.inference_mode()
def cosines(encoder: Encoder, tokenizer: Any, sets: Sequence[AnswerSet], dim: int | None = None) -> list[Tensor]:
    """Return for each question the cosines of its right answers, then of its wrong ones."""
    found = []
    for each in sets:
        texts = [each.question, *each.right, *each.wrong]
        vectors = encoder(*batch(tokenizer, texts, encoder.reading.longest))
        unit = prefix(vectors, dim or vectors.shape[-1])
        found.append(unit[1:] @ unit[0])
    return found


def reciprocal_rank(encoder: Encoder, tokenizer: Any, sets: Sequence[AnswerSet], dim: int | None = None) -> float:
    """Return the mean of 1 / rank of the best right answer; a wrong one with the same cosine stands before it."""
    ranks = []
    for each, row in zip(sets, cosines(encoder, tokenizer, sets, dim), strict=True):
        right, wrong = row[: len(each.right)], row[len(each.right) :]
        ranks.append(1 + int((wrong >= right.max()).sum()))
    return fmean(1 / rank for rank in ranks)


def expected_reciprocal_rank(sets: Sequence[AnswerSet]) -> float:
    """Return what a random order has on average: Σ_r P(the first right one stands at r) / r."""
    total = []
    for each in sets:
        right, wrong = len(each.right), len(each.wrong)
        none_before, mean = 1.0, 0.0
        for rank in range(1, wrong + 2):
            left = right + wrong - rank + 1
            mean += none_before * right / left / rank
            none_before *= 1 - right / left
        total.append(mean)
    return fmean(total)


def fitted(encoder: Encoder, tokenizer: Any, sets: Sequence[AnswerSet]) -> float:
    """Return the temperature that fits questions with one right answer, the first, among its wrong ones."""
    rows = cosines(encoder, tokenizer, sets)
    one = [torch.cat([row[:1], row[len(each.right) :]]) for each, row in zip(sets, rows, strict=True)]
    return best_temperature(one, [0] * len(one))
