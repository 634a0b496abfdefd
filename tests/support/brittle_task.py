"""A task whose own code raises on some answers, as any task's may."""

from collections.abc import Sequence

from evals.sample import Sample, Score
from evals.tasks.arithmetic import Arithmetic


class BrittleTask(Arithmetic):
    """Arithmetic that cannot read "unreadable", and cannot score 666."""

    name = "brittle"

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the number."""
        if "unreadable" in response:
            raise ZeroDivisionError("Fraction(5, 0)")
        return super().extract(response, options)

    def score_sample(self, answer: str | None, sample: Sample) -> Score:
        """Return the score."""
        if answer == "666":
            raise ValueError("not \ud800 today")
        return super().score_sample(answer, sample)
