"""The recipe of the judge of order: solutions of sums of products as tiny debaters are taught them, and of word problems (GSM8K).

Sums are of the training split alone, which no held-out question of `arithmetic:held_out` is of. With GSM8K's train.jsonl and
test.jsonl in DATA the word problems are learnt too, by a judge of their own; without, what is claimed of them is left out.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from agents.beliefs.claims import Claim, claims_of
from agents.errors import ConfigError
from agents.models.blocks.words import PAD, UNKNOWN, counted
from agents.models.checkpoint import CONFIG
from agents.models.mp3.order import OrderConfig, StepOrder
from agents.models.mp3.order_backend import OrderJudge
from agents.models.mp3.positions import drawn_context, position_loss
from agents.models.mp3.steps import exchanged, shuffled, steps_of
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step
from agents.pretrained import Progress
from evals.task import create_task
from evals.tasks.sums import paper_form, worked
from evals.training.turns import asked, training_operands

TESTED = 1000
"""Held-out solutions of sums that are judged; of word problems all that the file has."""
WORDS = 3000


@dataclass(frozen=True)
class Solved:
    """A question, and the steps of its solution in their order."""

    question: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """How a judge is trained.

    Attributes:
        steps, batch, learning_rate: of AdamW; a batch is so many solutions.
        config: its sizes; the words are those of the solutions.
    """

    steps: int
    batch: int
    learning_rate: float = 2e-3
    config: OrderConfig = field(default_factory=lambda: OrderConfig((PAD, UNKNOWN)))


ARITHMETIC = Recipe(400, 32, config=OrderConfig((PAD, UNKNOWN), places=8, longest=16, asked=40))
WORD_PROBLEMS = Recipe(400, 16)
Draw = Callable[[random.Random], Solved]


def drawn_sum(rng: random.Random) -> Solved:
    """Return a sum of products of the training split, asked and worked out as tiny debaters are taught it."""
    terms = paper_form(*training_operands(rng))
    return Solved(asked(rng, terms), steps_of(str(worked(terms))))


def held_out_sums(count: int, split: str = "test") -> list[Solved]:
    """Return sums of a split that training never draws."""
    task = create_task("arithmetic:held_out", split=split)
    return [Solved(sample.question, steps_of(task.solution(sample))) for sample in task.samples(count)]


def word_problems(data: Path | None, split: str) -> list[Solved]:
    """Return GSM8K's problems with solutions of 2 to 12 steps, from the files in a folder; none where the two are not there.

    Raises:
        TaskError: a file that is there is damaged.
    """
    folders = [] if data is None else [data, data / "gsm8k"]
    folder = next((each for each in folders if _has_both(each)), None)
    if folder is None:
        return []
    samples = create_task("gsm8k", data=folder, split=split).samples()
    found = (Solved(sample.question, steps_of(str(sample.metadata["rationale"]))) for sample in samples)
    return [each for each in found if 2 <= len(each.steps) <= WORD_PROBLEMS.config.places]


def _has_both(folder: Path) -> bool:
    learnt = any((folder / f"train.jsonl{end}").is_file() for end in ("", ".gz"))
    return learnt and (folder / "test.jsonl").is_file()


def train(
    config: OrderConfig, draw: Draw, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None
) -> StepOrder:
    """Return a judge that learnt to tell the places of steps, with as many of them as keys as are drawn, from one to all."""
    generator, rng = torch.Generator().manual_seed(seed), random.Random(f"step_order|{seed}")
    model = seeded(lambda: StepOrder(config), seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    model.train()
    for step in range(recipe.steps):
        solved = [draw(rng) for _ in range(recipe.batch)]
        batch = model.encode([(each.question, each.steps) for each in solved])
        masked = torch.rand(recipe.batch, generator=generator)
        loss = position_loss(model(batch, drawn_context(batch.there, masked, generator)), batch.there)
        train_step(optimiser, loss, model, recipe.learning_rate, step, recipe.steps)
        if step % 100 == 99:
            progress(f"step {step + 1} of {recipe.steps}: {loss.item():.3f} nats")
    return model.eval()


def told_apart(model: StepOrder, tested: Sequence[Solved], *, near: bool = False) -> float:
    """Return the share of solutions whose order is found more plausible than another; a tie is half.

    Args:
        model: the judge.
        tested: solutions; those all of whose orders read alike are left out.
        near: the other order is the given one with two neighbours exchanged; else any.

    Raises:
        ConfigError: none is left.
    """
    right, count = 0.0, 0
    for each in tested:
        draw = random.Random(f"step_order|{near}|{each.question}")
        other = exchanged(each.steps, draw) if near else next(iter(shuffled(each.steps, 1, draw)), None)
        if other is None:
            continue
        ours, theirs = model.order_log_probabilities(each.question, (each.steps, other))
        right += 1.0 if ours > theirs else 0.5 if ours == theirs else 0.0
        count += 1
    if not count:
        raise ConfigError(f"none of {len(tested)} solutions has another order to be told apart from: give more of them")
    return right / count


SUMS = "sums of products, held out: true order above a random one, share of pairs"
SUMS_NEAR = "the same, above the order with two neighbours exchanged"
SUMS_ALONE = "two neighbours exchanged: above a judge of each step by itself"
PROBLEMS = "word problems (GSM8K test): true order above a random one, share of pairs"
PROBLEMS_NEAR = "word problems: true order above the one with two neighbours exchanged"
CARRIED_OVER = "word problems, random order: the judge of sums above chance"
ASKED: dict[str, tuple[float | None, float | None]] = {
    SUMS: (0.4, None),
    SUMS_NEAR: (0.3, None),
    SUMS_ALONE: (0.0, None),
    PROBLEMS: (0.2, None),
    PROBLEMS_NEAR: (0.1, None),
    CARRIED_OVER: (0.05, None),
}


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return how well judges tell a solution's order from another; every judge is kept under `out`.

    Args:
        out: judges that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of GSM8K's train.jsonl and test.jsonl (.gz of the former too), or with such a folder `gsm8k`.
        progress: told of each step that takes time.
    """
    sums, problems, learnt = held_out_sums(TESTED), word_problems(data, "test"), word_problems(data, "train")
    if not (problems and learnt):
        progress("no GSM8K in --data: word problems are left out")
    figures: dict[str, list[tuple[float, float]]] = {}

    def add(text: str, ours: float, baseline: float) -> None:
        figures.setdefault(text, []).append((ours, baseline))
        progress(f"{text}: {ours:.3f}, {baseline:.3f}")

    for seed in range(seeds):
        of_sums, alone = (
            _judge(out, "arithmetic", others, drawn_sum, ARITHMETIC, seed, progress) for others in (True, False)
        )
        near = told_apart(of_sums, sums, near=True)
        add(SUMS, told_apart(of_sums, sums), 0.5)
        add(SUMS_NEAR, near, 0.5)
        add(SUMS_ALONE, near, told_apart(alone, sums, near=True))
        if not (problems and learnt):
            continue

        def draw(rng: random.Random) -> Solved:
            return rng.choice(learnt)

        words = counted((text for each in learnt for text in (each.question, *each.steps)), WORDS)
        recipe = replace(WORD_PROBLEMS, config=replace(WORD_PROBLEMS.config, words=words))
        judge = _judge(out, "gsm8k", True, draw, recipe, seed, progress)
        add(PROBLEMS, told_apart(judge, problems), 0.5)
        add(PROBLEMS_NEAR, told_apart(judge, problems, near=True), 0.5)
        short = [each for each in problems if len(each.steps) <= ARITHMETIC.config.places]
        add(CARRIED_OVER, told_apart(of_sums, short), 0.5)
    return claims_of(figures, ASKED)


def _judge(out: Path, name: str, others: bool, draw: Draw, recipe: Recipe, seed: int, progress: Progress) -> StepOrder:
    folder = out / f"{name}{'' if others else '-alone'}-{seed}"
    if not (folder / CONFIG).is_file():
        progress(f"training {folder.name}")
        config = recipe.config
        if len(config.words) == 2:
            rng = random.Random(0)
            texts = [drawn_sum(rng) for _ in range(2000)]
            config = replace(config, words=counted((t for each in texts for t in (each.question, *each.steps)), WORDS))
        model = train(replace(config, others=others), draw, recipe, seed=seed, progress=progress)
        OrderJudge(model).save_pretrained(folder)
    return OrderJudge.from_pretrained(str(folder)).model
