"""`debate sparsity`: how few activations of models' feed-forward layers are at work."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

FIGURES = "sparsity.json"
DEPTH, POSITIONS = "over_depth", "over_positions"


@app.command()
def sparsity(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Models, e.g. tiny/dee 'tiny/dee | topk(k=64)'.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of figures and JSON.")] = Path("runs") / "sparsity",
    texts: Annotated[
        Path | None, typer.Option("--texts", help="Texts to read (default: the tiny debaters' held-out solutions).")
    ] = None,
    num_texts: Annotated[int, typer.Option("--num-texts", min=1, help="Maximum number of texts.")] = 200,
    share: Annotated[
        float,
        typer.Option(
            "--share",
            help="Share of a token's largest activation from which on one counts where there are no exact zeros.",
        ),
    ] = 0.01,
) -> None:
    """Measure the activation sparsity of models' feed-forward layers over depth and over the positions of texts.

    Example:  debate sparsity tiny/dee tiny/ada

    Counted is what the last map of each feed-forward layer reads: where the activation function is a ReLU, or topk keeps some
    units, activations that are not 0; where it is smooth (SiLU, GELU) those of at least a share of the token's largest in
    that layer, by magnitude.
    """
    import json

    from agents.atomic_file import write_atomic
    from agents.errors import MissingDependency
    from agents.model_folder import quiet
    from evals.analysis.plots import lines
    from evals.copies.drift import scored_texts
    from evals.copies.sparsity import in_words
    from evals.copies.sparsity import sparsity as measured

    found = []
    with quiet():
        for model in dict.fromkeys(models):
            read = scored_texts(model, texts, options.progress, num_texts)[:num_texts]
            options.progress(f"{model}: {len(read)} texts")
            found.append(measured(model, read, share=share, progress=options.progress))
    write_atomic(out / FIGURES, json.dumps([each.facts() for each in found], indent=1) + "\n")
    drawings = {
        DEPTH: ("layer", {each.model: each.over_depth() for each in found}),
        POSITIONS: ("position", {each.model: each.over_positions() for each in found}),
    }
    for name, (across, rows) in drawings.items():
        try:
            drawn = lines(across, "share of activations at work", rows)
        except MissingDependency as error:
            options.progress(f"nothing is drawn: {error}")
            break
        write_atomic(out / f"{name}.svg", drawn)
    for each in found:
        shares = each.over_depth()
        said = in_words(share, is_exact=each.is_exact)
        options.console.print(
            f"{each.model} ({each.activation}; {int(each.tokens.sum()):,} tokens; counted: {said})", markup=False
        )
        options.console.print(f"  by layer: {' '.join(f'{value:.3f}' for value in shares)}", markup=False)
    options.console.print(f"wrote {out}/{FIGURES}", markup=False)
