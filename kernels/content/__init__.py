"""Names of content controls: what a hearer gets in place of a message. `controls.py` renders those that are made of beliefs."""

from typing import Literal, get_args

RenderedContent = Literal["top1", "tail", "shuffled-tail", "hull-noise", "noise"]
Content = Literal["intact", "top1", "tail", "shuffled-tail", "hull-noise", "noise", "swapped", "silence", "echo"]
RENDERED_CONTENTS: tuple[str, ...] = get_args(RenderedContent)
CONTENTS: tuple[str, ...] = get_args(Content)


def rendered_name(content: str, table: str) -> str:
    """Return the name of vectors in a message: the hash of the table, for a control with its content before it."""
    return table if content == "intact" else f"{content}:{table}"
