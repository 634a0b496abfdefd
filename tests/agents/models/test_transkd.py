"""What a teacher's features and patches teach, against plain steps in float64; regions in words; the pitfalls of teaching."""

import math
from dataclasses import replace

import pytest
import torch
from support.random_models import generator, shaken
from support.small_data import streets
from torch import nn
from torch.nn import functional

from agents.errors import ConfigError, ModelError, RequestError, UnknownName
from agents.models.seeded import seeded
from agents.models.transkd import training
from agents.models.transkd.backend import TransKDBackend, pixel_beliefs
from agents.models.transkd.config import SegmenterConfig
from agents.models.transkd.distillation import (
    METHODS,
    AlignedPatches,
    AssistedPatches,
    CrossSelectiveFusion,
    Fusion,
    Lessons,
    Method,
    MixedPatches,
    Mixer,
    hierarchical_loss,
    patches_loss,
    scores_loss,
)
from agents.models.transkd.measures import asked_of, confusion, mean_iou, region_scores
from agents.models.transkd.model import Looked, Segmenter
from agents.models.transkd.training import Recipe, check_teacher, lessons_of, mirrored, train
from agents.models.vision.camvid import CLASSES, VOID, read_camvid
from agents.models.vision.regions import REGIONS, part_of, region_of, right_of
from agents.observation import Image
from agents.question import Question

SMALL = SegmenterConfig(CLASSES, 32, 32, (4, 4, 8, 8), heads=(1, 1, 2, 2), decoder=8)
LARGE = replace(SMALL, widths=(8, 8, 12, 16))


def looked(config=SMALL, count=3):
    """Return what a segmenter of a size may have made of pictures, and the pictures."""
    noise = generator()
    sides = [(8, 8), (4, 4), (2, 2), (1, 1)]
    features = [
        torch.randn(count, width, *side, generator=noise) for width, side in zip(config.widths, sides, strict=True)
    ]
    patches = [
        torch.randn(count, math.prod(side), width, generator=noise)
        for width, side in zip(config.widths, sides, strict=True)
    ]
    scores = torch.randn(count, len(CLASSES), 8, 8, generator=noise)
    return Looked(scores, features, patches), torch.randn(count, 3, 32, 32, generator=noise)


@pytest.fixture
def data(tmp_path):
    pytest.importorskip("PIL")
    return training.streets(read_camvid(streets(tmp_path), "train"), SMALL)


@torch.no_grad()
def test_features_are_fused_from_the_last_stage_to_the_first():
    """In plain steps, in float64: to one width, shares of both branches by a softmax over the two, to the teacher's width."""
    fusion = shaken(lambda: CrossSelectiveFusion(SMALL.widths, LARGE.widths)).double().eval()
    features = [each.double() for each in looked()[0].features]
    after, wanted = None, [None] * 4
    for place in (3, 2, 1, 0):
        stage = fusion.stages[place]
        entry, exit_ = stage.entry, stage.exit
        x = torch.einsum("mc,bchw->bmhw", entry[0].weight[:, :, 0, 0], features[place])
        x = _normalised(x, entry[1])
        if after is not None:
            y = after.repeat_interleave(2, 2).repeat_interleave(2, 3)
            mean = (x + y).mean((2, 3))
            squeezed = _normalised(mean @ stage.squeeze[0].weight[:, :, 0, 0].T, stage.squeeze[1]).relu()
            own, other = ((squeezed @ share.weight[:, :, 0, 0].T + share.bias).exp() for share in stage.shares)
            x = (own / (own + other))[:, :, None, None] * x + (other / (own + other))[:, :, None, None] * y
        after = x
        wanted[place] = _normalised(functional.conv2d(x, exit_[0].weight, padding=1), exit_[1])
    for found, each, width in zip(fusion(features), wanted, LARGE.widths, strict=True):
        assert found.shape[1] == width
        assert torch.allclose(found, each, atol=1e-12)
    # The last stage has none after it.
    assert not hasattr(fusion.stages[3], "shares")


