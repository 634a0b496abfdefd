"""A planned protocol that a stopping rule may end after any round."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from debate.protocol.protocol import Inbox, Planned, Protocol
from debate.transcript import TurnKey

if TYPE_CHECKING:
    from debate.transcript import Turn


class Stopped(Protocol):
    """A planned protocol that may end after a round. Round by round: nobody begins the next before it is judged.

    Args:
        planned: the exchange rule.
        rule: what was said up to a round's end → why the debate ends there, or None. Judges still speak, on that round.
    """

    def __init__(self, planned: Planned, rule: "StoppingRule") -> None:
        self.planned, self.rule = planned, rule
        self._ends: dict[int, Planned] = {planned.rounds: planned}
        self._debated = dict.fromkeys(range(planned.rounds + 1), 0)
        for turn in planned.plan:
            if turn.agent not in planned.judges:
                self._debated[turn.round] += 1
        for number in range(1, planned.rounds + 1):
            self._debated[number] += self._debated[number - 1]

    def opening(self) -> tuple[TurnKey, ...]:
        """Return the first round's turns that need nothing."""
        return tuple(turn for turn in self.planned.opening() if turn.round == 1)

    def inbox(self, turn: TurnKey) -> Inbox:
        """Return what a turn reads; judges of a debate that ended early read its last round."""
        return self._ending(turn.round).inbox(turn) if turn.agent in self.planned.judges else self.planned.inbox(turn)

    def ready(self, spoken: Any, last: TurnKey) -> tuple[TurnKey, ...]:
        """Return the turns that became ready: of this round, or, once it is complete, what follows it."""
        if last.agent in self.planned.judges:
            return ()
        number = last.round
        same = tuple(turn for turn in self.planned.ready(spoken, last) if turn.round == number)
        if len(spoken) != self._debated[number] or number == self.planned.rounds:
            return same
        if self.rule(spoken, number) is not None:
            plan, follows = self._ending(number).plan, self.planned.judges
            candidates = [turn for turn in plan if turn.agent in follows]
        else:
            plan = self.planned.plan
            candidates = [turn for turn in plan if turn.round == number + 1]
        return (*same, *(turn for turn in candidates if all(needed in spoken for needed in plan[turn].needed)))

    def is_over(self, spoken: Any) -> bool:
        """Whether every planned turn was said, or the rule ended the debate after a complete round."""
        if self.planned.is_over(spoken):
            return True
        number = max((turn.round for turn in spoken), default=0)
        debated = sum(turn.agent not in self.planned.judges for turn in spoken) if self.planned.judges else len(spoken)
        if number in (0, self.planned.rounds) or debated != self._debated[number]:
            return False
        return self.rule(spoken, number) is not None and len(spoken) == debated + len(self.planned.judges)

    def place(self, turn: TurnKey) -> int:
        """Return the place of a turn in the plan; judges of a debate that ended early follow its last round."""
        return (self._ending(turn.round) if turn.agent in self.planned.judges else self.planned).place(turn)

    @property
    def num_turns(self) -> int:
        """Turns of a debate that nothing ends."""
        return self.planned.num_turns

    def _ending(self, number: int) -> Planned:
        if number not in self._ends:
            self._ends[number] = self.planned.shortened(number)
        return self._ends[number]


StoppingRule = Callable[[Mapping[TurnKey, "Turn"], int], str | None]
