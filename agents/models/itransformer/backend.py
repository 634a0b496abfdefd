"""iTransformer as an agent."""

from pathlib import Path
from typing import Any, Self

from agents.errors import ModelError
from agents.models.checkpoint import load_model, save_model
from agents.models.forecasts.backend import ForecastBackend
from agents.models.itransformer.config import ITransformerConfig
from agents.models.itransformer.model import ITransformer
from agents.models.stored import made_of


class ITransformerBackend(ForecastBackend):
    """A belief about how much one variate will have changed, formed by looking at all of them.

    Args:
        model, variate, step, labels, borders: as in ForecastBackend.
    """

    model: ITransformer

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder."""
        if checkpoint is None:
            raise ModelError("itransformer ships no weights: give checkpoint: FOLDER, made by `debate train`")
        model, stored = load_model(
            checkpoint, "iTransformer", lambda sizes: ITransformer(made_of(ITransformerConfig, sizes)), options_of=cls
        )
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.model.config.sizes, **self.stored)

    @property
    def name(self) -> str:
        """The backend's name."""
        return "itransformer"
