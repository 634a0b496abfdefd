"""A debater's card: what it was trained on, for how long, and what it then answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.analysis.stats import wilson
from evals.training.recipe import Recipe


def write_card(
    folder: Path,
    recipe: Recipe,
    history: Sequence[dict[str, Any]],
    *,
    right: int,
    questions: int,
    parameters: int,
    without: int | None = None,
) -> None:
    """Write README.md beside the weights.

    Args:
        folder: of the model.
        recipe: that made it.
        history: its looks at held-out loss and accuracy.
        right: of the test questions.
        questions: how many there were.
        parameters: of what was trained.
        without: right answers without the adapter, where one was trained.
    """
    interval = wilson(right, questions)
    steps = sum(stage.steps for stage in recipe.stages)
    tokens = steps * recipe.rows * recipe.row_tokens
    last = history[-1]
    since = "from there " if recipe.begin else ""
    test, pair, expert = "arithmetic:held_out", "one of two solutions mistaken", ""
    heard = "whose solutions an earlier checkpoint sampled, or with slips put in"
    data = "easier forms, single solutions, debate turns {}; text only; expressions of the training split"
    if recipe.knows:
        pair = "the other expert right about what this one does not know"
        heard = "with the other expert"
        expert = (
            f" Of the products it was taught those whose first factor is {recipe.knows}, and to trust the other expert with "
            "the rest."
        )
    if recipe.worlds:
        test, pair = f"witnesses:{recipe.worlds[0]}", "the other's message heard"
        data = "hidden strings of {}, alone, after other witnesses, and as stated shares; lines of evidence of the training split"
        heard = ", ".join(recipe.worlds)
        # Even the best decision is wrong of many strings, whose evidence misleads.
        expert = " See docs/witnesses.md for what the best decision comes to, which is not 100 %."
    lines = [
        f"# {recipe.name}",
        "",
        _what(recipe, parameters) + expert,
        "",
        "| | |",
        "|---|---|",
        f"| single answers, greedy, `{test}` test | {right} of {questions} right: {right / questions:.1%} "
        f"(95 % {interval.low:.1%} to {interval.high:.1%}, Wilson) |",
        *([f"| without the adapter | {without} of {questions} |"] if without is not None else []),
        f"| debate turns, {pair}, held out | {last['debate']:.1%} |",
        *(
            [f"| shares stated, every digit the exact one, held out | {last['shares']:.1%} |"]
            if "shares" in last
            else []
        ),
        *([f"| debate turns, the other's shares heard, held out | {last['weigh']:.1%} |"] if "weigh" in last else []),
        f"| held-out loss | {last['loss']:.4f} |",
        f"| training | {since}{steps:,} steps, {tokens:,} tokens, {last['seconds'] / 60:.0f} minutes of wall time, "
        f"seed {recipe.seed} |",
        f"| embedding table | {_table(recipe)} |",
        f"| data | generated: {data.format(heard)}{_heard_softly(recipe)} |",
        f"| made by | `debate train {recipe.name}` |",
        "| licence | Apache-2.0 |"
        if recipe.lora is None
        else f"| licence | Apache-2.0, for use with `{recipe.begin}` |",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _heard_softly(recipe: Recipe) -> str:
    """Return what a listener's card says of the vectors that it heard."""
    soft = [stage for stage in recipe.stages if stage.hears == "soft"]
    encoders = dict.fromkeys(stage.encoder for stage in soft)
    senders = dict.fromkeys(f"`{stage.sender}`" if stage.sender else "the model before the stage" for stage in soft)
    return f"; debate turns heard as vectors ({', '.join(encoders)}) of {' and '.join(senders)}" if soft else ""


def _what(recipe: Recipe, parameters: int) -> str:
    task = "to work out `a+b*c+d-e*f`, a … f in [0, 30), and to debate it"
    if recipe.worlds:
        task = "to say a hidden string after what a witness sees of it and hears of others"
    if recipe.lora is not None:
        return (
            f"An adapter over `{recipe.begin}`: LoRA of rank {recipe.lora.rank}, {parameters:,} parameters in "
            f"{', '.join(recipe.lora.layers)}, trained {task}. A config names it as an agent's `adapter`."
        )
    shape, begun = recipe.shape, f"the weights of `{recipe.begin}`" if recipe.begin else "random weights"
    return (
        f"A tiny debater: a {recipe.architecture.described()} of {parameters:,} parameters ({shape.num_hidden_layers} layers, "
        f"width {shape.hidden_size}, context {shape.max_position_embeddings}), trained from {begun} {task}. "
        "It can do nothing else."
    )


def _table(recipe: Recipe) -> str:
    if recipe.table:
        return f"of `{recipe.table}`, frozen"
    if recipe.begin and (recipe.lora is not None or all(stage.table == "frozen" for stage in recipe.stages)):
        return f"of `{recipe.begin}`, frozen"
    return "trained with it"
