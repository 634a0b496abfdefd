"""What engines did in a run, and how fast it goes."""

from dataclasses import dataclass

from debate.run_folder.journal import Record

WINDOW_S = 60.0


@dataclass
class EngineStatus:
    """What one engine did.

    Attributes:
        turns, generated_tokens: said by it.
        seconds: time from submission to answer, summed over its turns, which overlap.
        faults: number of failures.
    """

    turns: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0
    faults: int = 0


@dataclass(frozen=True)
class Pace:
    """How fast a run went in the last minute of its journal.

    Attributes:
        turns_per_s, tokens_per_s: said.
        ended_per_s: debates decided or given up.
    """

    turns_per_s: float = 0.0
    tokens_per_s: float = 0.0
    ended_per_s: float = 0.0


class Activity:
    """What engines did, and when; told by `RunState` of each record.

    Attributes:
        engines: name → engine.
        sessions: number of times that the run was begun or continued.
    """

    def __init__(self) -> None:
        self.engines: dict[str, EngineStatus] = {}
        self.sessions = 0
        # Time, tokens, and whether it is a turn or the end of a debate, of this session.
        self._recent: list[tuple[float, int, bool]] = []

    def session(self) -> None:
        """Note that a session begins."""
        self.sessions += 1
        self._recent = []

    def turn(self, record: Record) -> None:
        """Note that a turn was said."""
        cost, tokens = record["cost"], record["usage"]["generated_tokens"]
        engine = self._engine(cost["engine"])
        engine.turns += 1
        engine.generated_tokens += tokens
        engine.seconds += cost["seconds"]
        self._note(record["t"], tokens, is_turn=True)

    def fault(self, record: Record) -> None:
        """Note that an engine failed."""
        self._engine(record["engine"]).faults += 1

    def end(self, record: Record) -> None:
        """Note that a debate was decided or given up."""
        self._note(record["t"], 0, is_turn=False)

    def pace(self) -> Pace:
        """Return the pace of the last minute of the session."""
        if not self._recent:
            return Pace()
        last = self._recent[-1][0]
        recent = [part for part in self._recent if part[0] >= last - WINDOW_S]
        span = max(last - recent[0][0], 1e-3)
        turns = sum(is_turn for *_, is_turn in recent)
        tokens = sum(tokens for _, tokens, _ in recent)
        return Pace(turns / span, tokens / span, (len(recent) - turns) / span)

    def _engine(self, name: str) -> EngineStatus:
        return self.engines.setdefault(name or "by rule", EngineStatus())

    def _note(self, now: float, tokens: int, *, is_turn: bool) -> None:
        if self._recent and now < self._recent[-1][0]:
            # The clock was set back: what was noted lies in its future.
            self._recent = []
        self._recent.append((now, tokens, is_turn))
        half = len(self._recent) // 2
        if half and self._recent[half][0] < now - WINDOW_S:
            self._recent = self._recent[half:]
