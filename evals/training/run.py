"""What stands around a training: the test questions that it is asked, the card and the plot that it leaves."""

from collections.abc import Iterator
from pathlib import Path

import torch

from agents.prompts import Prompts
from debate.config import prompts_folder
from evals.plots import training
from evals.stats import wilson
from evals.task import create_task
from evals.training.card import write_card
from evals.training.recipe import Recipe
from evals.training.speaking import complete
from evals.training.train import MODEL, read_history
from evals.training.turns import Turn
from evals.training.vocabulary import make_tokenizer

PLOT = "training.svg"


def finish(recipe: Recipe, out: Path, *, questions: int) -> Iterator[str]:
    """Ask the trained model test questions, write its card and the plot, and yield what there is to say.

    Args:
        recipe: that made it.
        out: the run's folder.
        questions: how many are asked.
    """
    from transformers import LlamaForCausalLM

    folder = out / MODEL
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = make_tokenizer()
    task = create_task("arithmetic:held_out", split="test")
    prompts = Prompts(prompts_folder("tiny"), "plain")
    samples = task.samples(questions)
    said = complete(model, tokenizer, [Turn(prompts.initial(sample.question), "") for sample in samples])
    scores = [task.score_sample(task.extract(text), sample) for text, sample in zip(said, samples, strict=True)]
    right = sum(score.value == "correct" for score in scores)
    history = read_history(out)
    write_card(folder, recipe, history, right=right, questions=questions, parameters=model.num_parameters())
    (out / PLOT).write_text(training(history) + "\n", encoding="utf-8")
    interval = wilson(right, questions)
    yield f"{recipe.name}: {right} of {questions} single answers right ({interval.low:.1%} to {interval.high:.1%})"
    yield f"the plot: {out / PLOT}"
