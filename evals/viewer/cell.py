"""One debate as a cell of the table of questions: verdict, answers by round, who changed their mind."""

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from evals.analysis.agreement import agreement

CORRECT = "correct"


class Word(NamedTuple):
    """What one turn answered.

    Attributes:
        round, place, agent: which turn.
        answer: None where it gives none.
        verdict: how the answer fares; empty where nothing tells what is right.
    """

    round: int
    place: int
    agent: str
    answer: str | None
    verdict: str


@dataclass(slots=True)
class Cell:
    """One debate so far.

    Attributes:
        verdict: of the decision; empty while it is under way, and where nothing tells what is right.
        is_over: decided or given up.
        answer: of the decision.
        turns, tokens: said, and generated.
        version: of the index, when this was last changed.
        words: what each turn answered, in the order of the plan, as far as they have been read.
    """

    verdict: str = ""
    is_over: bool = False
    answer: str | None = None
    turns: int = 0
    tokens: int = 0
    version: int = 0
    words: list[Word] = field(default_factory=list)

    def hear(self, word: Word) -> None:
        """Add what a turn answered."""
        insort(self.words, word)

    def moves(self) -> Iterator[tuple[Word, Word]]:
        """Yield (before, after) of each two consecutive turns of an agent."""
        by_agent: dict[str, list[Word]] = {}
        for word in self.words:
            by_agent.setdefault(word.agent, []).append(word)
        for words in by_agent.values():
            yield from pairwise(words)

    def agreement(self, voters: Sequence[str]) -> list[float | None]:
        """Return for each round the share of pairs of voters whose last answers are one; None where fewer than two spoke.

        No answer agrees with nothing. An agent that did not speak in a round is taken at its last word.
        """
        among = frozenset(voters)
        by_round: dict[int, list[Word]] = {}
        for word in self.words:
            if word.agent in among:
                by_round.setdefault(word.round, []).append(word)
        found: list[float | None] = []
        last: dict[str, str | None] = {}
        for number in range(1, max((word.round for word in self.words), default=0) + 1):
            last |= {word.agent: word.answer for word in by_round.get(number, ())}
            found.append(agreement(last.values()))
        return found

    def as_json(self, voters: Sequence[str]) -> dict[str, Any]:
        """Return what the table of questions shows."""
        moves = list(self.moves())
        known = [(a, b) for a, b in moves if a.verdict and b.verdict]
        shares = self.agreement(voters)
        return {
            "verdict": self.verdict,
            "over": self.is_over,
            "answer": self.answer,
            "turns": self.turns,
            "tokens": self.tokens,
            "read": len(self.words),
            "changed": sum(a.answer != b.answer for a, b in moves),
            "lost": sum(a.verdict == CORRECT != b.verdict for a, b in known),
            "won": sum(a.verdict != CORRECT == b.verdict for a, b in known),
            "agreement": [None if share is None else round(share, 3) for share in shares],
            "agents": sorted({b.agent for a, b in moves if a.answer != b.answer}),
        }


def totals(cells: Mapping[str, Cell]) -> dict[str, int]:
    """Return how the debates of a method fare, by verdict; those under way are left out."""
    found: dict[str, int] = {}
    for cell in cells.values():
        if cell.is_over:
            found[cell.verdict] = found.get(cell.verdict, 0) + 1
    return found
