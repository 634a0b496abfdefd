"""Kernels and positions of several sizes, the four losses held against plain float64, what is hidden, heads, and the agent."""

import math
from dataclasses import replace

import pytest
import torch
from support.random_models import generator, shaken
from support.small_data import smears
from support.small_picture_models import THINGS, small_pluto

from agents.beliefs.cards import card, create_belief_backend
from agents.errors import ConfigError, ModelError, UnknownName
from agents.models.checkpoint import CONFIG
from agents.models.fusion.config import NOT_CLINICAL
from agents.models.pluto import bccd, training
from agents.models.pluto.bccd import LABELS, Cell, Slide, read_slides
from agents.models.pluto.config import PLUTOConfig
from agents.models.pluto.heads import NOTHING, fit_linear, fit_slide, patch_classes
from agents.models.pluto.model import PLUTO, Encoder, SlideHead
from agents.models.pluto.objective import (
    Decoder,
    balanced_targets,
    centred_targets,
    dino_loss,
    fourier_loss,
    ibot_loss,
    mae_loss,
    moved_centre,
    patches_of,
    pictures_of,
)
from agents.models.pluto.pretraining import Pretraining, Recipe
from agents.models.pluto.resizing import (
    BILINEAR,
    PSEUDO_INVERSE,
    kernel_matrix,
    resize_matrix,
    resized_kernel,
    resized_positions,
)
from agents.models.pluto.tiles import cell_tiles, colour_shares, grey, grid_tiles, places
from agents.models.pluto.views import Crop, drawn_tiles, hidden_blocks, kept_patches, view
from agents.models.vision.measures import ranked_right
from agents.models.vision.pixels import standardised
from agents.observation import Image
from agents.question import Question

SMALL = PLUTOConfig(LABELS, side=16, width=16, depth=1, heads=2, hidden=16, attention=8, window=96)
QUICK = Recipe(steps=2, tokens=64, large=Crop(16, 0.6, 1.0), small=Crop(16, 0.3, 0.6), prototypes=8, head=8)
TEMPERATURES = (0.1, 0.04)


def plain_resize(old, new):
    """Bilinear weights [new², old²] written out: pixel i's middle lies at (i + 0.5) old / new − 0.5, cut at the edges."""
    one = torch.zeros(new, old, dtype=torch.float64)
    for i in range(new):
        at = min(max((i + 0.5) * old / new - 0.5, 0.0), old - 1.0)
        low = min(math.floor(at), old - 1)
        one[i, low] += 1 - (at - low)
        one[i, min(low + 1, old - 1)] += at - low
    return torch.kron(one, one)


@pytest.mark.parametrize(("old", "new"), [(8, 4), (8, 16), (8, 12), (5, 3)])
def test_a_kernel_is_resized_by_the_pseudo_inverse_of_bilinear_resizing(old, new):
    matrix = plain_resize(old, new)
    assert torch.allclose(resize_matrix(old, new), matrix, atol=1e-12)
    kernel = torch.randn(2, 3, old, old, generator=generator(), dtype=torch.float64)
    found = resized_kernel(kernel, new).flatten(2)
    # Of the equation itself: w' minimises |Bᵀ w' − w|, the expected squared difference for white patches.
    want = torch.linalg.lstsq(matrix.T, kernel.flatten(0, 1).flatten(1).T, driver="gelsd").solution.T
    assert torch.allclose(found.flatten(0, 1), want, atol=1e-9)
    assert resized_kernel(kernel, old) is kernel


def test_enlarged_patches_are_the_same_tokens_and_plainly_resized_ones_are_not():
    patches = torch.randn(5, 64, generator=generator(), dtype=torch.float64)
    kernel = torch.randn(64, generator=generator(1), dtype=torch.float64)
    large = patches @ resize_matrix(8, 16).T
    assert torch.allclose(large @ (kernel_matrix(8, 16, PSEUDO_INVERSE) @ kernel), patches @ kernel, atol=1e-9)
    flat = torch.ones(64, dtype=torch.float64)
    # Of patches of one colour a plain kernel's token grows with the area.
    assert float(torch.ones(256).double() @ (kernel_matrix(8, 16, BILINEAR) @ flat)) == pytest.approx(4 * 64)
    assert float(torch.ones(256).double() @ (kernel_matrix(8, 16, PSEUDO_INVERSE) @ flat)) == pytest.approx(64)
    with pytest.raises(UnknownName, match="resizing of a kernel"):
        kernel_matrix(8, 16, "bicubic")


