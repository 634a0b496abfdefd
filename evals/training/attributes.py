"""A classifier of how a model's texts will end, of samples that the model says to the prompts of its subject.

What is shown are prompts of single answers and of debate turns, in the words that debates use; see agents/models/acbs/samples.py.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from agents.decoding.attributes import write_classifier
from agents.decoding.ending import stop_ids
from agents.fingerprint import fingerprint
from agents.model_folder import origin_of, weights_hash
from agents.models.acbs.samples import Sampled, draw_samples, fit, prefixes_of, surprise
from agents.pretrained import locate
from evals.training.adapter import base
from evals.training.recipe import Classifier, Recipe
from evals.training.subjects import subject_of
from evals.training.turns import encode

FILE = "attributes.safetensors"
BATCH = 64
# Of the samples, those on which it is looked at, and which it does not learn.
HELD = 0.1


def train(recipe: Recipe, wanted: Classifier, out: Path, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """Return the file of the classifier; one that is there is not trained again.

    Args:
        recipe: names the model and its prompts.
        wanted: the classifier.
        out: the run's folder.
        say: called with a sentence now and then.
    """
    done = out / FILE
    if done.is_file():
        say(f"{recipe.name} is trained already: {done}")
        return done
    assert recipe.begin is not None
    model, tokenizer = base(recipe)
    model.eval()
    texts = _samples(recipe, wanted, model, tokenizer)
    complete = sum(text.complete for text in texts)
    say(f"{len(texts)} texts of {recipe.begin}, {complete} of them complete within {recipe.longest} tokens")
    count = max(1, round(HELD * len(texts)))
    sizes = {"horizon": recipe.longest, "loop": wanted.loop}
    learned = prefixes_of(model, texts[count:], **sizes)
    made = fit(learned, **sizes, hidden=wanted.hidden, steps=wanted.steps, seed=recipe.seed)
    with torch.no_grad():
        held = surprise(made, prefixes_of(model, texts[:count], **sizes))
    say(f"of what others turn out to be it is surprised by {float(held):.3f} nats a prefix")
    folder = locate(recipe.begin)
    table = model.get_input_embeddings().weight.detach()
    of = fingerprint(
        recipe.begin, table, tokenizer, weights=weights_hash(folder, recipe.begin), origin=origin_of(folder)
    )
    write_classifier(made, done, of)
    return done


def _samples(recipe: Recipe, wanted: Classifier, model: Any, tokenizer: Any) -> list[Sampled]:
    """Return texts at temperature 1 to prompts of the subject, in an order in which any part is like the whole."""
    rng = random.Random(f"{recipe.name}|{recipe.seed}|attributes")
    drawer = subject_of(recipe).curriculum()
    by_length: dict[int, list[list[int]]] = {}
    for _ in range(wanted.samples):
        ids, shown, _ = encode(drawer.draw(rng, wanted.mixture), tokenizer)
        by_length.setdefault(shown, []).append(ids[:shown])
    ends = stop_ids(model.generation_config, model.config, tokenizer)
    generator = torch.Generator().manual_seed(recipe.seed)
    texts: list[Sampled] = []
    for _, prompts in sorted(by_length.items()):
        for part in _parts(prompts):
            texts += draw_samples(model, torch.tensor(part), ends, recipe.longest, generator)
    rng.shuffle(texts)
    return texts


def _parts(prompts: Sequence[list[int]]) -> list[Sequence[list[int]]]:
    return [prompts[start : start + BATCH] for start in range(0, len(prompts), BATCH)]
