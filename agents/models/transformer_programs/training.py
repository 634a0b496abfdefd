"""The recipe: TREC's questions (Li and Roth, 2002) by six kinds, Gumbel-softmax from 3.0 down to 0.01, Adam at 5e-2."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.errors import ModelError
from agents.models.seeded import seeded
from agents.models.transformer_programs.backend import STORED, TransformerPrograms
from agents.models.transformer_programs.config import BOS, EOS, PAD, UNKNOWN, ProgramConfig, split
from agents.models.transformer_programs.model import HIGHEST, LOWEST, SoftProgram
from agents.models.transformer_programs.program import harden
from agents.models.transformer_programs.trec import KINDS, read_trec
from agents.pretrained import Progress
from agents.question import Question

VALIDATION = 500


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the paper has 10 to 50 epochs on TREC.

    Attributes:
        epochs, batch, learning_rate: of Adam.
        validated_from: share of the training after which the hard program of best validation is looked for; 1 for the last one.
        staged: whether the temperature falls to that of the next epoch within each and stays low in the last one, as in the
            published code; else it falls evenly over all steps.
    """

    epochs: int = 15
    batch: int = 256
    learning_rate: float = 5e-2
    validated_from: float = 0.5
    staged: bool = False

    def temperature(self, step: int, steps: int) -> float:
        """Return the temperature of a step, from 0, of an epoch of so many steps, counted through."""
        total = self.epochs * steps
        if not self.staged:
            share = step / max(total - 1, 1)
        else:
            epoch, within = divmod(step, steps)
            done = epoch + within / max(steps - 1, 1)
            share = min(done / max(self.epochs - 1, 1), 1.0)
        return float(HIGHEST * (LOWEST / HIGHEST) ** share)


PUBLISHED = Recipe(epochs=10, batch=128, validated_from=1.0, staged=True)
"""Of github princeton-nlp/TransformerPrograms @ 59970de, scripts/classification.sh and src/run.py."""
WORDS = 10_000
GLOVE = "glove.840B.300d.txt"


@dataclass(frozen=True)
class Questions:
    """Word numbers [Q, N], padded with 0, and labels [Q]."""

    words: Tensor
    labels: Tensor


def published_config(questions: list[tuple[str, str]]) -> ProgramConfig:
    """Return the published sizes for TREC: words with their case, the commonest first, a beginning and an end, no counts."""
    said = [split(question, cased=True) for _, question in questions]
    commonest = [word for word, _ in Counter(word for words in said for word in words).most_common(WORDS)]
    return ProgramConfig(
        (PAD, BOS, UNKNOWN, EOS, *commonest),
        tuple(KINDS.values()),
        values=64,
        counting_heads=0,
        counting_tables=0,
        pooled=max(map(len, said)) + 2,
        cased=True,
        ended=True,
    )


def start_from_vectors(model: SoftProgram, path: Path, *, seed: int) -> int:
    """Set the words' scores to published word vectors of a file like GloVe's, projected at random; return how many it has.

    A word a line with its numbers behind it. The projection is Gaussian, as of scikit-learn's GaussianRandomProjection with
    random_state 0; words that the file lacks have normal numbers of the seed.
    """
    import numpy as np

    words = model.config.words
    wanted = {word: place for place, word in enumerate(words)}
    rows: dict[int, list[float]] = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            word, _, numbers = line.rstrip().partition(" ")
            if word in wanted:
                rows[wanted[word]] = [float(number) for number in numbers.split(" ")]
    width = len(next(iter(rows.values()), ()))
    if not width or any(len(row) != width for row in rows.values()):
        raise ModelError(f"{path}: no vectors of one length for the words of the questions")
    vectors = np.random.RandomState(seed).standard_normal((len(words), width))
    for place, row in rows.items():
        vectors[place] = row
    size = model.config.embeddings * model.config.values
    projection = np.random.RandomState(0).normal(0.0, size**-0.5, (size, width))
    projected = torch.from_numpy(vectors @ projection.T).float()
    model.embedding.scores.data.copy_(projected.reshape(model.embedding.scores.shape))
    return len(rows)


