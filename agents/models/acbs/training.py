"""The recipe: lines of Shakespeare searched for with a classifier of the model's states, and with certain conditions alone.

A model of characters says a line, which a line break ends. A beam looks for the likeliest line of a length. What is certain of a
prefix is how long it is; whether it can end well there in time is what the classifier has to tell. It is trained on the model's
own lines; one trained on as many lines of the text shows what clean prefixes alone teach.

Expected before the run: with the classifier, log p higher by 1 nat or more where the length is exact, since a beam by log p alone
arrives there in the middle of a sentence; by less, though more than nothing, where 24 to 48 characters will do; still higher than
those of a beam without it that reads as many prefixes. On samples the classifier of clean lines is the worse by some hundredths
of a nat a prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.claims import Claim
from agents.decoding.acbs import Behind, ConditionalBeam, Found, conditional_beam
from agents.decoding.attributes import AttributeClassifier, read_classifier, write_classifier
from agents.fingerprint import fingerprint
from agents.model_folder import weights_hash
from agents.models.acbs.samples import Sampled, draw_samples, fit, prefixes_of, surprise
from agents.models.glyphs.table import character_tokenizer
from agents.models.glyphs.text import divided_text
from agents.models.glyphs.training import surprise as loss_of
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress

CLASSIFIER = "attributes.safetensors"


@dataclass(frozen=True)
class Recipe:
    """How it is trained and asked; the paper's models are translation systems and LLaMA-7B."""

    width: int = 96
    layers: int = 3
    heads: int = 4
    steps: int = 600
    batch: int = 16
    window: int = 64
    rate: float = 3e-3
    prompt: int = 48
    """Characters before a line."""
    samples: int = 3000
    """Lines that a classifier learns."""
    looked_at: int = 500
    """Lines on other prompts on which classifiers are compared."""
    horizon: int = 64
    """Characters of the longest line that is drawn."""
    loop: int = 2
    asked: int = 60
    """Prompts behind which lines are searched for."""
    beam: int = 4
    considered: int = 16
    exact: int = 32
    least: int = 24
    most: int = 48


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what the classifier is worth to a beam at our size; figures are nats a line, or a prefix.

    Args:
        out: models and classifiers are kept there; those that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of tinyshakespeare.
        progress: told of each step that takes time.
    """
    recipe, tokenizer = Recipe(), character_tokenizer()
    end = tokenizer.convert_tokens_to_ids("\n")
    learned, unseen = divided_text(data, tokenizer)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        folder = out / f"lines-{seed}"
        model = language_model(folder, recipe, learned, tokenizer, end, seed)
        own, clean, samples = classifiers(model, folder, recipe, learned, unseen, end, seed)
        with torch.no_grad():
            figures = {"own": -float(surprise(own, samples)), "clean": -float(surprise(clean, samples))}
        prompts = prompts_of(unseen, end, recipe, recipe.asked, offset=1)
        exactly = ConditionalBeam(recipe.beam, recipe.exact, recipe.exact)
        between = ConditionalBeam(recipe.beam, recipe.least, recipe.most, recipe.loop)
        for name, settings in (("exact", exactly), ("between", between)):
            for way, width, q in (
                ("q", recipe.beam, own),
                ("narrow", recipe.beam, None),
                ("wide", recipe.considered, None),
            ):
                asked = ConditionalBeam(width, settings.least, settings.most, settings.loop)
                texts = [search(model, row, asked, recipe, end, q) for row in prompts]
                assert all(text.finish == "stop" for text in texts)
                figures[f"{name} {way}"] = sum(text.log_probability for text in texts) / len(texts)
        progress(f"seed {seed}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    rows = {name: tuple(values) for name, values in found.items()}
    length, span = f"of {recipe.exact} characters", f"of {recipe.least} to {recipe.most} characters, no loop"
    return [
        Claim(f"log p of a line {length}: above a beam as wide without q", rows["exact q"], rows["exact narrow"], least=1.0),
        Claim("the same: above a beam without q that reads as many prefixes", rows["exact q"], rows["exact wide"], least=0.0),
        Claim(f"log p of a line {span}: above a beam as wide without q", rows["between q"], rows["between narrow"], least=0.1),
        Claim("the same: above a beam without q that reads as many prefixes", rows["between q"], rows["between wide"], least=0.0),
        Claim("log q of what samples turned out to be: above a classifier of the text's own lines", rows["own"],
              rows["clean"], least=0.02),
    ]  # fmt: skip


def language_model(folder: Path, recipe: Recipe, learned: Tensor, tokenizer: Any, end: int, seed: int) -> Any:
    """Return the model of characters of a folder, trained first where there is none; a line break is its end token."""
    from transformers import LlamaConfig, LlamaForCausalLM

    if not (folder / "model.safetensors").is_file():
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=recipe.width, intermediate_size=2 * recipe.width,
            num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads, max_position_embeddings=256,
            tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=end,
        )  # fmt: skip
        made = seeded(lambda: LlamaForCausalLM(config), seed)
        generator = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(made.parameters(), lr=recipe.rate, weight_decay=0.0)
        for step in range(recipe.steps):
            starts = torch.randint(len(learned) - recipe.window, (recipe.batch,), generator=generator)
            windows = learned[starts[:, None] + torch.arange(recipe.window + 1)]
            loss = loss_of(made(windows[:, :-1], use_cache=False).logits, windows[:, 1:])
            train_step(optimiser, loss, made, recipe.rate, step, recipe.steps)
        made.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def classifiers(
    model: Any, folder: Path, recipe: Recipe, learned: Tensor, unseen: Tensor, end: int, seed: int
) -> tuple[AttributeClassifier, AttributeClassifier, Any]:
    """Return the classifier of the model's own lines, that of as many of the text, and lines to compare them on."""
    sizes = {"horizon": recipe.horizon, "loop": recipe.loop}
    generator = torch.Generator().manual_seed(seed)

    def own_lines(text: Tensor, count: int) -> list[Sampled]:
        prompts = prompts_of(text, end, recipe, count)
        parts = (draw_samples(model, part, {end}, recipe.horizon, generator) for part in torch.split(prompts, 250))
        return [line for part in parts for line in part]

    lines, others = own_lines(learned, recipe.samples), own_lines(unseen, recipe.looked_at)
    kept = []
    for name, texts in ((CLASSIFIER, lines), (f"clean-{CLASSIFIER}", taken(learned, lines, recipe, end))):
        path = folder / name
        if not path.is_file():
            classifier = fit(prefixes_of(model, texts, **sizes), **sizes, seed=seed)
            table = model.get_input_embeddings().weight.detach()
            told = fingerprint(folder.name, table, character_tokenizer(), weights=weights_hash(folder, folder.name))
            write_classifier(classifier, path, told)
        kept.append(read_classifier(str(path))[0])
    return kept[0], kept[1], prefixes_of(model, others, **sizes)