def _normalised(values, norm):
    shape = (1, -1) + (1,) * (values.ndim - 2)
    mean, variance, weight, bias = (
        each.view(shape) for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (values - mean) / (variance + norm.eps).sqrt() * weight + bias


def test_one_picture_by_itself_has_no_deviation(data):
    fusion = CrossSelectiveFusion(SMALL.widths, LARGE.widths)
    with pytest.raises(ConfigError, match="normalised over the pictures of a batch, and this has one"):
        fusion(looked(count=1)[0].features)
    # Outside training it is what was learnt, of one as of many.
    many = looked()[0].features
    fusion.eval()
    for alone, together in zip(fusion([each[:1] for each in many]), fusion(many), strict=True):
        assert torch.allclose(alone, together[:1], atol=1e-6)
    three = replace(data, pictures=data.pictures[[0, 1, 1]], coarse=data.coarse[[0, 1, 1]])
    with pytest.raises(ConfigError, match="3 pictures in batches of 2 leave one by itself"):
        train(Segmenter(SMALL), three, Recipe(epochs=1, batch=2), seed=0)


def test_features_are_compared_at_all_positions_and_over_coarser_grids():
    noise = generator()
    own, wanted = (torch.randn(2, 3, 6, 8, generator=noise, dtype=torch.float64) for _ in range(2))
    parts = [((own - wanted) ** 2).mean()]
    for side in (4, 2, 1):
        pooled = [functional.adaptive_avg_pool2d(each, side) for each in (own, wanted)]
        parts.append(((pooled[0] - pooled[1]) ** 2).mean())
    weighed = sum(weight * part for weight, part in zip((1, 1 / 2, 1 / 4, 1 / 8), parts, strict=True)) / (1 + 7 / 8)
    assert float(hierarchical_loss([own], [wanted])) == pytest.approx(float(weighed), abs=1e-12)
    # A grid that is not coarser is left out: of two rows that of one is left, at half the weight.
    low = [each[:, :, :2, :2] for each in (own, wanted)]
    means = [each.mean((2, 3)) for each in low]
    two = (((low[0] - low[1]) ** 2).mean() + ((means[0] - means[1]) ** 2).mean() / 2) / 1.5
    assert float(hierarchical_loss([low[0]], [low[1]])) == pytest.approx(float(two), abs=1e-12)
    assert float(hierarchical_loss([own, low[0]], [wanted, low[1]])) == pytest.approx(float(weighed + two), abs=1e-12)


@torch.no_grad()
def test_patches_are_aligned_mixed_and_assisted():
    made, pixels = looked()
    made, pixels = Looked(made.scores, *([each.double() for each in part] for part in made[1:])), pixels.double()
    aligned = shaken(lambda: AlignedPatches(SMALL.widths, LARGE.widths)).double()
    for layer, each, found in zip(aligned.to_taught, made.embeddings, aligned(made, pixels), strict=True):
        assert torch.allclose(found, each @ layer.weight.T + layer.bias, atol=1e-12)

    mixed = shaken(lambda: MixedPatches(SMALL.widths, LARGE.widths, 2)).double()
    found = mixed(made, pixels)
    last = mixed.to_taught[3](mixed.mixer(made.embeddings[3]))
    assert torch.allclose(found[3], last, atol=1e-12)
    assert all(torch.allclose(found[k], mixed.to_taught[k](made.embeddings[k])) for k in range(3))

    assisted = shaken(lambda: AssistedPatches(SMALL.widths, LARGE.widths)).double()
    for k, (found, seen) in enumerate(zip(assisted(made, pixels), (pixels, *made.features[:3]), strict=True)):
        cut, norm = assisted.assistants[k].cut, assisted.assistants[k].norm
        assert (cut.kernel_size[0], cut.stride[0]) == ((7, 4), (3, 2))[k > 0]
        tokens = functional.layer_norm(cut(seen).flatten(2).mT, (LARGE.widths[k],), norm.weight, norm.bias)
        own = assisted.to_taught[k](made.embeddings[k])
        wanted = assisted.of_student[k] * own + assisted.of_assistant[k] * tokens
        assert torch.allclose(found, wanted, atol=1e-12)
    fresh = AssistedPatches(SMALL.widths, LARGE.widths)
    assert torch.cat([fresh.of_student, fresh.of_assistant]).tolist() == pytest.approx([0.1 * n for n in range(1, 9)])


@torch.no_grad()
def test_the_mixer_adds_neighbours_to_attention():
    mixer = shaken(lambda: Mixer(4, 2)).double()
    x = torch.randn(1, 5, 4, generator=generator(), dtype=torch.float64)
    padded = functional.pad(x[0], (0, 0, 1, 1))
    near = torch.zeros(5, 4, dtype=torch.float64)
    for place in range(5):
        window = padded[place : place + 3]
        value, gate = (
            torch.einsum("oik,ki->o", layer.weight, window) + layer.bias for layer in (mixer.values, mixer.gates)
        )
        near[place] = value * gate.sigmoid()
    wanted = mixer.of_all * mixer.attention(x)[0] + mixer.of_neighbours * near
    assert torch.allclose(mixer(x)[0], wanted, atol=1e-12)
    assert [float(each) for each in (Mixer(4, 2).of_all, Mixer(4, 2).of_neighbours)] == [1.0, 1.0]


def test_losses_of_patches_and_scores_are_weighed():
    noise = generator()
    own, wanted = ([torch.randn(2, 3, 4, generator=noise, dtype=torch.float64) for _ in range(4)] for _ in range(2))
    parts = [float(((a - b) ** 2).mean()) for a, b in zip(own, wanted, strict=True)]
    weighed = 0.1 * parts[0] + 0.1 * parts[1] + 0.5 * parts[2] + parts[3]
    assert float(patches_loss(own, wanted)) == pytest.approx(weighed, abs=1e-12)
    a, b = (torch.randn(2, 5, 2, 3, generator=noise, dtype=torch.float64) for _ in range(2))
    p, q = (torch.softmax(each / 2, 1) for each in (b, a))
    assert float(scores_loss(a, b, 2.0)) == pytest.approx(float(4 * (p * (p / q).log()).sum() / 12), abs=1e-12)
    assert float(scores_loss(a, a, 2.0)) == pytest.approx(0, abs=1e-12)


@torch.no_grad()
def test_patches_are_those_before_any_block():
    """They follow from what the stage sees alone; its blocks change its features and the next stage's patches."""
    model, pixels = shaken(lambda: Segmenter(SMALL)).eval(), looked()[1]
    before = model.looked(pixels)
    assert torch.equal(before.scores, model(pixels))
    assert [each.shape[1:] for each in before.features] == [(4, 8, 8), (4, 4, 4), (8, 2, 2), (8, 1, 1)]
    assert [each.shape[1:] for each in before.embeddings] == [(64, 4), (16, 4), (4, 8), (1, 8)]
    first = next(each for each in model.modules() if type(each).__name__ == "SegformerOverlapPatchEmbeddings")
    assert torch.equal(before.embeddings[0], first(pixels)[0])
    block = next(each for each in model.modules() if type(each).__name__ == "SegformerLayer")
    for weights in block.parameters():
        weights.add_(0.5 * torch.randn(weights.shape, generator=generator()))
    after = model.looked(pixels)
    assert torch.equal(after.embeddings[0], before.embeddings[0])
    assert not torch.allclose(after.features[0], before.features[0], atol=1e-3)
    assert not torch.allclose(after.embeddings[1], before.embeddings[1], atol=1e-3)


def test_a_teacher_teaches_in_eval_mode_and_stays_as_it_is(data):
    teacher = shaken(lambda: Segmenter(LARGE)).train()
    kept = {name: value.clone() for name, value in teacher.state_dict().items()}
    pictures = mirrored(data.pictures)
    taught = lessons_of(teacher, pictures)
    assert not any(each.training for each in teacher.modules())
    assert not taught.scores.requires_grad
    # One by one as all together: nothing is normalised over a batch.
    alone = lessons_of(teacher, pictures[:1])
    assert torch.allclose(alone.scores, taught.scores[:1], atol=1e-5)
    train(Segmenter(SMALL), data, Recipe(epochs=1, batch=2), seed=0, method=METHODS["base"], taught=taught)
    assert all(torch.equal(value, kept[name]) for name, value in teacher.state_dict().items())


def test_a_teacher_that_has_learnt_nothing_is_refused():
    classes = torch.tensor([[[0, 0], [1, VOID]]])
    scores = torch.zeros(1, len(CLASSES), 2, 2)
    scores[:, 0] = 1
    with pytest.raises(
        ModelError, match="right of 67% of the pixels, and whoever says their commonest class is of 67%"
    ):
        check_teacher(scores, classes)
    scores[0, 1, 1] = 2
    check_teacher(scores, classes)


def test_students_of_all_methods_take_the_same_steps_and_differ_by_what_they_are_taught(data, monkeypatch):
    taught = lessons_of(shaken(lambda: Segmenter(LARGE)), mirrored(data.pictures))
    steps, seen = [], []
    step, look = torch.optim.AdamW.step, Segmenter.looked
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *a: (steps.append(1), step(self, *a))[1])
    monkeypatch.setattr(Segmenter, "looked", lambda self, x: (seen.append(x), look(self, x))[1])
    found, counts, orders = {}, set(), []
    for name, method in METHODS.items():
        steps.clear()
        seen.clear()
        model = seeded(lambda: Segmenter(SMALL), 3)
        train(model, data, Recipe(epochs=2, batch=2), seed=3, method=method, taught=taught)
        assert not model.training
        counts.add(len(steps))
        orders.append(torch.cat(seen))
        # All that is kept is the student: as many tensors, of the same shapes.
        found[name] = torch.cat([each.flatten() for each in model.state_dict().values()])
    assert counts == {2}
    assert all(torch.equal(each, orders[0]) for each in orders)
    assert len({len(each) for each in found.values()}) == 1
    assert len({tuple(each.tolist()) for each in found.values()}) == len(METHODS)


