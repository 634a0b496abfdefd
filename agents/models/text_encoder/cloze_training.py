"""The recipe: masked words of film reviews, by WideNet, and by ALBERT-like models of equal operations and of equal parameters.

Expected before the run: experts in place of one feed-forward part are worth some hundredths of a nat a masked word at equal
operations, and 1 point where one of four words stood in a gap; an ALBERT-like model of equal parameters, which has more
operations, is within 0.05 of WideNet.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.errors import ModelError
from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.cost import cost_of
from agents.models.blocks.layers import Route
from agents.models.blocks.words import counted, padded, split
from agents.models.checkpoint import CONFIG
from agents.models.seeded import seeded
from agents.models.sentences.masking import masked
from agents.models.sentences.steps import train_step
from agents.models.text_encoder.cloze import GAP, TextEncoderCloze
from agents.models.text_encoder.masked import MASK, SPECIAL, MaskedWords, MaskedWordsConfig
from agents.models.text_encoder.training import Corpus, read_corpus
from agents.models.text_encoder.widenet import MODELS, TOKENS
from agents.models.vision.measures import fitted_temperature
from agents.pretrained import Progress

KINDS = ("widenet", "albert", "albert-large")


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper's models of texts are pretrained on Wikipedia and books.

    Attributes:
        words: that are known, of the commonest.
        shortest: words of a text that is learned from.
        longest: words of a text that are read.
        steps, batch, rate: of AdamW.
        balance: α, of the loss that shares tokens out among experts.
        gaps: texts with a gap that are measured, and as many that the temperature is fitted on.
        offered: words for a gap.
    """

    words: int = 3000
    shortest: int = 6
    longest: int = 24
    steps: int = 1200
    batch: int = 64
    rate: float = 2e-3
    balance: float = 0.01
    gaps: int = 400
    offered: int = 4


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what experts are worth to a masked model of words; models are kept under `out`.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of SST-2.
        progress: told of each step that takes time, and of each model's cost.
    """
    corpus, recipe = read_corpus(data), Recipe()
    for name in KINDS:
        cost = cost_of(MODELS[name], TOKENS)
        progress(f"{name}: {cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds of {TOKENS} words")
    words = (*SPECIAL, *counted(corpus.train.texts, recipe.words)[2:])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
    for seed in range(seeds):
        for name, figures in found.items():
            folder = out / f"{name}-{seed}"
            if not (folder / CONFIG).is_file():
                progress(f"training {folder.name}")
                model = train(MODELS[name], words, corpus, recipe, seed=seed)
                TextEncoderCloze(model, temperature=fitted(model, corpus, recipe)).save_pretrained(folder)
            backend = TextEncoderCloze.from_pretrained(str(folder))
            texts = long_enough(corpus.test.texts, recipe)
            figures.append((log_probability(backend.model, texts), right(backend, texts, recipe)))
            progress(f"{name}-{seed}: {figures[-1][0]:.3f} nats, {figures[-1][1]:.3f} right")

    def rows(name: str, place: int) -> tuple[float, ...]:
        return tuple(figures[place] for figures in found[name])

    return [
        Claim("log p of a masked word, nats: WideNet above an ALBERT-like model of equal operations", rows("widenet", 0),
              rows("albert", 0), least=0.02),
        Claim("the right one of four words for a gap: the same", rows("widenet", 1), rows("albert", 1), least=0.01),
        Claim("log p of a masked word, nats: WideNet near an ALBERT-like model of equal parameters", rows("widenet", 0),
              rows("albert-large", 0), within=0.05),
    ]  # fmt: skip


def long_enough(texts: tuple[str, ...], recipe: Recipe) -> list[str]:
    """Return the texts that have words enough."""
    return [text for text in texts if len(split(text)) >= recipe.shortest]


def train(encoder: EncoderConfig, words: tuple[str, ...], corpus: Corpus, recipe: Recipe, *, seed: int) -> MaskedWords:
    """Return a model trained to fill in masked words, in eval mode."""
    config, generator = MaskedWordsConfig(words, recipe.longest, encoder), torch.Generator().manual_seed(seed)
    noise = int(torch.randint(2**62, (), generator=generator))
    model = seeded(lambda: MaskedWords(config), seed)
    # A router's noise is of torch's own generator.
    return seeded(lambda: _train(model, long_enough(corpus.train.texts, recipe), recipe, generator), noise)


def _train(model: MaskedWords, texts: list[str], recipe: Recipe, generator: torch.Generator) -> MaskedWords:
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.01)
    model.train()
    for step in range(recipe.steps):
        chosen = torch.randint(len(texts), (recipe.batch,), generator=generator).tolist()
        shown, wanted = _masked(model, [texts[place] for place in chosen], generator)
        routes: list[Route] = []
        loss = functional.cross_entropy(model(shown, wanted != -100, routes), wanted[wanted != -100])
        for route in routes:
            loss = loss + recipe.balance * route.balance
        train_step(optimiser, loss, model, recipe.rate, step, recipe.steps)
    return model.eval()


def _masked(model: MaskedWords, texts: list[str], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    tokens = padded([model.vocabulary.numbers(text, model.config.longest) for text in texts])
    special = torch.arange(len(SPECIAL))
    return masked(tokens, special, SPECIAL.index(MASK), len(model.config.words), generator)


@torch.inference_mode()
def log_probability(model: MaskedWords, texts: list[str]) -> float:
    """Return the mean log-probability of a masked word in nats, the same words masked for every model."""
    generator, found = torch.Generator().manual_seed(0), []
    for start in range(0, len(texts), 100):
        shown, wanted = _masked(model, texts[start : start + 100], generator)
        asked = wanted != -100
        found.append(-functional.cross_entropy(model(shown, asked), wanted[asked], reduction="none"))
    return float(torch.cat(found).double().mean())


def gaps_of(model: MaskedWords, texts: list[str], recipe: Recipe) -> list[tuple[str, list[int]]]:
    """Return texts with a gap, and the words that are offered, the one that stood there first; the same for every model.

    Raises:
        ModelError: there is no such text.
    """
    generator = torch.Generator().manual_seed(0)
    found: list[tuple[str, list[int]]] = []

    def drawn(size: int) -> int:
        return int(torch.randint(size, (), generator=generator))

    everything = [word for text in texts for word in split(text)]
    for text in texts:
        if len(found) == recipe.gaps:
            break
        said = split(text)
        place = drawn(len(said))
        offered = [said[place]]
        for _ in range(100):
            if len(offered) == recipe.offered:
                break
            other = everything[drawn(len(everything))]
            # As common as words of texts are.
            if other not in offered and other.isalpha():
                offered.append(other)
        numbers = [model.vocabulary.numbers(word, 1)[0] for word in offered]
        if said[place].isalpha() and len(offered) == recipe.offered and min(numbers) >= len(SPECIAL):
            found.append((" ".join([*said[:place], GAP, *said[place + 1 :]]), numbers))
    if not found:
        raise ModelError(
            "no text has a gap for which there are words enough: give all of SST-2's train.tsv and dev.tsv"
        )
    return found


def _scores(backend: TextEncoderCloze, texts: list[str], recipe: Recipe) -> Tensor:
    gaps = gaps_of(backend.model, texts, recipe)
    return torch.tensor([[backend.likelihood(text, [number]) for number in numbers] for text, numbers in gaps])


def right(backend: TextEncoderCloze, texts: list[str], recipe: Recipe) -> float:
    """Return the share of gaps for which the word that stood there is the likeliest of those offered."""
    return float((_scores(backend, texts, recipe).argmax(-1) == 0).double().mean())


def fitted(model: MaskedWords, corpus: Corpus, recipe: Recipe) -> float:
    """Return the temperature that fits gaps of held-out sentences."""
    rows = _scores(TextEncoderCloze(model), long_enough(corpus.held.texts, recipe), recipe)
    return fitted_temperature(rows, torch.zeros(len(rows), dtype=torch.int64))