def starts_of(text: Tensor, end: int, recipe: Recipe) -> Tensor:
    """Return where lines that say something begin, behind a whole prompt and before a whole line."""
    inside = (text[:-1] == end) & (text[1:] != end)
    places = torch.nonzero(inside)[:, 0] + 1
    return places[(places >= recipe.prompt) & (places < len(text) - recipe.horizon - 1)]


def prompts_of(text: Tensor, end: int, recipe: Recipe, count: int, offset: int = 0) -> Tensor:
    """Return the characters [count, P] before lines that are spread evenly over a text; with another offset, before others."""
    places = starts_of(text, end, recipe)
    chosen = places[(torch.linspace(0, len(places) - 2, count).long() + offset).clamp_max(len(places) - 1)]
    return text[chosen[:, None] + torch.arange(-recipe.prompt, 0)]


def taken(text: Tensor, like: Sequence[Sampled], recipe: Recipe, end: int) -> list[Sampled]:
    """Return the lines of a text itself behind as many prompts, cut off where a sample is."""
    places = starts_of(text, end, recipe)
    found = []
    for place in places[torch.linspace(0, len(places) - 2, len(like)).long()].tolist():
        line = text[place : place + recipe.horizon + 1].tolist()
        count = line.index(end) if end in line else None
        prompt = tuple(text[place - recipe.prompt : place].tolist())
        found.append(Sampled(prompt, tuple(line[: recipe.horizon if count is None else count]), count is not None))
    return found


@torch.no_grad()
def search(
    model: Any, prompt: Tensor, settings: ConditionalBeam, recipe: Recipe, end: int, q: AttributeClassifier | None
) -> Found:
    """Return the line that a beam finds behind a prompt [P], with a classifier or by what is certain."""
    out = model(prompt[None], use_cache=True, output_hidden_states=True)
    held = {"cache": out.past_key_values, "written": 0}

    def advance(parents: Sequence[int], tokens: Sequence[int]) -> Behind:
        held["cache"].reorder_cache(torch.tensor(parents))
        found = model(
            torch.tensor(tokens)[:, None], past_key_values=held["cache"], use_cache=True, output_hidden_states=True
        )
        held["written"] += 1
        log_q = None
        if q is not None:
            left = (settings.least - held["written"], settings.most - held["written"])
            log_q = q.log_q(found.hidden_states[-1][:, -1], *left, loop=settings.loop)
        return torch.log_softmax(found.logits[:, -1].double(), -1), log_q

    return conditional_beam(
        torch.log_softmax(out.logits[0, -1].double(), -1),
        advance,
        settings,
        ends=(end,),
        limit=settings.most + 1,
        considered=settings.width if q is None else recipe.considered,
    )
