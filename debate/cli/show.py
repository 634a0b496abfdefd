"""`debate show`: the transcripts of a run."""

import json
from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    method: Annotated[str | None, typer.Option("--method", help="Show only this method.")] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="Show only the question with this id.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-L", min=1, help="Maximum number of debates per method.")
    ] = None,
) -> None:
    """Show who said what, and what it came to.

    Example:  debate show runs/first --method cipher --limit 1
    """
    from agents.errors import RunError
    from debate.cli.lines import turn_line
    from debate.run_folder.reader import RunReader

    found = RunReader(run)
    names = [name for name in found.methods if method in (None, name)]
    if not names:
        known = ", ".join(found.methods) or "none"
        raise RunError(f"{run} has no method {method!r}. It has: {known}.")
    status = json.loads((run / "run.json").read_text())["status"]
    options.console.print(f"{run}: {status}", markup=False)
    shown = 0
    for name in names:
        debates = [record for record in found.debates(name) if question in (None, record.transcript.question.id)]
        for record in debates[:limit]:
            shown += 1
            transcript, decision = record.transcript, record.decision
            title = f"{name}  {transcript.question.id}  {transcript.question.text}"
            options.console.rule(title, align="left", style="dim")
            for turn in transcript.turns:
                options.console.print(turn_line(turn))
            if record.failure is not None:
                options.console.print(f"failed: {record.failure}", markup=False, style="bold")
                continue
            if decision is None:
                options.console.print("not finished", style="bold")
                continue
            why = f", {decision['score_reason']}" if decision.get("score_reason") else ""
            score = f" ({decision['score']}{why}; {decision['target']} is right)" if "score" in decision else ""
            answer = decision["answer"] if decision["answer"] is not None else "no answer"
            options.console.print(f"decision: {answer}{score}: {decision['reason']}", markup=False, style="bold")
    if question and not shown:
        raise RunError(f"{run} has no question {question!r}")
