"""The recipe: a teacher, and students of the same sizes, first weights, pictures and steps that are taught different things.

CamVid in 48 x 64, frames and their mirror images, whole. The teacher is trained, then stays as it is, in eval mode; what it
makes of each picture is found once. Scores are held against classes at a quarter of the size, as in the published code, and
nothing is weighed by class: its weights are those of Cityscapes.

n pictures of H x W pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim, claims_of
from agents.errors import ConfigError, ModelError
from agents.models.seeded import seeded
from agents.models.transkd.backend import TransKDBackend
from agents.models.transkd.config import SegmenterConfig
from agents.models.transkd.distillation import METHODS, Lessons, Method
from agents.models.transkd.measures import Asked, asked_of, iou_of, region_scores
from agents.models.transkd.model import Looked, Segmenter
from agents.models.vision.camvid import CLASSES, VOID, Frame, read_camvid, stacked, thinned
from agents.models.vision.measures import accuracy, calibration_error, fitted_temperature
from agents.models.vision.pixels import standardised
from agents.models.vision.training import is_trained, shape
from agents.pretrained import Progress

SIZES = SegmenterConfig(CLASSES)
TEACHER = SegmenterConfig(CLASSES, widths=(16, 32, 80, 128), decoder=64)


@dataclass(frozen=True)
class Recipe:
    """How it is trained: AdamW, its rate risen and then lowered along a cosine."""

    epochs: int = 40
    batch: int = 6
    rate: float = 3e-3
    decay: float = 0.01


TEACHERS, STUDENTS = Recipe(epochs=50), Recipe()


@dataclass(frozen=True)
class Streets:
    """Frames of a split.

    Attributes:
        pictures: [n, 3, H, W] between 0 and 1.
        coarse: classes at a quarter of the size [n, H / 4, W / 4].
        fine: classes at its size [n, H, W].
        asked: regions of which the files' classes say what takes up most.
    """

    pictures: Tensor
    coarse: Tensor
    fine: Tensor
    asked: Asked


def streets(frames: Sequence[Frame], config: SegmenterConfig) -> Streets:
    """Return frames as a segmenter takes them."""
    pictures, classes = stacked(frames, config.size)
    return Streets(
        pictures, thinned(classes, config.coarse), thinned(classes, config.size), asked_of(classes, len(config.labels))
    )


def mirrored(values: Tensor) -> Tensor:
    """Return values [n, ..., W] and after them their mirror images, [2n, ..., W]."""
    return torch.cat([values, values.flip(-1)])


@torch.no_grad()
def lessons_of(teacher: Segmenter, pictures: Tensor) -> Looked:
    """Return what a teacher, in eval mode, makes of standardised pictures [n, 3, H, W]."""
    teacher.eval()
    parts = [teacher.looked(each) for each in torch.split(pictures, 20)]
    stages = range(len(parts[0].features))
    return Looked(
        torch.cat([each.scores for each in parts]),
        [torch.cat([each.features[stage] for each in parts]) for stage in stages],
        [torch.cat([each.embeddings[stage] for each in parts]) for stage in stages],
    )


def check_teacher(scores: Tensor, classes: Tensor) -> None:
    """Refuse a teacher that has learnt nothing of the pictures that it is to teach, whose scores are [n, K, h, w].

    Raises:
        ModelError: it is right of no more pixels than their commonest class is.
    """
    known = classes < scores.shape[1]
    right = float((scores.argmax(1) == classes)[known].double().mean())
    commonest = float(torch.bincount(classes[known]).max() / known.sum())
    if right <= commonest:
        raise ModelError(
            f"the teacher is right of {right:.0%} of the pixels, and whoever says their commonest class is of {commonest:.0%}: "
            "train the teacher first"
        )


def train(
    model: Segmenter,
    data: Streets,
    recipe: Recipe,
    *,
    seed: int,
    method: Method | None = None,
    taught: Looked | None = None,
) -> Segmenter:
    """Return the trained model, in eval mode.

    Args:
        model: to train.
        data: what on.
        recipe: how.
        seed: of the order, and of the first weights of what stands beside the model.
        method: what it is taught besides the classes; nothing by default.
        taught: what a teacher makes of the pictures and their mirror images, [2n, ...].

    Raises:
        ConfigError: a batch size that leaves one picture by itself.
    """
    if len(data.pictures) % recipe.batch == 1:
        raise ConfigError(
            f"{len(data.pictures)} pictures in batches of {recipe.batch} leave one by itself, and channels are normalised "
            "over a batch: take another batch size"
        )
    pictures, classes = standardised(mirrored(data.pictures), model.config), mirrored(data.coarse)
    lessons = None
    if method is not None and taught is not None:
        own, widths = model.config.widths, [each.shape[1] for each in taught.features]
        heads = model.config.heads[-1]
        lessons = seeded(lambda: Lessons(method, own, widths, heads=heads), seed)
    parts = torch.nn.ModuleList([model] if lessons is None else [model, lessons])
    optimiser = torch.optim.AdamW(parts.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    generator = torch.Generator().manual_seed(seed)
    count = len(data.pictures)
    steps, done = recipe.epochs * -(-count // recipe.batch), 0
    parts.train()
    for _ in range(recipe.epochs):
        # Each frame once an epoch, mirrored or not.
        order = torch.randperm(count, generator=generator)
        order = order + count * (torch.rand(count, generator=generator) < 0.5)
        for chosen in torch.split(order, recipe.batch):
            looked = model.looked(pictures[chosen])
            loss = functional.cross_entropy(looked.scores, classes[chosen], ignore_index=VOID)
            if lessons is not None and taught is not None:
                loss = loss + lessons(looked, _chosen(taught, chosen), pictures[chosen])
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * shape(done / steps)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
    return model.eval()


def _chosen(taught: Looked, chosen: Tensor) -> Looked:
    return Looked(
        taught.scores[chosen], [each[chosen] for each in taught.features], [each[chosen] for each in taught.embeddings]
    )


UNTAUGHT = "base-untrained"
"""TransKD-Base of a teacher of random weights: what modules and targets are worth without knowledge."""
ASKED: dict[str, tuple[str, str, float]] = {
    "mIoU: the teacher above the student": ("teacher", "student", 2.0),
    "mIoU: TransKD-Base above the student": ("base", "student", 2.0),
    "mIoU: TransKD-Base above scores taught alone": ("base", "scores", 0.0),
    "mIoU: features taught alone above the student": ("features", "student", 0.0),
    "mIoU: patches taught alone above the student": ("patches", "student", 0.0),
    "mIoU: TransKD-Base above features alone": ("base", "features", 0.0),
    "mIoU: TransKD-Base above patches alone": ("base", "patches", 0.0),
    "mIoU: TransKD-GL above TransKD-Base": ("mixer", "base", 0.0),
    "mIoU: TransKD-EA above TransKD-Base": ("assistant", "base", 0.0),
    "mIoU: TransKD-Base above itself of an untrained teacher": ("base", UNTAUGHT, 0.0),
}
"""In words; ours and the baseline; by how much in points."""


@dataclass(frozen=True)
class Fared:
    """How a segmenter fares on test frames.

    Attributes:
        iou: mean intersection over union, in percent.
        right: share of the regions that are asked about.
        before, after: calibration error of beliefs about them at temperature 1, and at the fitted one.
    """

    iou: float
    right: float
    before: float
    after: float


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what students are worth by what they were taught, on CamVid's test frames; every model is kept under `out`.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0; first weights and order of all students of a seed are the same.
        data: folder of the frames.
        progress: told of each step that takes time.
    """
    learned, held, test = (streets(read_camvid(data, split), SIZES) for split in ("train", "validation", "test"))
    found = [_fared(out, seed, learned, held, test, progress) for seed in range(seeds)]

    def pairs(ours: str, baseline: str, what: str, scale: float = 1.0) -> list[tuple[float, float]]:
        return [(scale * getattr(one[ours], what), scale * getattr(one[baseline], what)) for one in found]

    figures = {text: pairs(ours, baseline, "iou") for text, (ours, baseline, _) in ASKED.items()}
    asked: dict[str, tuple[float | None, float | None]] = {text: (least, None) for text, (*_, least) in ASKED.items()}
    regions = "regions right: TransKD-Base above the student"
    figures[regions] = pairs("base", "student", "right")
    guess = commonest_right(learned.asked, test.asked)
    usual = "regions right: TransKD-Base above what is commonest in the region"
    figures[usual] = [(one["base"].right, guess) for one in found]
    error = "calibration error of regions (negated), TransKD-Base: with the fitted temperature below that without"
    figures[error] = [(-one["base"].after, -one["base"].before) for one in found]
    return claims_of(figures, {**asked, **dict.fromkeys((regions, usual, error), (0.0, None))})