@torch.no_grad()
def test_what_stands_beside_a_student_is_what_its_method_says():
    made, pixels = looked()
    other, _ = looked(LARGE)
    for name, method in METHODS.items():
        lessons = seeded(lambda method=method: Lessons(method, SMALL.widths, LARGE.widths, heads=2), 0)
        names = {each.split(".")[0] for each, _ in lessons.named_parameters()}
        assert names == {*(["fusion"] if method.features else []), *(["patches"] if method.embeddings else [])}, name
        parts = [
            scores_loss(made.scores, other.scores, 2.0) if method.scores else 0.0,
            hierarchical_loss(lessons.fusion(made.features), other.features) if method.features else 0.0,
            patches_loss(lessons.patches(made, pixels), other.embeddings) if method.embeddings else 0.0,
        ]
        assert float(lessons(made, other, pixels)) == pytest.approx(float(sum(parts)), rel=1e-5)
    with pytest.raises(UnknownName, match="way to teach patches"):
        Method(embeddings="glued")
    assert isinstance(Fusion(3, 4, fuses=False).exit[1], nn.BatchNorm2d)


def test_intersection_over_union_leaves_out_what_has_no_class():
    said, classes = torch.tensor([[[0, 0, 1], [1, 1, 0]]]), torch.tensor([[[0, 1, 1], [1, 3, 3]]])
    counts = confusion(said, classes, 3)
    assert counts.tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    # One of two, and two of three; the third class is nowhere.
    assert mean_iou(counts) == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("What is at the left?", "left"),
        ("Picture 3: which of these takes up most of the middle? sky, road", "middle"),
        ("Which takes up most of its Top  Middle?", "top middle"),
        ("What is in the bottom right of the picture?", "bottom right"),
        ("What is in it?", None),
        ("", None),
    ],
)
def test_a_region_is_named_in_words(text, region):
    assert region_of(text) == region


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Is what is at the left, also at the right?", "names left, right: ask twice"),
        ("What is to the right of the car?", "which region 'right' means is not known"),
        ("What is at the left corner?", "'left' means is not known"),
        ("What is in the upper left?", "'upper' means is not known"),
        ("Of these, which is right: what is at the top?", "'right' means is not known"),
    ],
)
def test_words_that_name_no_region_plainly_are_refused(text, sentence):
    with pytest.raises(RequestError, match=sentence):
        region_of(text)


