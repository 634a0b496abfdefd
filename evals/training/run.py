"""What stands around a training: the test questions that it is asked, the card and the plot that it leaves."""

from collections.abc import Iterator
from pathlib import Path

from evals.analysis.derived import derived
from evals.analysis.plots import training
from evals.analysis.stats import wilson
from evals.scorer import read_response, score_answer
from evals.training.card import write_card
from evals.training.recipe import Recipe
from evals.training.speaking import complete
from evals.training.subjects import subject_of
from evals.training.train import form, read_history
from evals.training.turns import TaughtTurn

PLOT = "training.svg"


def finish(recipe: Recipe, out: Path, *, questions: int) -> Iterator[str]:
    """Ask the trained model test questions, write its card and the plot, and yield what there is to say.

    Args:
        recipe: that made it.
        out: the run's folder.
        questions: how many are asked.
    """
    folder = out / form(recipe).MODEL
    model, tokenizer = form(recipe).load(recipe, folder)
    task, prompts = subject_of(recipe).test()
    samples = task.samples(questions)
    turns = [TaughtTurn(prompts.initial(sample.question), "") for sample in samples]

    def right_answers() -> int:
        said = complete(model, tokenizer, turns, longest=recipe.longest)
        scores = [
            score_answer(task, read_response(task, text), sample) for text, sample in zip(said, samples, strict=True)
        ]
        return sum(score.value == "correct" for score in scores)

    right, without = right_answers(), None
    if recipe.lora is not None:
        with model.disable_adapter():
            without = right_answers()
    history = read_history(out)
    learned = sum(
        weights.numel() for name, weights in model.named_parameters() if recipe.lora is None or "lora_" in name
    )
    write_card(folder, recipe, history, right=right, questions=questions, parameters=learned, without=without)
    interval = wilson(right, questions)
    yield f"{recipe.name}: {right} of {questions} single answers right ({interval.low:.1%} to {interval.high:.1%})"
    if without is not None:
        yield f"without the adapter: {without} of {questions}"
    failed: list[str] = []
    with derived(f"{out / PLOT}", failed.append):
        (out / PLOT).write_text(training(history) + "\n", encoding="utf-8")
    yield from failed or [f"the plot: {out / PLOT}"]