def test_positions_follow_the_grid():
    positions = torch.randn(1, 9, 4, generator=generator())
    assert resized_positions(positions, 3) is positions
    square = positions[0].T.reshape(1, 4, 3, 3)
    want = torch.nn.functional.interpolate(square, size=(6, 6), mode="bilinear").flatten(2).transpose(1, 2)
    assert torch.allclose(resized_positions(positions, 6), want, atol=1e-6)


def scores(*shape, seed=0):
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64) * 2 - 1


def softmax(values, temperature):
    top = max(values)
    found = [math.exp((value - top) / temperature) for value in values]
    return [value / sum(found) for value in found]


def crossed(meant, said, centre):
    target = softmax([m - c for m, c in zip(meant, centre, strict=True)], TEMPERATURES[1])
    return -sum(t * math.log(p) for t, p in zip(target, softmax(said, TEMPERATURES[0]), strict=True))


def test_dino_is_the_equation():
    """Every pair of a large view of the teacher and another view of the student; never the same view."""
    student, teacher, centre = scores(4, 3, 5), scores(2, 3, 5, seed=1), scores(5, seed=2)
    pairs = [(i, j) for i in range(2) for j in range(4) if i != j]
    each = [
        crossed(teacher[i, b].tolist(), student[j, b].tolist(), centre.tolist()) for i, j in pairs for b in range(3)
    ]
    found = dino_loss(list(student), list(centred_targets(teacher, centre, TEMPERATURES[1])), TEMPERATURES[0])
    assert float(found) == pytest.approx(sum(each) / len(each), rel=1e-9)


def test_ibot_is_the_equation_and_a_whole_picture_counts_nothing():
    student, teacher, centre = scores(3, 4, 5), scores(3, 4, 5, seed=1), scores(5, seed=2)
    hidden = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]]).bool()
    total = 0.0
    for b in (0, 2):
        lost = [
            crossed(teacher[b, n].tolist(), student[b, n].tolist(), centre.tolist()) for n in range(4) if hidden[b, n]
        ]
        total += sum(lost) / len(lost)
    found = ibot_loss(student, centred_targets(teacher, centre, TEMPERATURES[1]), hidden, TEMPERATURES[0])
    assert float(found) == pytest.approx(total / 3, rel=1e-9)


def test_a_centre_moves_to_what_the_teacher_says_on_average():
    teacher, centre = scores(2, 3, 5), scores(5, seed=1)
    want = [0.9 * float(c) + 0.1 * float(teacher[..., k].mean()) for k, c in enumerate(centre)]
    assert moved_centre(centre, teacher, 0.9).tolist() == pytest.approx(want)


def test_patches_are_pixels_and_back_and_hidden_ones_are_judged_alone():
    pictures = torch.rand(2, 3, 8, 8, generator=generator())
    patches = patches_of(pictures, 4)
    assert torch.equal(patches[1, 2], pictures[1, :, 4:, :4].flatten())
    assert torch.equal(pictures_of(patches, 4), pictures)
    said, hidden = patches.clone(), torch.tensor([[True, False, False, False]] * 2)
    said[:, 0] += 0.5
    said[:, 1] += 9.0
    assert float(mae_loss(said, patches, hidden)) == pytest.approx(0.25)
    # A picture that is one patch has none to hide.
    assert float(mae_loss(said, patches, torch.zeros_like(hidden))) == 0.0


def test_low_and_high_frequencies_count_alike():
    """The equation in float64, written out; an error of a band's own size counts 1/2, whichever band it is of."""
    pictures = torch.randn(2, 3, 8, 8, generator=generator(), dtype=torch.float64)
    assert float(fourier_loss(pictures, pictures)) == 0.0
    said = pictures + torch.randn(pictures.shape, generator=generator(1), dtype=torch.float64)
    cycles = [0, 1, 2, 3, -4, -3, -2, -1]
    turn = (
        torch.tensor([[-2j * math.pi * u * x / 8 for x in range(8)] for u in cycles]).exp().to(torch.complex128)
        / 8**0.5
    )
    bands = {True: ([], []), False: ([], [])}
    for wanted, missed in (((turn @ p.to(turn) @ turn.T), (turn @ (s - p).to(turn) @ turn.T))
                           for p, s in zip(pictures.flatten(0, 1), said.flatten(0, 1), strict=True)):  # fmt: skip
        for i, u in enumerate(cycles):
            for j, v in enumerate(cycles):
                low = math.hypot(u / 8, v / 8) <= 0.25
                bands[low][0].append(float(missed[i, j].abs()))
                bands[low][1].append(float(wanted[i, j].abs()))
    want = sum(sum(missed) / sum(wanted) for missed, wanted in bands.values()) / 2
    assert float(fourier_loss(said, pictures)) == pytest.approx(want, rel=1e-6)
    # Not the error of pixels once more: as large an error of pixels counts more where there was little.
    x = torch.arange(8) * 2 * math.pi / 8
    smooth, rough = x.sin().expand(1, 3, 8, 8), (4 * x).cos().expand(1, 3, 8, 8) * 0.01
    whole = smooth + rough
    assert float(fourier_loss(whole + rough, whole)) == pytest.approx(0.5, abs=1e-3)
    assert float(fourier_loss(whole + smooth, whole)) == pytest.approx(0.5, abs=1e-3)