def vocabulary(questions: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return the words that occur at least twice, in order of the alphabet, after the three that are always there."""
    counted: dict[str, int] = {}
    for _, question in questions:
        for word in split(question):
            counted[word] = counted.get(word, 0) + 1
    return (PAD, BOS, UNKNOWN, *sorted(word for word, count in counted.items() if count > 1))


def numbered(questions: list[tuple[str, str]], config: ProgramConfig) -> Questions:
    """Return questions as numbers, as `Program.words` reads them."""
    places = {word: place for place, word in enumerate(config.words)}
    rows = [[places[word] for word in config.read(question)] for _, question in questions]
    width = max(map(len, rows))
    words = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    return Questions(words, torch.tensor([config.labels.index(kind) for kind, _ in questions]))


def train(
    model: nn.Module, questions: Questions, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None
) -> nn.Module:
    """Return the model with the weights that were best on 500 questions held out, judged with every choice hard.

    The seed decides all that is drawn, the noise of the choices too: the same bits in every run on one machine.
    """
    generator = torch.Generator().manual_seed(seed)
    # Choices draw from torch's own generator; another stream than the weights began with.
    noise = int(torch.randint(2**62, (), generator=generator))
    return seeded(lambda: _train(model, questions, recipe, generator, progress), noise)


def _train(
    model: nn.Module, questions: Questions, recipe: Recipe, generator: torch.Generator, progress: Progress
) -> nn.Module:
    order = torch.randperm(len(questions.labels), generator=generator)
    held, used = order[:VALIDATION], order[VALIDATION:]
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    steps = math.ceil(len(used) / recipe.batch)
    step, best, kept = 0, -1.0, {name: value.clone() for name, value in model.state_dict().items()}
    for epoch in range(recipe.epochs):
        model.train()
        for batch in torch.split(used[torch.randperm(len(used), generator=generator)], recipe.batch):
            if isinstance(model, SoftProgram):
                model.temperature = recipe.temperature(step, steps)
            loss = functional.cross_entropy(model(_cut(questions.words[batch])), questions.labels[batch])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
        found = accuracy(model, Questions(questions.words[held], questions.labels[held]))
        if epoch + 1 >= recipe.epochs * recipe.validated_from and found > best:
            best, kept = found, {name: value.clone() for name, value in model.state_dict().items()}
        progress(f"epoch {epoch + 1} of {recipe.epochs}: loss {loss.item():.3f}, held out {found:.3f}")
    model.load_state_dict(kept)
    return model.eval()


@torch.inference_mode()
def accuracy(model: nn.Module, questions: Questions) -> float:
    """Return the share of right labels with every choice hard."""
    model.eval()
    found = [model(_cut(words)).argmax(-1) for words in torch.split(questions.words, 256)]
    return float((torch.cat(found) == questions.labels).float().mean())


def _cut(words: Tensor) -> Tensor:
    """Return a batch no wider than its longest row."""
    return words[:, : int((words != 0).sum(1).max())]


class Ordinary(nn.Module):
    """The baseline: an ordinary transformer of as many layers and heads and of the same width, mean-pooled."""

    def __init__(self, config: ProgramConfig) -> None:
        super().__init__()
        width = config.embeddings * config.values
        self.words = nn.Embedding(len(config.words), width)
        self.positions = nn.Embedding(config.values, width)
        layer = nn.TransformerEncoderLayer(
            width, config.categorical_heads + config.counting_heads, config.hidden, dropout=0.0, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.classifier = nn.Linear(width, len(config.labels))

    def forward(self, words: Tensor) -> Tensor:
        """Return the scores of the labels [B, K] for words [B, N], padded with 0."""
        there = words != 0
        h = self.words(words) + self.positions(torch.arange(words.shape[1]))
        h = self.encoder(h, src_key_padding_mask=~there)
        found: Tensor = self.classifier((h * there[..., None]).sum(1) / there.sum(1, keepdim=True))
        return found


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what of the paper's findings holds at our size; every program is kept under `out`.

    Args:
        out: programs that are there are not trained again; the baseline is.
        seeds: training seeds, from 0.
        data: folder or file of TREC's questions.
        progress: told of each step that takes time.
    """
    pairs, test_pairs = read_trec(data, "train"), read_trec(data, "test")
    config = ProgramConfig(vocabulary(pairs), tuple(KINDS.values()))
    questions, test = numbered(pairs, config), numbered(test_pairs, config)
    ours, ordinary = [], []
    for seed in range(seeds):
        folder = out / f"trec-{seed}"
        if not (folder / STORED).is_file():
            progress(f"training a program, seed {seed}")
            made = train(seeded(lambda: SoftProgram(config), seed), questions, Recipe(), seed=seed, progress=progress)
            assert isinstance(made, SoftProgram)
            TransformerPrograms(harden(made)).save_pretrained(folder)
        program = TransformerPrograms.from_pretrained(str(folder)).program
        said = [program.label_scores(program.words(question)) for _, question in test_pairs]
        labels = [config.labels[scores.index(max(scores))] for scores in said]
        ours.append(sum(a == kind for a, (kind, _) in zip(labels, test_pairs, strict=True)) / len(labels))
        progress(f"training the baseline, seed {seed}")
        recipe = Recipe(epochs=8, learning_rate=1e-3, validated_from=0.0)
        ordinary.append(accuracy(train(seeded(lambda: Ordinary(config), seed), questions, recipe, seed=seed), test))
    commonest = max(sum(kind == each for kind, _ in test_pairs) for each in config.labels) / len(test_pairs)
    return [
        Claim("TREC, test accuracy: near an ordinary transformer's", tuple(ours), tuple(ordinary), within=0.05),
        Claim("TREC, test accuracy: above the commonest kind", tuple(ours), (commonest,) * seeds, least=0.3),
    ]


def published_claims(
    out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None
) -> list[Claim]:
    """Return what the published recipe comes to on TREC, beside the commonest kind; every program is kept under `out`.

    Args:
        out: programs that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder or file of TREC's questions; with glove.840B.300d.txt in it words begin at its vectors, as in the paper.
        progress: told of each step that takes time.
    """
    pairs, test = read_trec(data, "train"), read_trec(data, "test")
    config = published_config(pairs)
    vectors = None if data is None or not (data / GLOVE).is_file() else data / GLOVE
    if vectors is None:
        progress(f"no {GLOVE} in --data: words begin at random, where the published run begins at its vectors")
    ours = []
    for seed in range(seeds):
        folder = out / f"published-trec-{seed}"
        if not (folder / STORED).is_file():
            model = seeded(lambda: SoftProgram(config), seed)
            if vectors is not None:
                progress(f"{start_from_vectors(model, vectors, seed=seed)} of {len(config.words)} words have a vector")
            progress(f"training the published recipe, seed {seed}")
            made = train(model, numbered(pairs, config), PUBLISHED, seed=seed, progress=progress)
            assert isinstance(made, SoftProgram)
            TransformerPrograms(harden(made)).save_pretrained(folder)
        backend = TransformerPrograms.from_pretrained(str(folder))
        said = [belief.best for belief in backend.believe([Question("case", question) for _, question in test])]
        ours.append(sum(a == kind for a, (kind, _) in zip(said, test, strict=True)) / len(test))
        progress(f"seed {seed}: {ours[seed]:.3f}")
    commonest = max(sum(kind == each for kind, _ in test) for each in config.labels) / len(test)
    return [Claim("TREC, test accuracy: above the commonest kind", tuple(ours), (commonest,) * seeds, least=0.3)]
