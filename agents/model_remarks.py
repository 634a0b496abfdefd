"""What a person should know of a model that works all the same: how its messages end, what its template writes, what it lacks."""

from collections.abc import Callable, Collection
from typing import Any

from agents.chat_template import DAY, Placed, render, tells_the_day
from agents.control_tokens import control_tokens
from agents.errors import PromptError
from agents.model_folder import some

# Tables are filled up to a round number; with fewer tokens than this share of the rows it is hardly that.
FEW_NAMED = 0.9


def remarks(name: str, tokenizer: Any, stop_ids: Collection[int], rows: int) -> list[str]:
    """Return what a person should know of a model that works all the same, a sentence each.

    Args:
        name: the model's.
        tokenizer: its own.
        stop_ids: the tokens that end its messages.
        rows: of its embedding table.
    """
    found = []
    if (
        tokenizer.chat_template
        and (turn_end := _turn_end(tokenizer, name))
        and tokenizer.convert_tokens_to_ids(turn_end) not in stop_ids
        and not _writes_an_end(tokenizer, stop_ids)
    ):
        found.append(
            f"the chat template of {name} ends a turn with {turn_end}, which is not one of its end tokens: messages may run on "
            f"to max_tokens. To end them there: stop: ['{turn_end}']"
        )
    if tells_the_day(tokenizer.chat_template):
        found.append(
            f"the chat template of {name} writes the day's date, so its prompts are others on another day. To have the same on "
            f"every day, set {DAY} to a moment in seconds since 1970"
        )
    if not any(0 <= token < rows for token in stop_ids):
        found.append(f"{name} names no token that ends a message: each runs to max_tokens, or to a string in stop")
    if len(tokenizer) < FEW_NAMED * rows:
        found.append(
            f"the tokenizer of {name} has {len(tokenizer)} tokens for the {rows} rows of its embedding table: see whether it is "
            "the tokenizer of another model"
        )
    if len(tokenizer) > rows:
        beyond = sorted(token for token, place in tokenizer.get_vocab().items() if place >= rows)
        found.append(
            f"the tokenizer of {name} has {len(beyond)} tokens beyond the {rows} rows of its embedding table ({some(beyond)}): a "
            "prompt that holds one is refused"
        )
    return found


class PlainText:
    """Says once that a model's prompts are plain text for want of a chat template; a debate that wants plain text hears nothing.

    Args:
        name: the model's.
        tokenizer: its own.
        tell: called with the sentence.
    """

    def __init__(self, name: str, tokenizer: Any, tell: Callable[[str], None]) -> None:
        self._name, self._tell = name, tell
        self._is_news = not tokenizer.chat_template

    def remark(self, form: str) -> None:
        """Look at the format of a prompt."""
        if self._is_news and form == "auto":
            self._is_news = False
            self._tell(f"{self._name} has no chat template: its prompts are plain text")


def _turn_end(tokenizer: Any, name: str) -> str | None:
    """Return the control token that the chat template writes after what the assistant said."""
    try:
        pieces = render([("user", (0,)), ("assistant", (1,)), ("user", (2,))], ("a", "b", "c"), tokenizer, name)
    except PromptError:  # said where a prompt is refused
        return None
    place = next(i for i, piece in enumerate(pieces) if isinstance(piece, Placed) and piece.number == 1)
    after = pieces[place + 1].text or ""
    names = [name for name in control_tokens(tokenizer).names if name in after]
    return min(names, key=after.index, default=None)


def _writes_an_end(tokenizer: Any, stop_ids: Collection[int]) -> bool:
    """Whether the chat template writes a token that ends a message; it may end the parts of a message with another."""
    ends = {name for name in control_tokens(tokenizer).names if tokenizer.convert_tokens_to_ids(name) in stop_ids}
    return any(end in str(tokenizer.chat_template) for end in ends)
