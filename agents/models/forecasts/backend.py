"""An agent that forecasts: a belief about how much a variate will have changed, a normal density integrated over intervals."""

from collections.abc import Sequence
from typing import Any

import torch

from agents.beliefs.belief import Belief, Gaussian
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BeliefError, RequestError
from agents.models.forecasts.network import ForecastNetwork, scale
from agents.observation import Observation, Series
from agents.question import Question

LABELS, BORDERS = ("plunge", "fall", "rise", "soar"), (-2.0, 0.0, 2.0)


class ForecastBackend(BeliefBackend):
    """A belief about value(now + step) − value(now) of one variate.

    Args:
        model: in eval mode.
        variate: its name; the last one by default.
        step: how far ahead, from 1.
        labels, borders: of the intervals of change, lowest first, in the variate's unit. A belief over labels of several
            tokens is read back exactly where they begin differently.
    """

    modality = "series"

    def __init__(
        self,
        model: ForecastNetwork,
        *,
        variate: str | None = None,
        step: int = 24,
        labels: Sequence[str] = LABELS,
        borders: Sequence[float] = BORDERS,
    ) -> None:
        if not isinstance(step, int) or not 1 <= step <= model.horizon:
            raise BeliefError(f"step is a whole number between 1 and the horizon of {model.horizon}; got {step}")
        self.model, self.variate, self.step = model.eval(), variate, step
        self.intervals, self.borders = tuple(labels), tuple(float(border) for border in borders)
        # Refused now, not in the middle of a debate.
        Gaussian(0.0, 1.0).over(self.intervals, self.borders)

    @property
    def stored(self) -> dict[str, object]:
        """What lies beside the weights, as JSON values."""
        return {"variate": self.variate, "step": self.step, "labels": self.intervals, "borders": self.borders}

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the intervals' names."""
        return self.intervals

    def check(self, observation: Observation) -> None:
        """Refuse what is too short, and a series without the variate."""
        assert isinstance(observation, Series)
        if len(observation.values) < self.model.lookback:
            raise RequestError(
                f"{self.name} looks back {self.model.lookback} steps; this series has {len(observation.values)}"
            )
        if self.variate is not None and self.variate not in observation.names:
            raise RequestError(
                f"{self.name} is asked about {self.variate!r}; this series has {', '.join(observation.names)}"
            )
        given = 0 if observation.marks is None else observation.marks.shape[1]
        if self.model.marks and given != self.model.marks:
            raise RequestError(
                f"{self.name} reads {self.model.marks} marks of time (hour, weekday, day of the month and of the year); "
                f"this series has {given or 'none'}"
            )

    @torch.inference_mode()
    def forecast(self, series: Series) -> Gaussian:
        """Return what is believed about the variate's value at the step, in its unit."""
        # In float64 values, so that a large level does not swallow small changes; one series at a time.
        window = series.values[None, -self.model.lookback :].double()
        mean, deviation = scale(window)
        scaled = ((window - mean) / deviation).float()
        place = len(series.names) - 1 if self.variate is None else series.names.index(self.variate)
        off, unit = float(mean[0, 0, place]), float(deviation[0, 0, place])
        marks = [] if not self.model.marks else [series.marks[None, -self.model.lookback :]]  # type: ignore[index]
        said = float(self.model(scaled, *marks)[0, self.step - 1, place])
        return Gaussian(off + unit * said, (unit * float(self.model.spread[self.step - 1])) ** 2)

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        beliefs = []
        for series in observations:
            place = -1 if self.variate is None else series.names.index(self.variate)
            then, now = self.forecast(series), float(series.values[-1, place])
            beliefs.append(Gaussian(then.mean - now, then.variance).over(self.intervals, self.borders))
        return beliefs
