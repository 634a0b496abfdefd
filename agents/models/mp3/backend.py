"""An agent that sees, pretrained by telling positions."""

from typing import Any, ClassVar

from agents.models.mp3.config import MP3Config
from agents.models.mp3.model import MP3
from agents.models.stored import made_of
from agents.models.vision.backend import PictureBackend


class MP3Backend(PictureBackend):
    """A belief over the model's labels, or over a question's options."""

    model: MP3
    what = "MP3"
    suffixes: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> MP3:
        """Return a model of the sizes that a folder holds."""
        return MP3(made_of(MP3Config, sizes))
