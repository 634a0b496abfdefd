"""The recipe: BCCD's blood smears, without labels first, then heads on frozen features; with controls that could do as well.

Slides are divided by the lists that come with them, so that no slide has tiles in two splits. Margins are those of the paper's
plan in small, and were written before anything was trained. T tiles, F features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from agents.beliefs.claims import Claim, claims_of
from agents.models.batchformer.long_tail import right_by_class
from agents.models.checkpoint import CONFIG
from agents.models.fusion.calibration import save_calibration
from agents.models.pluto.backend import PLUTOBackend
from agents.models.pluto.bccd import LABELS, Slide, read_slides
from agents.models.pluto.config import PLUTOConfig
from agents.models.pluto.heads import (
    features_of,
    fit_linear,
    fit_slide,
    patch_classes,
    tokens_of,
    with_encoder,
)
from agents.models.pluto.model import PLUTO, Encoder, SlideHead
from agents.models.pluto.pretraining import Recipe, pretrained
from agents.models.pluto.resizing import BILINEAR, PSEUDO_INVERSE
from agents.models.pluto.tiles import cell_tiles, colour_shares, grey, grid_tiles
from agents.models.seeded import seeded
from agents.models.vision.measures import calibration_error, fitted_temperature, ranked_right
from agents.pretrained import Progress

SIZES = PLUTOConfig(LABELS)
ONE_SIZE = replace(SIZES, patches=(SIZES.kernel,))
"""Taught with patches of one size."""
RECIPE = Recipe()
MOST = 200
"""Cells of a kind that heads learn from."""
PATCHES_OF = 40
"""Slides whose patches the head of patches learns from, and as many of others that it is tested on."""
FAR = 16
"""The other patch size at which the head of slides is fitted."""

TAUGHT_BY_ITSELF, UNTAUGHT = "taught by itself", "untaught"
TAUGHT = "cells, balanced accuracy: taught by itself above the same network untaught"
TAUGHT_GREY = "the same, without colour"
COLOURS = "cells, balanced accuracy: above histograms of the three colours"
GREYS = "cells without colour, balanced accuracy: above a histogram of grey"
FLEXIBLE = "cells, balanced accuracy: worst of patches 4, 8 and 16 near the best"
FIXED = "taught with patches of 8 alone, kernel resized plainly: best of 4, 8 and 16 above worst"
APART = "worst of 4, 8 and 16: taught with all of them above taught with 8 alone, kernel resized plainly"
RESIZED = "taught with 8 alone, worst of 4, 8 and 16: kernel resized by pseudo-inverse above plainly"
REFITTED = "worst of 4, 8 and 16: taught with all above taught with 8, resized plainly, its head fitted on all three"
ADDITIVE = "slides with platelets, area under the curve: additive pool above the tiles' mean"
ABOVE = "slides with platelets, area under the curve: additive pool above 0.8"
SLIDE_TAUGHT = "slides with platelets, area under the curve: taught by itself above untaught"
SLIDE_ERROR = "slides, calibration error (negated): with its temperature below that without"
PATCHES = "patches' cells or none, balanced accuracy: taught by itself above untaught"
ASKED: dict[str, tuple[float | None, float | None]] = {
    TAUGHT: (0.05, None),
    TAUGHT_GREY: (0.05, None),
    COLOURS: (0.0, None),
    GREYS: (0.0, None),
    FLEXIBLE: (None, 0.05),
    FIXED: (0.1, None),
    APART: (0.05, None),
    RESIZED: (0.0, None),
    REFITTED: (0.0, None),
    ADDITIVE: (0.02, None),
    ABOVE: (0.0, None),
    SLIDE_TAUGHT: (0.05, None),
    SLIDE_ERROR: (0.0, None),
    PATCHES: (0.02, None),
}
TESTED = ("validation", "test")
Part = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Smears:
    """BCCD as the claims need it, by split.

    Attributes:
        slides: of each split.
        cells: tiles around cells [n, 3, S, S] and which they are [n].
        tiles: of whole slides [n, T, 3, S, S].
        answers: whether a slide has platelets [n]: 0 yes, 1 no.
    """

    slides: dict[str, list[Slide]]
    cells: dict[str, Part]
    tiles: dict[str, Tensor]
    answers: dict[str, Tensor]

    @classmethod
    def read(cls, data: Path | None) -> "Smears":
        """Return those of a folder; which cells are taken is always the same."""
        slides = {split: read_slides(data, split) for split in ("train", "validation", "test")}
        generator = torch.Generator().manual_seed(0)
        window, side = SIZES.window, SIZES.side
        return cls(
            slides,
            {name: cell_tiles(each, window, side, most=MOST, generator=generator) for name, each in slides.items()},
            {
                name: torch.stack([grid_tiles(slide.image.pixels, window, side) for slide in each])
                for name, each in slides.items()
            },
            {name: torch.tensor([int(not slide.has_platelets) for slide in each]) for name, each in slides.items()},
        )

    @property
    def unlabelled(self) -> Tensor:
        """The pictures to teach with, bytes [n, 3, H, W]."""
        return torch.stack([(slide.image.pixels * 255).round().byte() for slide in self.slides["train"]])


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what teaching itself, patches of all sizes and additive pooling are worth on blood smears.

    `pluto-SEED` under `out` are agents; `patch8-SEED` the same taught with patches of one size. `calibration.md` has each
    belief's error.

    Args:
        out: networks that are there are not taught again; heads are fitted again.
        seeds: training seeds, from 0; of first weights, tiles, views and hidden patches.
        data: folder of BCCD.
        progress: told of each step that takes time.
    """
    smears = Smears.read(data)
    figures: dict[str, list[tuple[float, float]]] = {text: [] for text in ASKED}
    errors: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        flexible = _encoder(out / f"pluto-{seed}", SIZES, smears, seed, progress)
        fixed = _encoder(out / f"patch8-{seed}", ONE_SIZE, smears, seed, progress)
        found = _Seed(smears, flexible, fixed, seed, progress)
        pairs = found.cells() | found.sizes() | found.whole_slides() | found.patches()
        for text, pair in pairs.items():
            figures[text].append(pair)
            progress(f"seed {seed}: {text}: {pair[0]:.3f}, {pair[1]:.3f}")
        for name, pair in found.errors.items():
            errors.setdefault(name, []).append(pair)
        PLUTOBackend(found.model, temperatures=found.temperatures).save_pretrained(out / f"pluto-{seed}")
    save_calibration(out, errors)
    return claims_of(figures, ASKED)