def test_blocks_of_whole_patches_are_hidden_in_every_other_picture():
    for grid in (3, 12):
        hidden = hidden_blocks(20, grid, 0.1, 0.5, generator()).unflatten(1, (grid, grid))
        assert not hidden[1::2].any()
        for each in hidden[::2]:
            rows, columns = each.any(1), each.any(0)
            assert torch.equal(each, rows[:, None] & columns)
            assert 0 < int(each.sum()) <= 0.75 * grid**2
    kept = kept_patches(4, 16, 0.25, generator())
    assert kept.shape == (4, 4)
    assert all(len(set(row.tolist())) == 4 for row in kept)
    assert kept_patches(4, 2, 0.25, generator()).shape == (4, 1)


@torch.inference_mode()
def test_what_is_hidden_is_not_seen():
    """iBOT's hidden patches and those that MAE leaves out change nothing; a patch that is seen does."""
    encoder = shaken(lambda: Encoder(SMALL))
    pixels = torch.randn(1, 3, 16, 16, generator=generator())
    other = pixels.clone()
    other[..., :4, 4:8] += 3.0
    hidden = torch.zeros(1, 16, dtype=torch.bool)
    hidden[0, 1] = True
    assert torch.equal(encoder(pixels, 4, hidden=hidden), encoder(other, 4, hidden=hidden))
    assert not torch.allclose(encoder(pixels, 4), encoder(other, 4), atol=1e-3)
    kept = torch.tensor([[5, 0, 9]])
    assert torch.equal(encoder(pixels, 4, kept=kept), encoder(other, 4, kept=kept))
    # Those that are kept stand where they stood: with all kept, in another order, tokens are the same.
    order = torch.randperm(16, generator=generator())[None]
    assert torch.allclose(encoder(pixels, 4, kept=order)[0, 1:], encoder(pixels, 4)[0, 1:][order[0]], atol=1e-5)


