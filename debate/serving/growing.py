"""Turns as text that grows: what may be shown of one that is not over, and in which order those that are said at once."""

from collections.abc import Sequence

from agents.decoding.thinking import may_think
from debate.serving.debates import Growing
from debate.serving.errors import ApiError
from debate.transcript import Turn, TurnKey

AGAIN = "(again)\n"


def told(turn: Turn) -> str:
    """Return a turn as it stands in the reasoning: who, when, what; a CIPHER message as its reading."""
    thinking = f"{turn.message.thinking}\n" if turn.message.thinking else ""
    return f"{_head(turn.key)}{thinking}{turn.message.text.strip()}\n\n"


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Return a text up to the first of the stops, and whether one was found."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


class Floor:
    """Who is heard while several speak: one until it is over; the others stand whole behind it."""

    def __init__(self) -> None:
        self._key: TurnKey | None = None
        self._sent = ""
        self._partly: dict[TurnKey, str] = {}
        self._waiting: list[Turn] = []

    def growing(self, turn: Growing) -> str:
        """Return what is shown now that a turn has grown."""
        self._partly[turn.key] = turn.text
        if self._key is None:
            self._key = turn.key
        return self._more() if turn.key == self._key else ""

    def said(self, turn: Turn) -> str:
        """Return what is shown now that a turn is over."""
        self._partly.pop(turn.key, None)
        if self._key not in (None, turn.key):
            self._waiting.append(turn)
            return ""
        whole, sent = told(turn), self._sent
        # A turn that was taken again need not be the one that was begun.
        shown = whole[len(sent) :] if whole.startswith(sent) else f"{AGAIN}{whole}"
        shown += "".join(map(told, self._waiting))
        self._key, self._sent, self._waiting = next(iter(self._partly), None), "", []
        return shown + (self._more() if self._key is not None else "")

    def _more(self) -> str:
        assert self._key is not None
        if may_think(self._partly[self._key]):
            return ""
        # What surrounds it is not told of a message that is over.
        shown = f"{_head(self._key)}{self._partly[self._key].strip()}"
        if not shown.startswith(self._sent):
            return ""
        more, self._sent = shown[len(self._sent) :], shown
        return more


class GrowingContent:
    """An answer that is sent while it is said, but for what may yet be cut.

    Args:
        stops: texts before which it is cut.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = max((len(stop) - 1 for stop in stops), default=0)
        self._sent = ""

    def more(self, text: str) -> str:
        """Return what may be sent of an answer that has grown to a text."""
        if may_think(text):
            return ""
        shown, is_cut = cut(text, self._stops)
        if not is_cut and self._held:
            shown = shown[: -self._held]
        if not shown.startswith(self._sent):
            return ""
        more, self._sent = shown[len(self._sent) :], shown
        return more

    def rest(self, content: str) -> str:
        """Return what is left to send of the whole answer.

        Raises:
            ApiError: 502, it is another one than was begun, since the engine failed in its midst.
        """
        if not content.startswith(self._sent):
            raise ApiError(
                502,
                "the engine failed, and the second answer is another than was begun; ask again",
                code="engine_failed",
            )
        return content[len(self._sent) :]


def _head(key: TurnKey) -> str:
    return f"{key.agent}, round {key.round}:\n"
