"""What stands around a training: the table that it takes from another recipe, and the card and plot that it leaves."""

from collections.abc import Iterator
from pathlib import Path

import torch

from agents.prompts import Prompts
from debate.config import prompts_folder
from evals.plots import training
from evals.stats import wilson
from evals.task import create_task
from evals.training.card import write_card
from evals.training.recipe import Recipe, load_recipe
from evals.training.speaking import complete
from evals.training.train import MODEL, Say, read_history, run_stages
from evals.training.turns import Turn
from evals.training.vocabulary import make_tokenizer

PLOT = "training.svg"


def table_of(recipe: Recipe, recipes: Path, runs: Path, say: Say) -> torch.Tensor | None:
    """Return the table [V, D] that a recipe takes from another, which is trained first if it has not been; else None.

    Args:
        recipe: whose table.
        recipes: the folder of the other recipe.
        runs: the folder of its run.
        say: called with a sentence now and then.
    """
    if recipe.table is None:
        return None
    other = load_recipe(recipes / f"{recipe.table}.yaml")
    theirs = table_of(other, recipes, runs, say)
    model, _ = run_stages(other, runs / other.name, other.table_stages, table=theirs, say=say)
    weight: torch.Tensor = model.get_input_embeddings().weight
    # As it will be shipped, so that tables agree to the bit in every dtype.
    return weight.detach().bfloat16().float()


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