@torch.inference_mode()
def test_a_decoder_paints_patches_of_every_size():
    decoder = shaken(lambda: Decoder(16, 2, 16, SMALL.grid, 16))
    for patch in (4, 8, 16):
        tokens = torch.randn(2, 2, 16, generator=generator())
        found = decoder(tokens, torch.zeros(2, 1, dtype=torch.long), patch, 16 // patch)
        assert found.shape == (2, (16 // patch) ** 2, 3 * patch**2)


def test_views_are_parts_of_the_tile_and_steps_are_the_same_again():
    slides = torch.randint(256, (2, 3, 192, 200), generator=generator(), dtype=torch.uint8)
    tiles = drawn_tiles(slides, (96, 192), 4, generator())
    assert tiles.shape == (4, 3, 64, 64)
    found = view(tiles, Crop(16, 0.3, 0.6), generator())
    assert found.shape == (4, 3, 16, 16)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    one, two = (Pretraining(SMALL, QUICK, seed=3) for _ in range(2))
    assert torch.equal(one.step(tiles, 8, 0.0), two.step(tiles, 8, 0.0))
    first = {name: value.clone() for name, value in one.teacher.state_dict().items()}
    losses = one.step(tiles, 4, 0.5)
    assert len(losses) == 4
    assert bool(losses.isfinite().all())
    assert not any(parameter.requires_grad for parameter in one.teacher.parameters())
    # The teacher follows at (1 − following) (1 + cos) / 2: a fortieth of the way in the middle of the training.
    for name, value in one.student.named_parameters():
        want = first[name].lerp(value.detach(), 0.05 / 2)
        assert torch.allclose(one.teacher.state_dict()[name], want, atol=1e-6)


def test_a_collapsed_teacher_is_told_by_its_centre():
    """A teacher that says the same of every picture says nothing at all once that is its centre."""
    same = scores(5).expand(4, 5)
    centre = moved_centre(torch.zeros(5).double(), same, 0.0)
    target = centred_targets(same, centre, TEMPERATURES[1])
    found = dino_loss([torch.zeros(4, 5).double()] * 2, [target, target], TEMPERATURES[0])
    assert float(found) == pytest.approx(math.log(5))


def test_balanced_targets_are_the_steps_written_out_and_no_prototype_has_all():
    teacher = scores(6, 4)
    # All pictures ask for the first prototype, of which there is not enough for all.
    teacher[:, 0] += 2.0
    table = [[math.exp(value / 0.1) for value in row] for row in teacher.tolist()]
    for _ in range(3):
        columns = [sum(row[k] for row in table) for k in range(4)]
        table = [[value / total for value, total in zip(row, columns, strict=True)] for row in table]
        table = [[value / sum(row) for value in row] for row in table]
    found = balanced_targets(teacher, 0.1)
    assert found.flatten().tolist() == pytest.approx([value for row in table for value in row], rel=1e-9)
    assert found.sum(1).tolist() == pytest.approx([1.0] * 6)
    assert float(found.sum(0).max()) < 3 < 5 < float(torch.softmax(teacher / 0.1, 1).sum(0).max())
    assert balanced_targets(torch.zeros(0, 4), 0.1).shape == (0, 4)


def test_a_linear_head_is_the_same_of_features_of_any_scale():
    features = torch.randn(60, 3, generator=generator())
    classes = (features[:, 0] > 0).long() + (features[:, 1] > 1).long()
    one, two = (torch.nn.Linear(3, 3) for _ in range(2))
    fit_linear(one, features, classes)
    moved = features * torch.tensor([0.01, 5.0, 100.0]) + 7
    fit_linear(two, moved, classes)
    assert torch.allclose(one(features), two(moved), atol=1e-2)
    assert float((one(features).argmax(1) == classes).float().mean()) > 0.9


def test_a_slide_is_the_sum_of_what_its_tiles_add():
    head = shaken(lambda: SlideHead(6, 4, 2, "additive"))
    head.mean, head.deviation = torch.randn(6, generator=generator()), torch.full((6,), 2.0)
    tiles = torch.randn(5, 6, generator=generator(1))
    # Equation 4, written out, with T times the weights: Σ_i f(T a_i x_i) / T.
    x = (tiles - head.mean) / head.deviation
    weights = torch.softmax(torch.stack([head.weight(torch.tanh(head.seen(each)))[0] for each in x]), 0)
    want = sum(head.scores(torch.tanh(head.first(5 * w * each))) / 5 for w, each in zip(weights, x, strict=True))
    assert torch.allclose(head(tiles), want, atol=1e-5)
    assert torch.allclose(head.added(tiles).sum(0), head(tiles))
    assert torch.allclose(head(tiles[torch.randperm(5, generator=generator())]), head(tiles), atol=1e-5)
    mean = SlideHead(6, 4, 2, "mean")
    assert torch.allclose(mean(tiles), mean.scores(torch.tanh(mean.first(tiles.mean(0)))), atol=1e-6)


def test_one_tile_of_many_is_found_without_labels_of_tiles():
    """Bags of noise, of which half have one tile that is marked."""
    tiles = torch.randn(80, 12, 6, generator=generator())
    answers = torch.arange(80) % 2
    tiles[answers == 0, 3, 0] += 6.0
    head = fit_slide(replace(SMALL, attention=16), "additive", tiles, answers, seed=0, steps=100)
    found = head(tiles).detach()
    assert ranked_right(found[:, 0] - found[:, 1], answers == 0) > 0.95
    assert float((head.added(tiles[answers == 0])[..., 0].argmax(1) == 3).float().mean()) > 0.8


def test_ranks_are_counted_with_ties_by_half():
    scores_, happened = torch.tensor([0.3, 0.1, 0.3, 0.9]), torch.tensor([1, 0, 0, 1])
    assert ranked_right(scores_, happened) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert ranked_right(scores_, torch.ones(4)) == 0.5


def test_tiles_cover_a_slide():
    assert places(480, 128) == [0, 117, 235, 352]
    assert places(128, 128) == [0]
    assert places(7, 128) == [0]
    pixels = torch.rand(3, 40, 70, generator=generator())
    found = grid_tiles(pixels, 32, 32)
    assert len(found) == 2 * 3
    assert torch.equal(found[-1], pixels[:, 8:, 38:])
    assert grid_tiles(pixels[:1], 50, 16).shape == (2, 3, 16, 16)


def slide(*cells, side=96):
    return Slide("s", Image(torch.rand(3, side, side, generator=generator())), tuple(cells))


def test_a_patch_lies_in_the_smallest_box_around_its_middle():
    one = slide(Cell("white cell", (0, 0, 48, 96)), Cell("platelet", (0, 0, 24, 24)))
    found = patch_classes(one, 96, 16, 4)[0].unflatten(0, (4, 4))
    white, platelet = LABELS.index("white cell"), LABELS.index("platelet")
    assert found.tolist() == [[platelet, white, NOTHING, NOTHING], *[[white, white, NOTHING, NOTHING]] * 3]


def test_tiles_are_around_cells_and_colours_are_counted():
    one = slide(Cell("red cell", (0, 0, 20, 20)), Cell("platelet", (180, 180, 190, 190)), side=200)
    tiles, classes = cell_tiles([one], 96, 96, most=5, generator=generator())
    assert classes.tolist() == [LABELS.index("red cell"), LABELS.index("platelet")]
    assert torch.equal(tiles[0], one.image.pixels[:, :96, :96])
    assert torch.equal(tiles[1], one.image.pixels[:, 104:, 104:])
    shares = colour_shares(tiles)
    assert shares.shape == (2, 48)
    assert shares.sum(1).tolist() == pytest.approx([3.0, 3.0])
    assert torch.equal(grey(tiles)[:, 0], grey(tiles)[:, 2])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"patches": (5,)}, "each patch divides the side 16"),
        ({"kernel": 5}, "multiple of the kernel"),
        ({"heads": 3}, "width of heads"),
        ({"resizing": "plain"}, "resizing is pseudo_inverse or bilinear"),
        ({"pool": "max"}, "pool additive or mean"),
        ({"labels": ("a",)}, "two labels or more"),
        ({"deviation": (0.5, 0.5, 0.0)}, "deviation have three numbers"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(SMALL, **changes)


def test_everything_that_an_agent_says_says_that_it_is_not_for_clinical_use(tmp_path):
    made = small_pluto(tmp_path)
    picture = (Image(torch.rand(3, 40, 64, generator=generator())),)
    cell = create_belief_backend("pluto", **made)
    (belief,) = cell.believe([Question("case", "?", picture)])
    assert belief.labels == THINGS
    assert belief.grounds == f"One tile, patches of 8 pixels. A blood smear, cytology and no tissue. {NOT_CLINICAL}"
    whole = create_belief_backend("pluto", **made, about="slide")
    (belief,) = whole.believe([Question("case", "?", picture, ("yes", "no"))])
    assert belief.labels == ("yes", "no")
    assert belief.grounds.startswith("4 tiles, patches of 8 pixels; most is added by the one in row ")
    assert belief.grounds.endswith(NOT_CLINICAL)
    assert cell.template.startswith(NOT_CLINICAL)
    assert NOT_CLINICAL[:-1] in card("pluto").note
    # Temperatures are those of what it is about and of its patch.
    assert (cell.temperature, whole.temperature) == (0.7, 0.5)
    assert create_belief_backend("pluto", **made, patch=4).temperature == 1.0
    assert create_belief_backend("pluto", **made, temperature=2.0).temperature == 2.0


def test_an_agent_sees_its_own_share_of_a_slide(tmp_path):
    made = small_pluto(tmp_path)
    pixels = torch.rand(3, 64, 96, generator=generator())
    other = pixels.clone()
    # The second of six tiles, which the agent of the odd ones sees and the other does not.
    other[:, :32, 32:64] = 0.0
    asked = [Question("case", "?", (Image(each),), ("yes", "no")) for each in (pixels, other)]
    even, odd = (create_belief_backend("pluto", **made, about="slide", share=[i, 2]).believe(asked) for i in range(2))
    assert even[0] == even[1]
    assert odd[0].probabilities != odd[1].probabilities
    backend = create_belief_backend("pluto", **made, about="slide")
    found = backend.patch_beliefs(Image(pixels))
    assert found.shape == (6, 4, len(THINGS) + 1)
    assert torch.allclose(found.sum(-1), torch.ones(6, 4).double())


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"about": "tissue"}, UnknownName, "cell, slide"),
        ({"patch": 5}, ConfigError, "patches of 4, 8, 16 pixels; got 5"),
        ({"about": "slide", "share": [2, 2]}, ConfigError, "0 <= i < n; got"),
        ({"share": [0, 2]}, ConfigError, "set about: slide"),
    ],
)
def test_options_that_do_not_fit_are_sentences(tmp_path, options, error, sentence):
    with pytest.raises(error, match=sentence):
        create_belief_backend("pluto", **small_pluto(tmp_path), **options)
    with pytest.raises(ModelError, match="ships no weights"):
        create_belief_backend("pluto")


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    pytest.importorskip("PIL")
    return smears(tmp_path_factory.mktemp("smears"))