def test_regions_are_thirds():
    cells = torch.arange(9).view(3, 3)
    picture = cells.repeat_interleave(5, 0).repeat_interleave(4, 1)
    assert len(REGIONS) == 13
    for name, wanted in (
        ("top left", {0}), ("top middle", {1}), ("middle right", {5}), ("middle", {4}), ("bottom middle", {7}),
        ("left", {0, 3, 6}), ("bottom", {6, 7, 8}), (None, set(range(9))),
    ):  # fmt: skip
        assert set(part_of(picture, name).flatten().tolist()) == wanted
    with pytest.raises(RequestError, match="1 x 1 pixels has none in its top left"):
        part_of(torch.zeros(1, 1), "top left")


def test_a_region_without_a_plain_answer_is_not_asked():
    def of(*classes):
        return right_of(torch.tensor(classes).view(1, 1, -1).expand(1, 3, -1)[0], "left", 3)

    first = [0] * 6 + [1] * 4
    assert of(*first, *[2] * 20) == 0
    # 1 ahead of 10 is a tenth, none is not; 2 of 10 without a class are few, 3 are many.
    assert of(*[0] * 5, *[1] * 5, *[2] * 20) is None
    assert of(*[0] * 5, 3, *[1] * 4, *[2] * 20) == 0
    assert of(*[0] * 8, 3, 3, *[2] * 20) == 0
    assert of(*[0] * 7, 3, 3, 3, *[2] * 20) is None


