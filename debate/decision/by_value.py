"""Answers that are equal in value and differ in spelling, as one candidate of a vote."""

from collections import Counter
from collections.abc import Callable
from itertools import chain, combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debate.transcript import Transcript

# None: the two may be the same, for one leaves out what the other says.
Same = Callable[[str, str], bool | None]
Read = Callable[[str], str | None]


def by_value(transcript: "Transcript", extract: Read, same: Same) -> Read:
    """Return a reader that gives every answer of a debate in one spelling for those that are the same.

    Of several the longest spelling stands for all, and the first of equally long ones: in that order an answer joins the first
    that it is the same as. One that may be the same as another joins it where there is no third for either: 5 joins 5 m, where
    nobody says 5 kg.

    Args:
        transcript: of the debate, whose every message is read.
        extract: a response → the answer in it.
        same: whether two answers are.
    """
    read = (extract(turn.message.text) for turn in transcript.turns)
    found = dict.fromkeys(answer for answer in read if answer is not None)
    chosen: list[str] = []
    spelling: dict[str, str] = {}

    def one_of(answer: str) -> str:
        if answer not in spelling:
            spelling[answer] = next((known for known in chosen if same(answer, known)), answer)
            if spelling[answer] == answer:
                chosen.append(answer)
        return spelling[answer]

    for answer in sorted(found, key=len, reverse=True):
        one_of(answer)
    alike = {known: [answer for answer in found if spelling[answer] == known] for known in chosen}
    near = [
        (one, other)
        for one, other in combinations(chosen, 2)
        if any(same(x, y) is None for x in alike[one] for y in alike[other])
    ]
    times = Counter(chain.from_iterable(near))
    for one, other in near:
        if times[one] == times[other] == 1:
            spelling |= dict.fromkeys(alike[other], one)

    def reader(response: str) -> str | None:
        answer = extract(response)
        return None if answer is None else one_of(answer)

    return reader
