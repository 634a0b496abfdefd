"""The recipe: are states that foretell eight characters smoother than those that foretell one, and do they tell more?

Both are models of characters with the same encoder and the same constant rate. They are compared where they foretell the next
character equally well, and not after equally many steps: the plain one is looked at as it learns, and taken where its loss is
nearest to the other's.

Expected before the run: neighbouring states more alike, by far more than 0.1; tokens 4 to 8 ahead told better, by 2 points or
a little less, so that this may fail; of the speaker nothing either way, since a name is hardly needed for the next characters.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.claims import Claim
from agents.models.ftp.measures import adjacent_cosine, fit_probe, frequent, speakers
from agents.models.ftp.model import FTPConfig, FTPForCausalLM
from agents.models.glyphs.table import character_tokenizer
from agents.models.glyphs.text import read_text
from agents.models.glyphs.training import surprise
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress

VALIDATION, TEST = 0.05, 0.10
"""Shares of the text at its end that no model learns: where losses are matched, and where everything is measured."""


@dataclass(frozen=True)
class Recipe:
    """How they are trained; the paper's own sizes could not be read."""

    width: int = 96
    layers: int = 3
    heads: int = 4
    horizon: int = 8
    memory: int = 4
    chosen: int = 16
    steps: int = 2000
    most: int = 2000
    """Steps of the plain model, at most."""
    look: int = 40
    """Steps between two looks at its loss."""
    batch: int = 16
    window: int = 64
    rate: float = 2e-3
    looked_at: int = 160
    """Windows of a loss that decides."""
    probed: int = 480
    """Windows that are measured: every other one for fitting probes, the others for scoring them."""
    context: int = 16
    """Characters that a probed state has read at least."""
    distances: tuple[int, ...] = (4, 5, 6, 7, 8)
    speeches: int = 100
    """Fewest states of a speaker among those that a probe is fitted to."""


@dataclass(frozen=True)
class Measured:
    """What was found of one model on the test text.

    Attributes:
        loss: nats a character, of the next one.
        cosine: of neighbouring states, centred.
        raw: the same, not centred.
        tokens: share of right characters, the mean over distances.
        speaker: share of right speakers.
    """

    loss: float
    cosine: float
    raw: float
    tokens: float
    speaker: float


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what holds of the states at our size.

    Args:
        out: models are kept there; those that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of tinyshakespeare.
        progress: told of each step that takes time.
    """
    recipe, tokenizer, text = Recipe(), character_tokenizer(), read_text(data)
    stream = torch.tensor(tokenizer(text)["input_ids"])
    test, validation = int(TEST * len(stream)), int(VALIDATION * len(stream))
    learned, validated = stream[: -test - validation], stream[-test - validation : -test]
    found: dict[str, list[Measured]] = {"ftp": [], "gpt": []}
    for seed in range(seeds):
        target = None
        for kind, measured in found.items():
            folder = out / f"{kind}-{seed}"
            if (folder / "model.safetensors").is_file():
                model = kept(kind, folder)
            else:
                model, steps = train(
                    build(kind, recipe, len(tokenizer), seed), learned, recipe, validated, target, seed
                )
                model.save_pretrained(folder)
                tokenizer.save_pretrained(folder)
                progress(f"seed {seed}: {kind} after {steps} steps")
            target = loss_on(model, validated, recipe.window, recipe.looked_at)
            measured.append(measure(model, stream[-test:], text[-test:], recipe))
            one = measured[-1]
            progress(
                f"seed {seed}: {kind}: {target:.3f} on the validation text, {one.loss:.3f} on the test text, cosine "
                f"{one.cosine:.3f} (raw {one.raw:.3f}), tokens {one.tokens:.3f}, speaker {one.speaker:.3f}"
            )

    def pair(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        ours, baseline = (tuple(getattr(one, name) for one in found[kind]) for kind in ("ftp", "gpt"))
        return ours, baseline

    return [
        Claim("loss of the next character, where they are compared: near a plain model's", *pair("loss"), within=0.03),
        Claim("centred cosine of neighbouring states: above a plain model's", *pair("cosine"), least=0.1),
        Claim("linear probe for the characters 4 to 8 ahead: above", *pair("tokens"), least=0.02),
        Claim("linear probe for the speaker, named in the window: above", *pair("speaker"), least=0.02),
    ]


def build(kind: str, recipe: Recipe, rows: int, seed: int) -> Any:
    """Return a model with random weights: `ftp`, or `gpt`, a Llama of the same encoder."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {
        "vocab_size": rows, "hidden_size": recipe.width, "num_hidden_layers": recipe.layers, "num_attention_heads": recipe.heads,
        "intermediate_size": 2 * recipe.width, "max_position_embeddings": 256, "tie_word_embeddings": True,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    if kind == "gpt":
        return seeded(lambda: LlamaForCausalLM(LlamaConfig(**sizes)), seed)
    own = FTPConfig(**sizes, horizon=recipe.horizon, memory=recipe.memory, chosen=recipe.chosen)
    return seeded(lambda: FTPForCausalLM(own), seed)


