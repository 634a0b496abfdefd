"""How far an evaluation is, and how long the rest will take."""

import time


class Progress:
    """Counts questions and turns of the methods under way, from when it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._total = self._over = self._planned = self._before = 0
        self._correct = self._scored = self._tokens = self._turns = 0
        self._each: dict[str, int] = {}
        self._dependent = False
        self._said: dict[tuple[str, str], int] = {}

    def expect(self, method: str, total: int, turns_each: int, *, dependent: bool = False) -> None:
        """Add a method of so many questions, of so many turns each unless they end early.

        Of questions that depend on each other no interval is told.
        """
        self._dependent = dependent
        self._total += total
        self._planned += total * turns_each
        self._each[method] = turns_each

    def continued(self, over: int, turns: int) -> None:
        """Note what an earlier session played: questions that are over, and all turns."""
        self._over += over
        self._before += turns

    def debate_continued(self, method: str, question: str, turns: int) -> None:
        """Note how many of these turns are of one debate."""
        self._said[method, question] = turns

    def said(self, method: str, question: str, tokens: int) -> None:
        """Count a turn."""
        self._turns += 1
        self._tokens += tokens
        self._said[method, question] = self._said.get((method, question), 0) + 1

    def ended(self, method: str, question: str, correct: bool | None) -> int:
        """Count the end of a debate, right or wrong where that is known; return how many turns were saved."""
        self._over += 1
        if correct is not None:
            self._scored += 1
            self._correct += correct
        saved = max(self._each[method] - self._said.pop((method, question), 0), 0)
        self._planned -= saved
        return saved

    def planned(self, method: str) -> int:
        """Return how many turns a debate of a method has, unless it ends early."""
        return self._each[method]

    def line(self) -> str:
        """Return how far it is in one line; the score only of one method, since of several it would be of none."""
        seconds = max(time.perf_counter() - self._started, 1e-6)
        name = next(iter(self._each), "") if len(self._each) < 2 else f"{len(self._each)} rows side by side"
        turns = self._before + self._turns
        line = f"{name}  {self._over}/{self._total} questions   {turns}/{self._planned} turns"
        line += f"   {self._tokens / seconds:.0f} tokens/s"
        if self._scored and len(self._each) == 1:
            so_far = accuracy_so_far(self._correct, self._scored, with_interval=not self._dependent)
            line += f"   accuracy so far {so_far}"
        if self._turns:
            line += f"   about {_duration(seconds / self._turns * max(self._planned - turns, 0))} left"
        return line


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def accuracy_so_far(correct: int, scored: int, *, with_interval: bool = True) -> str:
    """Return a running accuracy, with its interval where there is to be one and the extra `evals` is there to compute it."""
    if not with_interval:
        return f"{correct}/{scored}"
    from agents.errors import MissingDependency
    from evals.analysis.stats import wilson

    try:
        interval = wilson(correct, scored)
    except MissingDependency:
        return f"{correct}/{scored}"
    return f"{correct}/{scored} ({100 * interval.low:.0f}–{100 * interval.high:.0f} %)"
