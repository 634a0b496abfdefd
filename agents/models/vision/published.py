"""What published models of pictures have in common: colours' statistics, what is wrapped around a state dict, and how they are
read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from agents.models.checkpoint import filled, official
from agents.models.stored import made_of
from agents.models.vision.backend import PictureBackend


@dataclass(frozen=True)
class Statistics:
    """Mean and deviation of each colour, by which pictures are standardised."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = Statistics((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def tensors_of(found: Any) -> Mapping[str, Tensor]:
    """Return the state dict of what a file holds: itself, or what lies in it under `state_dict` or `model`.

    Raises:
        ValueError: it is no state dict.
    """
    for wrapper in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError("it holds no state dict")
    return {str(name): value for name, value in found.items()}


class PublishedPictures(PictureBackend):
    """A belief over the model's labels, or over a question's options, of a model that is also read from published files."""

    config_type: ClassVar[Callable[..., Any]]
    """Makes a `PictureConfig` of its fields."""
    network: ClassVar[type[nn.Module]]
    """The model, made of a config."""
    renamed: ClassVar[Callable[[Mapping[str, Tensor]], dict[str, Tensor]]]
    """A published state dict → the same with our names and layout."""
    sizes_of: ClassVar[Callable[[Mapping[str, Tensor], Sequence[str] | str | None], Any]]
    """A state dict with our names, and names of classes (`labels_of`) → the config.

    Raises:
        ValueError: no published model has such sizes.
    """

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> nn.Module:
        """Return a model of the sizes that a folder holds."""
        return cls.network(made_of(cls.config_type, sizes))

    @classmethod
    def published(cls, path: Path, labels: Sequence[str] | str | None = None, **options: Any) -> nn.Module:
        """Return the model of a published file, in eval mode.

        Args:
            path: of the file.
            labels: of its classes (see `labels_of`); the file does not name them.
            options: none.

        Raises:
            ModelError: not such a file, or another number of labels.
        """
        with official(path, cls.what) as found:
            weights = cls.renamed(tensors_of(found))
            config = cls.sizes_of(weights, labels)
            return filled(lambda: cls.network(config), weights)