def commonest_right(learned: Asked, test: Asked) -> float:
    """Return the share of regions that is right of whoever says what is commonest in the region in the pictures learned from."""
    said = {
        region: int(
            torch.bincount(
                learned.classes[[each == region for each in learned.regions]], minlength=len(CLASSES)
            ).argmax()
        )
        for region in set(test.regions)
    }
    return fmean(said[region] == int(right) for region, right in zip(test.regions, test.classes, strict=True))


def _fared(
    out: Path, seed: int, learned: Streets, held: Streets, test: Streets, progress: Progress
) -> dict[str, Fared]:
    """Return how the teacher and all students of a seed fare."""

    def kept(name: str, make: Callable[[], Segmenter]) -> Fared:
        folder = out / f"{name}-{seed}"
        if not is_trained(folder):
            progress(f"training {folder.name} on {len(learned.pictures)} frames")
            model = make()
            scores = region_scores(model, held.pictures, held.asked)
            TransKDBackend(model, temperature=fitted_temperature(scores, held.asked.classes)).save_pretrained(folder)
        backend = TransKDBackend.from_pretrained(str(folder))
        scores, right = region_scores(backend.model, test.pictures, test.asked), test.asked.classes
        one = Fared(
            iou_of(backend.model, test.pictures, test.fine, len(CLASSES)),
            accuracy(scores, right),
            calibration_error(scores, right),
            calibration_error(scores, right, backend.temperature),
        )
        progress(
            f"{folder.name}: mIoU {one.iou:.2f}; {one.right:.3f} of the regions right; calibration error {one.before:.3f}, "
            f"{one.after:.3f} at temperature {backend.temperature:.2f}"
        )
        return one

    def student(method: Method, taught: Looked | None) -> Segmenter:
        return train(seeded(lambda: Segmenter(SIZES), seed), learned, STUDENTS, seed=seed, method=method, taught=taught)

    def fresh() -> Segmenter:
        return seeded(lambda: Segmenter(TEACHER), seed)

    found = {"teacher": kept("teacher", lambda: train(fresh(), learned, TEACHERS, seed=seed))}
    seen = standardised(mirrored(learned.pictures), TEACHER)
    taught = lessons_of(TransKDBackend.from_pretrained(str(out / f"teacher-{seed}")).model, seen)
    check_teacher(taught.scores, mirrored(learned.coarse))
    for name, method in METHODS.items():
        found[name] = kept(name, lambda method=method: student(method, taught))  # type: ignore[misc]
    found[UNTAUGHT] = kept(UNTAUGHT, lambda: student(METHODS["base"], lessons_of(fresh(), seen)))
    return found
