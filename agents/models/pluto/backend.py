"""An agent that looks at a cell, or at a whole blood smear tile by tile; what it says is not for clinical use."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.errors import ConfigError, UnknownName
from agents.models.checkpoint import save_model
from agents.models.fusion.config import NOT_CLINICAL
from agents.models.pluto.config import PLUTOConfig
from agents.models.pluto.heads import features_of, tokens_of
from agents.models.pluto.model import PLUTO
from agents.models.pluto.tiles import grid_tiles, places
from agents.models.stored import made_of
from agents.models.vision.backend import PictureBackend
from agents.models.vision.pixels import prepared
from agents.observation import Image
from agents.question import Question

CELL, SLIDE = ABOUT = ("cell", "slide")
CYTOLOGY = "A blood smear, cytology and no tissue."


class PLUTOBackend(PictureBackend):
    """A belief over kinds of cells of a picture of one, or over answers about a whole slide; its grounds say what it looked at.

    Args:
        model: in eval mode.
        about: `cell`, the picture is a tile; or `slide`, it is cut into tiles, whose sum is believed.
        patch: side of a patch in pixels, one of the model's; the kernel's by default.
        share: [i, n]: of a slide's tiles, row by row, it sees i, i + n, i + 2n, … from 0; all by default.
        temperature: in place of the fitted one of (about, patch).
        temperatures: fitted ones, by `cell/8` and the like; 1 where there is none.
        scores: as of Classifier.

    Raises:
        UnknownName: it can be about something else.
        ConfigError: a patch that the model has not, a share that is none, or a share of one cell.
    """

    model: PLUTO
    what = "PLUTO"
    suffixes: ClassVar[tuple[str, ...]] = ()
    template = f"{NOT_CLINICAL} Answer: {{label}}"

    def __init__(
        self,
        model: PLUTO,
        *,
        about: str = CELL,
        patch: int | None = None,
        share: Sequence[int] = (0, 1),
        temperature: float | None = None,
        temperatures: Mapping[str, float] | None = None,
        scores: str = "softmax",
    ) -> None:
        if about not in ABOUT:
            raise UnknownName("what a pluto is about", about, ABOUT)
        known = model.config.patches
        if isinstance(patch, bool) or patch not in (None, *known):
            raise ConfigError(f"this pluto has patches of {', '.join(map(str, known))} pixels; got {patch!r}")
        if len(share) != 2 or not all(type(each) is int for each in share) or not 0 <= share[0] < share[1]:
            raise ConfigError(f"share is [i, n] with 0 <= i < n; got {list(share)}")
        if about == CELL and share[1] != 1:
            raise ConfigError(
                f"share is of a slide's tiles, and about is {CELL}: set about: {SLIDE}, or leave share out"
            )
        self.about, self.share = about, (share[0], share[1])
        self.patch = patch or (model.config.kernel if model.config.kernel in known else known[0])
        self.own_temperature, self.temperatures = temperature, dict(temperatures or {})
        fitted = self.temperatures.get(f"{about}/{self.patch}", 1.0)
        super().__init__(model, temperature=fitted if temperature is None else temperature, scores=scores)

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> PLUTO:
        """Return a model of the sizes that a folder holds."""
        return PLUTO(made_of(PLUTOConfig, sizes))

    @property
    def classes(self) -> tuple[str, ...]:
        """Kinds of cells, or answers about a slide."""
        config: PLUTOConfig = self.model.config
        return config.labels if self.about == CELL else config.slide_labels

    @property
    def stored(self) -> dict[str, object]:
        """The options that lie beside the weights, as JSON values."""
        return {
            "about": self.about,
            "patch": self.patch,
            "share": list(self.share),
            "temperature": self.own_temperature,
            "temperatures": self.temperatures,
            "scores": self.kind,
        }

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.model.config.sizes, **self.stored)

    def class_scores(self, image: Image) -> Tensor:
        """Return the scores [K] of a cell, or of a slide."""
        return self._added(image).sum(0)

    @torch.inference_mode()
    def patch_beliefs(self, image: Image) -> Tensor:
        """Return what each patch of a slide's tiles is believed to lie in [T, N, K + 1]: a kind of cell, or last none.

        Not instances of Mask R-CNN: no boxes, no masks, and cells that touch are not told apart.
        """
        tokens = tokens_of(self.model.encoder, self._tiles(image), self.patch)
        return torch.softmax(self.model.patch_cell(tokens[:, 1:]).double(), -1)

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        found = []
        for case, image in zip(cases, observations, strict=True):
            labels, chosen = self._asked(case)
            added = self._added(image)
            belief = Belief.of(labels, self.weights(added.sum(0)[chosen]))
            best = chosen[labels.index(belief.best)] if labels else 0
            found.append(replace(belief, grounds=self._grounds(image, added[:, best])))
        return found

    def _tiles(self, image: Image) -> Tensor:
        config: PLUTOConfig = self.model.config
        start, step = self.share
        tiles = grid_tiles(image.pixels, config.window, config.side)
        # Of fewer tiles than agents each has one.
        return tiles[start % len(tiles) :: step]

    def _added(self, image: Image) -> Tensor:
        """Return what each tile adds to the scores [T, K]; a cell is one tile."""
        if self.about == CELL:
            one: Tensor = self.model(prepared(image.pixels, self.model.config)[None], self.patch)
            return one
        features = features_of(self.model.encoder, self._tiles(image), self.patch)
        found: Tensor = self.model.slide.added(features)
        return found

    def _grounds(self, image: Image, added: Tensor) -> str:
        looked = f"patches of {self.patch} pixels"
        if self.about == CELL:
            return f"One tile, {looked}. {CYTOLOGY} {NOT_CLINICAL}"
        if len(added) == 1:
            return f"One tile or the mean of all, {looked}. {CYTOLOGY} {NOT_CLINICAL}"
        across = len(places(_scaled_width(image, self.model.config.window), self.model.config.window))
        place = self.share[0] + self.share[1] * int(added.argmax())
        row, column = divmod(place, across)
        return (
            f"{len(added)} tiles, {looked}; most is added by the one in row {row + 1}, column {column + 1}: "
            f"{float(added.max()):+.2f}. {CYTOLOGY} {NOT_CLINICAL}"
        )


def _scaled_width(image: Image, window: int) -> int:
    """Return how wide a slide is when it is cut, in pixels; see `grid_tiles`."""
    height, width = image.pixels.shape[1:]
    return width if min(height, width) >= window else -(-width * window // min(height, width))
