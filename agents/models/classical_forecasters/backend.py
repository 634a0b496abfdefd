"""Seasonal naive and ridge regression as agents."""

from pathlib import Path
from typing import Any, Self

from agents.errors import ModelError
from agents.models.checkpoint import load_model, save_model
from agents.models.classical_forecasters.model import LinearForecast
from agents.models.forecasts.backend import ForecastBackend
from agents.models.stored import made_of


class ClassicalForecaster(ForecastBackend):
    """A belief about how much one variate will have changed, formed by looking at it alone.

    Args:
        model, variate, step, labels, borders: as in ForecastBackend.
    """

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder."""
        if checkpoint is None:
            raise ModelError(
                "classical_forecasters ships no weights: give checkpoint: FOLDER/ridge or FOLDER/seasonal_naive, made by "
                "`debate train classical_forecasters --out FOLDER`"
            )
        model, stored = load_model(
            checkpoint, "linear forecaster", lambda sizes: made_of(LinearForecast, sizes), options_of=cls
        )
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        sizes = {"lookback": self.model.lookback, "horizon": self.model.horizon}
        save_model(folder, self.model, sizes, **self.stored)

    @property
    def name(self) -> str:
        """The backend's name."""
        return "classical_forecasters"