def kept(kind: str, folder: Path) -> Any:
    """Return a model that an earlier run kept."""
    from transformers import LlamaForCausalLM

    of = LlamaForCausalLM if kind == "gpt" else FTPForCausalLM
    return of.from_pretrained(folder, dtype=torch.float32).eval()


def train(
    model: Any, stream: Tensor, recipe: Recipe, validated: Tensor, target: float | None, seed: int
) -> tuple[Any, int]:
    """Return the model and the steps that it was trained on windows of a stream of token numbers [N].

    Args:
        model: with random weights.
        stream: what is learned.
        recipe: how.
        validated: the text of the looks.
        target: a loss on it: the model as it was at the look where its own was nearest to that; None for the last step.
        seed: of the windows, and of the positions that are foretold from.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.0)
    steps = recipe.steps if target is None else recipe.most
    best: tuple[float, int, Any] | None = None
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for step in range(steps):
            starts = torch.randint(len(stream) - recipe.window, (recipe.batch,), generator=generator)
            windows = stream[starts[:, None] + torch.arange(recipe.window)]
            loss = model(windows, labels=windows, use_cache=False).loss
            # Of twice the steps the first half, whose rate does not fall: a model is taken at any of them.
            train_step(optimiser, loss, model, recipe.rate, step, 2 * steps)
            if target is not None and (step + 1) % recipe.look == 0:
                found = loss_on(model.eval(), validated, recipe.window, recipe.looked_at)
                model.train()
                if best is None or abs(found - target) < best[0]:
                    best = (abs(found - target), step + 1, copy.deepcopy(model.state_dict()))
                if found < target - 0.05:
                    break
    if best is not None:
        model.load_state_dict(best[2])
        steps = best[1]
    return model.eval(), steps


def windows_of(text: Tensor, length: int, count: int) -> Tensor:
    """Return evenly spaced windows [count, length] of token numbers [N]."""
    return text[_starts(text, length, count)[:, None] + torch.arange(length)]


def _starts(text: Tensor, length: int, count: int) -> Tensor:
    return torch.linspace(0, len(text) - length, count).long()


@torch.inference_mode()
def loss_on(model: Any, text: Tensor, window: int, count: int) -> float:
    """Return the mean loss of the next character in nats."""
    cut = windows_of(text, window + 1, count)
    return float(surprise(model(cut[:, :-1], use_cache=False).logits, cut[:, 1:]))


def measure(model: Any, tokens: Tensor, text: str, recipe: Recipe) -> Measured:
    """Return what is found of a model's states on a text, given as token numbers [N] and as characters."""
    window, reach = recipe.window, max(recipe.distances)
    cut = windows_of(tokens, window + reach, recipe.probed)
    with torch.no_grad():
        states = model.model(cut[:, :window], use_cache=False).last_hidden_state
    seen = states[:, recipe.context :]
    each = []
    for distance in recipe.distances:
        labels = cut[:, recipe.context + distance : window + distance]
        each.append(_probed(seen, labels, int(cut.max()) + 1))
    return Measured(
        loss_on(model, tokens, window, recipe.probed),
        adjacent_cosine(states),
        adjacent_cosine(states, centred=False),
        sum(each) / len(each),
        _speaker(states, _starts(tokens, window + reach, recipe.probed), text, recipe),
    )


def _probed(states: Tensor, labels: Tensor, classes: int) -> float:
    """Return the accuracy on every second window of a probe fitted to the others; states [W, T, D] and labels [W, T]."""
    probe = fit_probe(states[::2].flatten(0, 1), labels[::2].flatten(), classes)
    return probe.accuracy(states[1::2].flatten(0, 1), labels[1::2].flatten())


def _speaker(states: Tensor, starts: Tensor, text: str, recipe: Recipe) -> float:
    """Return how often a probe tells who speaks, where the whole heading stands in the window; 0 where that is too seldom."""
    _, who, begins = speakers(text)
    places = starts[:, None] + torch.arange(recipe.window)
    labels = torch.where(begins[places] >= starts[:, None], who[places], -1)
    names: Sequence[int] = frequent(labels[::2], recipe.speeches)
    if len(names) < 2:
        return 0.0
    number = torch.full((int(who.max()) + 2,), -1)
    number[torch.tensor(names)] = torch.arange(len(names))
    # The last entry stands for −1.
    labels = number[labels]
    fitting, scoring = labels[::2] >= 0, labels[1::2] >= 0
    probe = fit_probe(states[::2][fitting], labels[::2][fitting], len(names))
    return probe.accuracy(states[1::2][scoring], labels[1::2][scoring])
