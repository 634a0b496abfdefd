"""An agent that sees with small and with large patches at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.models.crossvit.config import CrossViTConfig
from agents.models.crossvit.model import CrossViT
from agents.models.crossvit.official import from_official
from agents.models.vision.backend import PictureBackend


class CrossViTBackend(PictureBackend):
    """A belief over the model's labels, or over a question's options."""

    model: CrossViT
    what = "CrossViT"

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> CrossViT:
        """Return a model of the sizes that a folder holds."""
        return CrossViT(CrossViTConfig(**sizes))

    @classmethod
    def published(cls, path: Path, labels: Sequence[str] | str | None, **options: Any) -> CrossViT:
        """Return the model of an official file."""
        return from_official(path, labels)