def test_a_belief_is_the_mean_of_the_pixels_of_the_region_that_is_asked_about():
    model = shaken(lambda: Segmenter(SMALL))
    picture = torch.rand(3, 50, 40, generator=generator())
    backend = TransKDBackend(model)
    beliefs = pixel_beliefs(model, picture[None])[0]
    assert beliefs.shape == (len(CLASSES), 32, 32)
    asked = {
        region: backend.believe([Question("a", f"What is {region}?", (Image(picture),))])[0]
        for region in ("in it", "at the top left", "at the right")
    }
    for region, part in (
        ("in it", beliefs), ("at the top left", beliefs[:, :11, :11]), ("at the right", beliefs[:, :, 21:]),
    ):  # fmt: skip
        assert asked[region].labels == CLASSES
        assert list(asked[region].probabilities) == pytest.approx(part.mean((1, 2)).tolist(), abs=1e-6)
    # At a temperature, each share to the power of its inverse, over the options alone.
    options = Question("a", "What is at the top left?", (Image(picture),), ("A", "B"), ("road", "sky"))
    (cold,) = TransKDBackend(model, temperature=0.5).believe([options])
    road, sky = (float(beliefs[CLASSES.index(name), :11, :11].mean()) ** 2 for name in ("road", "sky"))
    assert cold.labels == ("A", "B")
    assert list(cold.probabilities) == pytest.approx([road / (road + sky), sky / (road + sky)], abs=1e-6)
    with pytest.raises(RequestError, match="ask twice"):
        backend.believe([Question("a", "at the left, or at the top?", (Image(picture),))])


def test_a_folder_is_read_as_it_was_written(tmp_path, data):
    model = shaken(lambda: Segmenter(SMALL))
    TransKDBackend(model, temperature=0.6).save_pretrained(tmp_path / "x")
    backend = TransKDBackend.from_pretrained(str(tmp_path / "x"))
    assert (backend.temperature, backend.config) == (0.6, SMALL)
    asked = asked_of(data.fine, len(CLASSES))
    scores = [region_scores(each, data.pictures, asked) for each in (model, backend.model)]
    assert torch.equal(*scores)
    assert scores[0].shape == (len(asked.regions), len(CLASSES))
    assert scores[0].exp().sum(1).tolist() == pytest.approx([1.0] * len(scores[0]))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": ()}, "there are labels"),
        ({"widths": (4, 4, 8)}, "of four stages"),
        ({"depths": (1, 1, 0, 1)}, "at least 1"),
        ({"heads": (1, 3, 2, 2)}, "widths are multiples of heads"),
        ({"depths": (1, 1, 33, 1)}, "at most 32 blocks"),
        ({"width": 4096}, "2048 pixels a side"),
        ({"height": 36}, r"stage 1 has 9 positions of 36 pixels, which reductions\[0\], 4, does not divide"),
        ({"deviation": (0.5, 0.5, 0.0)}, "the latter above 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(SMALL, **changes)


def test_the_recipe_compares_students_and_keeps_all_models(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(training, "SIZES", SMALL)
    monkeypatch.setattr(training, "TEACHER", LARGE)
    monkeypatch.setattr(training, "TEACHERS", Recipe(epochs=12, batch=2, rate=1e-2))
    monkeypatch.setattr(training, "STUDENTS", Recipe(epochs=1, batch=2))
    told = []
    claims = training.claims(tmp_path / "out", seeds=1, data=streets(tmp_path / "data"), progress=told.append)
    assert [each.text.partition(":")[0] for each in claims] == ["mIoU"] * 10 + ["regions right"] * 2 + [
        claims[-1].text.partition(":")[0]
    ]
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        f"{name}-0" for name in ("teacher", *METHODS, "base-untrained")
    }
    told.clear()
    again = training.claims(tmp_path / "out", seeds=1, data=tmp_path / "data", progress=told.append)
    assert again == claims
    assert not any(each.startswith("training") for each in told)