def test_slides_are_read_with_their_cells(slides):
    train = read_slides(slides, "train")
    assert [each.name for each in train] == ["BloodImage_00000", "BloodImage_00001", "BloodImage_00002"]
    assert [each.has_platelets for each in train] == [True, False, True]
    assert train[0].cells[0].box == (30, 30, 110, 110)
    assert not {each.name for each in train} & {each.name for each in read_slides(slides, "test")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"<annotation><object><name>Tree</name></object></annotation>", "not an annotation of cells"),
        (b"<annotation><object><name>RBC</name></object></annotation>", "not an annotation of cells"),
        (b"spam", "not an annotation of cells"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "declares a document type"),
    ],
)
def test_another_annotation_is_a_sentence(text, sentence):
    with pytest.raises(ModelError, match=sentence):
        bccd._cells(text, (200, 192), "x.xml")


def test_a_box_without_pixels_is_no_cell():
    box = "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(bccd.EDGES, (5, 5, 5, 90), strict=True))
    text = f"<annotation><object><name>RBC</name><bndbox>{box}</bndbox></object></annotation>"
    assert bccd._cells(text.encode(), (200, 192), "x.xml") == ()


def test_a_slide_is_in_one_split(slides, tmp_path):
    for name in ("images.zip", "annotations.zip", "val.txt", "test.txt"):
        (tmp_path / name).write_bytes((slides / name).read_bytes())
    (tmp_path / "train.txt").write_text("BloodImage_00000\nBloodImage_00020\n")
    with pytest.raises(ModelError, match="BloodImage_00020 is listed twice; a slide is in one split"):
        read_slides(tmp_path, "train")
    (tmp_path / "train.txt").write_text("BloodImage_00000\nBloodImage_00077\n")
    with pytest.raises(ModelError, match=r"there is no BloodImage_00077\.jpg"):
        read_slides(tmp_path, "train")
    (tmp_path / "train.txt").write_text("")
    with pytest.raises(ModelError, match="it lists no slide"):
        read_slides(tmp_path, "train")
    with pytest.raises(ModelError, match=r"give --data with images\.zip"):
        read_slides(None, "train")