def _encoder(folder: Path, config: PLUTOConfig, smears: Smears, seed: int, progress: Progress) -> Encoder:
    """Return the encoder of a folder; taught first where there is none."""
    if not (folder / CONFIG).is_file():
        progress(f"{folder.name}: teaching itself with {len(smears.slides['train'])} slides")
        taught = pretrained(config, smears.unlabelled, RECIPE, seed=seed, progress=progress)
        PLUTOBackend(with_encoder(config, taught, seed)).save_pretrained(folder)
    model: PLUTO = PLUTOBackend.from_pretrained(str(folder)).model
    return model.encoder


class _Seed:
    """What is measured of one seed; heads are fitted on the way, into the model that becomes an agent."""

    def __init__(self, smears: Smears, flexible: Encoder, fixed: Encoder, seed: int, progress: Progress) -> None:
        self.smears, self.seed, self.progress = smears, seed, progress
        self.encoders = {
            TAUGHT_BY_ITSELF: flexible,
            UNTAUGHT: seeded(lambda: Encoder(SIZES), seed).eval(),
            BILINEAR: _resizing(fixed, BILINEAR),
            PSEUDO_INVERSE: _resizing(fixed, PSEUDO_INVERSE),
        }
        self.model = with_encoder(SIZES, flexible, seed)
        self.temperatures: dict[str, float] = {}
        self.errors: dict[str, tuple[float, float]] = {}
        self._seen: dict[tuple[str, int, str, bool], Tensor] = {}

    def cells(self) -> dict[str, tuple[float, float]]:
        """Return how features fare beside those of the untaught network and beside colours alone."""

        def of(name: str, is_grey: bool) -> float:
            return self._right(lambda split: self._features(name, SIZES.kernel, split, is_grey))

        def colours(split: str) -> Tensor:
            return colour_shares(self.smears.cells[split][0])

        def greys(split: str) -> Tensor:
            return colour_shares(grey(self.smears.cells[split][0]))

        taught, plain = of(TAUGHT_BY_ITSELF, False), of(TAUGHT_BY_ITSELF, True)
        return {
            TAUGHT: (taught, of(UNTAUGHT, False)),
            TAUGHT_GREY: (plain, of(UNTAUGHT, True)),
            COLOURS: (taught, self._right(colours)),
            GREYS: (plain, self._right(greys)),
        }

    def sizes(self) -> dict[str, tuple[float, float]]:
        """Return what is lost at patches other than the best, each network's head fitted as it was taught."""
        flexible = self._by_patch(TAUGHT_BY_ITSELF, SIZES.patches, self.model.cell)
        for patch in SIZES.patches:
            scores = {
                split: self.model.cell(self._features(TAUGHT_BY_ITSELF, patch, split)).detach() for split in TESTED
            }
            self._calibrate(f"cell/{patch}", scores, {split: self.smears.cells[split][1] for split in TESTED})
        alone = self._by_patch(BILINEAR, ONE_SIZE.patches)
        inverse = self._by_patch(PSEUDO_INVERSE, ONE_SIZE.patches)
        refitted = self._by_patch(BILINEAR, SIZES.patches)
        return {
            FLEXIBLE: (min(flexible), max(flexible)),
            FIXED: (max(alone), min(alone)),
            APART: (min(flexible), min(alone)),
            RESIZED: (min(inverse), min(alone)),
            REFITTED: (min(flexible), min(refitted)),
        }

    def whole_slides(self) -> dict[str, tuple[float, float]]:
        """Return how pools of tiles tell slides with platelets."""
        answers = self.smears.answers
        near, far = (self._tiles(TAUGHT_BY_ITSELF, patch) for patch in (SIZES.kernel, FAR))
        untaught = self._tiles(UNTAUGHT, SIZES.kernel)
        both = torch.cat([near["train"], far["train"]])
        self.model.slide = fit_slide(SIZES, "additive", both, answers["train"].repeat(2), seed=self.seed)
        for patch, tiles in ((SIZES.kernel, near), (FAR, far)):
            scores = {split: self.model.slide(tiles[split]).detach() for split in TESTED}
            self._calibrate(f"slide/{patch}", scores, answers)
        curves = {
            name: self._curve(fit_slide(SIZES, pool, tiles["train"], answers["train"], seed=self.seed), tiles["test"])
            for name, pool, tiles in (
                ("additive", "additive", near),
                ("mean", "mean", near),
                ("untaught", "additive", untaught),
            )
        }
        before, after = self.errors[f"slide/{SIZES.kernel}"]
        return {
            ADDITIVE: (curves["additive"], curves["mean"]),
            ABOVE: (curves["additive"], 0.8),
            SLIDE_TAUGHT: (curves["additive"], curves["untaught"]),
            SLIDE_ERROR: (-after, -before),
        }

    def patches(self) -> dict[str, tuple[float, float]]:
        """Return how the head of patches fares."""

        def of(name: str, layer: nn.Linear) -> float:
            fit_linear(layer, *self._patches(name, "train"))
            tokens, classes = self._patches(name, "test")
            return balanced(layer(tokens).detach(), classes)

        return {
            PATCHES: (
                of(TAUGHT_BY_ITSELF, self.model.patch_cell),
                of(UNTAUGHT, nn.Linear(SIZES.width, len(LABELS) + 1)),
            )
        }

    def _features(self, name: str, patch: int, split: str, is_grey: bool = False) -> Tensor:
        """Return the features [n, F] of a split's cells."""
        key = (name, patch, split, is_grey)
        if key not in self._seen:
            pictures = self.smears.cells[split][0]
            self._seen[key] = features_of(self.encoders[name], grey(pictures) if is_grey else pictures, patch)
        return self._seen[key]

    def _right(self, look: Callable[[str], Tensor]) -> float:
        """Return the balanced accuracy, on test slides' cells, of a linear head on what is seen of a split's."""
        seen = look("train")
        layer = nn.Linear(seen.shape[1], len(LABELS))
        fit_linear(layer, seen, self.smears.cells["train"][1])
        return balanced(layer(look("test")).detach(), self.smears.cells["test"][1])

    def _by_patch(self, name: str, fitted: Sequence[int], layer: nn.Linear | None = None) -> list[float]:
        """Return the balanced accuracy at each patch size of a head that is fitted at some of them."""
        layer = layer or nn.Linear(2 * SIZES.width, len(LABELS))
        seen = torch.cat([self._features(name, patch, "train") for patch in fitted])
        fit_linear(layer, seen, self.smears.cells["train"][1].repeat(len(fitted)))
        found = [
            balanced(layer(self._features(name, patch, "test")).detach(), self.smears.cells["test"][1])
            for patch in SIZES.patches
        ]
        shown = ", ".join(f"{patch}: {right:.3f}" for patch, right in zip(SIZES.patches, found, strict=True))
        self.progress(f"seed {self.seed}: {name}, head fitted at {', '.join(map(str, fitted))}: {shown}")
        return found

    def _tiles(self, name: str, patch: int) -> dict[str, Tensor]:
        """Return the features [n, T, F] of all slides' tiles, by split."""
        return {
            split: features_of(self.encoders[name], tiles.flatten(0, 1), patch).reshape(*tiles.shape[:2], -1)
            for split, tiles in self.smears.tiles.items()
        }

    def _patches(self, name: str, split: str) -> Part:
        """Return the tokens [m, D] of patches of some slides, and which cells they lie in [m]."""
        patch = SIZES.kernel
        tiles = self.smears.tiles[split][:PATCHES_OF]
        tokens = tokens_of(self.encoders[name], tiles.flatten(0, 1), patch)[:, 1:].flatten(0, 1)
        classes = [
            patch_classes(slide, SIZES.window, SIZES.side, patch) for slide in self.smears.slides[split][:PATCHES_OF]
        ]
        return tokens, torch.stack(classes).flatten()

    def _curve(self, head: SlideHead, tiles: Tensor) -> float:
        scores = head(tiles).detach()
        return ranked_right(scores[:, 0] - scores[:, 1], self.smears.answers["test"] == 0)

    def _calibrate(self, name: str, scores: dict[str, Tensor], classes: dict[str, Tensor]) -> None:
        """Fit a temperature on the validation slides, and note the test slides' calibration error without it and with it."""
        fitted = self.temperatures[name] = fitted_temperature(scores["validation"], classes["validation"])
        self.errors[name] = (
            calibration_error(scores["test"], classes["test"]),
            calibration_error(scores["test"], classes["test"], fitted),
        )


def _resizing(encoder: Encoder, kind: str) -> Encoder:
    """Return a network that takes patches of all sizes, its kernel resized in a way."""
    found = Encoder(replace(SIZES, resizing=kind))
    found.load_state_dict(encoder.state_dict())
    return found.eval()


def balanced(scores: Tensor, classes: Tensor) -> float:
    """Return the mean, over the classes that occur in [n], of the share of each that has its highest score [n, K] there."""
    return float(right_by_class(scores, classes)[torch.unique(classes)].mean())
