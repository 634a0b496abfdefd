"""A turn and a decision as one line each."""

from typing import Any

from rich.text import Text


def turn_line(turn: Any) -> Text:
    """Return one line: round, agent, how it spoke, and what; a CIPHER message is shown by its reading."""
    message = turn.message
    kind = f"{message.encoder}, {message.num_bytes:,} B" if message.is_cipher else "text"
    # Of an API only the count is known, not the tokens.
    count = message.num_tokens if message.model.tokenizer else turn.usage.generated_tokens
    line = Text(f"round {turn.key.round}  {turn.key.agent}  ", style="bold")
    line.append(f"[{kind}, {count} tokens] ", style="dim")
    line.append(message.text.strip().replace("\n", " ⏎ "))
    if turn.left_out:
        line.append(f" (its prompt had no room for {_turns(turn.left_out)})", style="dim")
    if turn.forgotten:
        line.append(f" (of its memory, the {turn.forgotten} oldest turns are forgotten)", style="dim")
    if turn.summary is not None:
        said = turn.summary.text.strip().replace("\n", " ⏎ ")
        line.append(f" (it heard, in place of {_turns(turn.summary.of)}, its own summary: {said})", style="dim")
    return line


def _turns(keys: Any) -> str:
    return ", ".join(f"{key.agent} in round {key.round}" for key in keys)


def decision_line(decision: Any, score: Any) -> Text:
    """Return one line: the answer, how it fared where that is known, and how it was reached."""
    verdict = f" ({score.value}; {score.target} is right)" if score else ""
    answer = "no answer" if decision.answer is None else decision.answer
    return Text(f"decision: {answer}{verdict}: {decision.reason}", style="bold")
