"""`debate lm-eval`: lm-evaluation-harness with debates among its model types."""

import sys

import typer

from debate.cli.app import app


@app.command(
    "lm-eval",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def lm_eval(context: typer.Context) -> None:
    """Run lm-evaluation-harness with the model type `cipher-debate`; every argument is its own (`debate lm-eval run --help`).

    Example:

        debate lm-eval --model cipher-debate --model_args config=debaters/experts --apply_chat_template --tasks TASK
    """
    from agents.errors import MissingDependency

    try:
        from lm_eval.__main__ import cli_evaluate

        import debate.interop.lm_eval  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("lm_eval", "tqdm"):
            raise
        raise MissingDependency("debate lm-eval", "lm_eval", "lm-eval") from error
    sys.argv = ["lm_eval", *context.args]
    cli_evaluate()
