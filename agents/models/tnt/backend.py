"""An agent that sees patches and what is inside each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.models.tnt.config import TNTConfig
from agents.models.tnt.model import TNT
from agents.models.tnt.official import from_official
from agents.models.vision.backend import PictureBackend


class TNTBackend(PictureBackend):
    """A belief over the model's labels, or over a question's options."""

    model: TNT
    what = "TNT"

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> TNT:
        """Return a model of the sizes that a folder holds."""
        return TNT(TNTConfig(**sizes))

    @classmethod
    def published(cls, path: Path, labels: Sequence[str] | str | None, **options: Any) -> TNT:
        """Return the model of an official file."""
        return from_official(path, labels)