def test_the_recipe_teaches_fits_heads_and_claims(slides, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SIZES", SMALL)
    monkeypatch.setattr(training, "ONE_SIZE", replace(SMALL, patches=(8,)))
    monkeypatch.setattr(training, "RECIPE", QUICK)
    said = []
    found = training.claims(tmp_path, seeds=1, data=slides, progress=said.append)
    assert [claim.text for claim in found] == list(training.ASKED)
    assert all(0 <= abs(figure) <= 1 for claim in found for figure in (*claim.ours, *claim.baseline))
    assert len(list(tmp_path.glob(f"*/{CONFIG}"))) == 2
    assert "slide/16" in (tmp_path / "calibration.md").read_text()
    agent = create_belief_backend("pluto", checkpoint=str(tmp_path / "pluto-0"), patch=16, about="slide")
    assert "slide/16" in agent.temperatures
    (belief,) = agent.believe([Question("case", "?", (Image(torch.rand(3, 192, 200, generator=generator())),))])
    assert belief.labels == ("yes", "no")
    # What is there is not taught again, and comes to the same.
    monkeypatch.setattr(training, "pretrained", None)
    assert training.claims(tmp_path, seeds=1, data=slides) == found


def test_tiles_are_what_an_agent_sees_of_a_window(tmp_path):
    """A picture of a cell is scored as the tile that heads were fitted on."""
    backend = create_belief_backend("pluto", **small_pluto(tmp_path))
    window = torch.rand(1, 3, 96, 96, generator=generator())
    tile = torch.nn.functional.interpolate(window, size=(16, 16), mode="bicubic", antialias=True).clamp(0, 1)
    want = backend.model(standardised(tile, backend.config))[0]
    with torch.inference_mode():
        assert torch.allclose(backend.class_scores(Image(window[0])), want, atol=1e-5)
    assert isinstance(backend.model, PLUTO)
