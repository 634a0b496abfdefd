"""What agents that see share: a picture as a model takes it, questions about some classes, the recipe and its calibration."""

import io
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.official_passt import official as passt
from support.official_pictures import crossvit, tnt
from support.random_models import generator
from support.small_data import things
from support.small_picture_models import THINGS, small_crossvit, small_tnt

from agents.beliefs.cards import create_belief_backend
from agents.errors import ModelError, ObservationError
from agents.models.checkpoint import CONFIG, WEIGHTS
from agents.models.crossvit import training as crossvit_training
from agents.models.crossvit.backend import CrossViTBackend
from agents.models.crossvit.config import CrossViTConfig
from agents.models.crossvit.model import CrossViT
from agents.models.passt.official import from_official as read_passt
from agents.models.tnt import training as tnt_training
from agents.models.tnt.backend import TNTBackend
from agents.models.tnt.config import TNTConfig
from agents.models.vision import cifar10, training
from agents.models.vision.cifar10 import divided, read_cifar10, stacked
from agents.models.vision.label_names import labels_of
from agents.models.vision.measures import calibration_error, fitted_temperature
from agents.models.vision.pixels import prepared
from agents.models.vision.resumption import FILE
from agents.models.vision.training import Recipe, changed, train
from agents.observation import Image
from agents.question import Question

TINY = CrossViTConfig(THINGS, widths=(4, 8), depths=(1, 1), hidden=(4, 8), stages=1, heads=1)
RECIPE = Recipe(epochs=3, batch=10)
OFFICIAL = {
    "crossvit": (CrossViTBackend.published, crossvit),
    "tnt": (TNTBackend.published, tnt),
    "passt": (read_passt, lambda: passt(64, 2, 12, 99, 3)),
}


def config(side=16, crop=1.0):
    return TNTConfig(("a", "b"), side=side, crop=crop)


def test_a_picture_becomes_the_square_in_its_middle():
    square = torch.rand(3, 16, 16, generator=generator())
    assert torch.allclose(prepared(square, config()), 2 * square - 1)
    wide = torch.zeros(3, 16, 40)
    wide[:, :, 12:28] = square
    assert torch.allclose(prepared(wide, config()), 2 * square - 1)
    # One channel is every colour.
    assert torch.equal(prepared(square[:1], config()), prepared(square[:1].expand(3, -1, -1), config()))
    # Halved, and the margin of a fifth cut off.
    ramp = torch.linspace(0, 1, 40).expand(3, 40, 40)
    found = prepared(ramp, config(crop=0.8))
    assert found.shape == (3, 16, 16)
    assert found[0, 0].tolist() == pytest.approx((2 * ramp[0, 0].reshape(20, 2).mean(1)[2:18] - 1).tolist(), abs=5e-3)


@pytest.mark.parametrize(("name", "prepare"), [("crossvit", small_crossvit), ("tnt", small_tnt)])
def test_a_belief_about_some_classes_is_that_about_all_given_that_it_is_one_of_them(tmp_path, name, prepare):
    backend = create_belief_backend(name, **prepare(tmp_path))
    picture = Image(torch.rand(3, 16, 16, generator=generator()))
    everything, few = backend.believe(
        [Question("all", "?", (picture,)), Question("few", "?", (picture,), ("A", "B"), ("ship", "cat"))]
    )
    known = dict(zip(everything.labels, everything.probabilities, strict=True))
    assert few.labels == ("A", "B")
    share = known["ship"] / (known["ship"] + known["cat"])
    assert few.probabilities == pytest.approx((share, 1 - share))


def asked(backend, *options, id="few"):
    picture = Image(torch.rand(3, 16, 16, generator=generator()))
    letters = tuple("ABCD"[: len(options)])
    (belief,) = backend.believe([Question(id, "?", (picture,), letters, options)])
    return belief


def test_options_are_classes_in_any_case_and_white_space(tmp_path, caplog):
    names = ("Great  Dane", "tabby", "crane", "Crane")
    backend = create_belief_backend("tnt", **small_tnt(tmp_path, labels=names))
    want = asked(backend, "Great  Dane", "tabby")
    assert want.labels == ("A", "B")
    assert asked(backend, "great dane", " TABBY ") == want
    # Each is itself, and no other.
    assert asked(backend, "crane", "Crane").labels == ("A", "B")
    assert asked(backend, "crane", "Crane").probabilities != asked(backend, "Crane", "crane").probabilities
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("tabby", "CRANE"), "the option 'CRANE' is none of its classes"),
        (("tabby", "a boat"), "the option 'a boat' is none of its classes"),
        (("tabby", "Tabby"), "two options are one class"),
    ],
)
def test_options_that_are_classes_in_part_are_told_of_once(tmp_path, caplog, options, reason):
    names = ("tabby", "crane", "Crane")
    backend = create_belief_backend("tnt", **small_tnt(tmp_path, labels=names))
    assert asked(backend, *options).labels == names
    assert [
        f"question few: {reason}, so that its belief is over all 3 classes" in each for each in caplog.messages
    ] == [True]
    asked(backend, *options, id="next")
    assert len(caplog.messages) == 1


def test_options_none_of_which_is_a_class_are_nothing_to_tell_of(tmp_path, caplog):
    """As of a question in words, which other agents of the debate are asked."""
    backend = create_belief_backend("tnt", **small_tnt(tmp_path))
    assert asked(backend, "yes", "no").labels == THINGS
    assert caplog.messages == []


@pytest.mark.parametrize(("name", "prepare"), [("crossvit", small_crossvit), ("tnt", small_tnt)])
def test_weights_of_our_own_are_never_read_as_a_published_file(tmp_path, name, prepare):
    """Neither beside their config, which says other heads and colours, nor carried elsewhere."""
    folder = Path(prepare(tmp_path / "ours")["checkpoint"])
    with pytest.raises(ModelError, match=f"beside it lies the config.json of a model .* checkpoint: {folder}$"):
        create_belief_backend(name, checkpoint=str(folder / WEIGHTS))
    shutil.copy(folder / WEIGHTS, tmp_path / "alone.safetensors")
    with pytest.raises(ModelError, match=r"alone.safetensors is no official .*: no published model has"):
        create_belief_backend(name, checkpoint=str(tmp_path / "alone.safetensors"))


@pytest.mark.parametrize(("name", "made"), [("crossvit", crossvit), ("tnt", tnt)])
def test_the_config_of_the_hub_beside_a_published_file_is_no_hindrance(tmp_path, name, made):
    save_file(made(), tmp_path / WEIGHTS)
    (tmp_path / CONFIG).write_text('{"architecture": "x", "num_classes": 5, "pretrained_cfg": {"crop_pct": 0.9}}')
    assert len(create_belief_backend(name, checkpoint=str(tmp_path / WEIGHTS)).config.labels) == 5


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("crossvit", {"widths": (48, 96)}),
        ("crossvit", {"widths": (64, 96)}),
        ("crossvit", {"sides": (228, 224)}),
        ("tnt", {"width": 96}),
        ("tnt", {"inner": 6}),
        ("tnt", {"side": 384}),
    ],
)
def test_sizes_that_no_published_model_has_are_refused(tmp_path, name, weights):
    save_file({"crossvit": crossvit, "tnt": tnt}[name](**weights), tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="no published model has|published models are a multiple of"):
        create_belief_backend(name, checkpoint=str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize(
    ("stray", "sentence"),
    [
        ("blocks.20000.x", "at most 32 blocks are built"),
        (f"blocks.{'9' * 5000}.x", "no official "),
        ("blocks.7.x", r"and none blocks\.2\."),
        ("blocks.2.x", r"it has no tensor blocks\.2\."),
        ("spam", "it has a tensor spam, which is none of the model's"),
    ],
)
@pytest.mark.parametrize("name", OFFICIAL)
def test_a_stray_tensor_builds_no_blocks(tmp_path, monkeypatch, name, stray, sentence):
    """One name does not make a model of 20,000 blocks: not one parameter is made of what does not fit."""
    read, made = OFFICIAL[name]
    torch.save(made() | {stray: torch.zeros(1)}, tmp_path / "x.pt")
    made_of = []
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda x, **_: made_of.append(x.device.type) or x)
    with pytest.raises(ModelError, match=sentence):
        read(tmp_path / "x.pt")
    assert set(made_of) <= {"meta"}


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_tensor_of_another_shape_makes_no_model(tmp_path, monkeypatch, name):
    """A class token of 100,000 numbers is 400 kB; layers of that width would be many GB."""
    read, made = OFFICIAL[name]
    weights = made()
    last = max(key for key in weights if key.endswith(("norm2.weight", "norm_mlp.weight")))
    weights[last] = torch.zeros(7)
    torch.save(weights, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=rf"{last} is \(7,\), and \(\d+,\) by its other tensors"):
        read(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tensor: tensor.index_fill(0, torch.tensor([0]), torch.nan), "holds what is no number"),
        (lambda tensor: tensor.index_fill(0, torch.tensor([0]), -torch.inf), "holds what is no number"),
        (lambda tensor: (50 * tensor).to(torch.int8), "is of int8, and the model's is of real numbers; give it unquantised"),
        (lambda tensor: tensor.to(torch.complex64), "is of complex64, and the model's is of real numbers"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", OFFICIAL)
def test_weights_that_are_no_real_numbers_are_refused(tmp_path, name, change, sentence):
    """Integers without their scales are other weights; a bias of minus infinity takes a class away."""
    read, made = OFFICIAL[name]
    weights = made()
    last = max(key for key in weights if re.fullmatch(r"head(\.\d)?\.bias", key))
    torch.save(weights | {last: change(weights[last])}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=f"its tensor {last} {sentence}"):
        read(tmp_path / "x.pt")
    # Half precision is a number all the same.
    torch.save({key: value.half() for key, value in weights.items()}, tmp_path / "x.pt")
    found = read(tmp_path / "x.pt").state_dict()[last]
    assert torch.allclose(found, weights[last], atol=1e-2)
    assert found.dtype == torch.float32


def test_integers_in_a_folder_are_no_weights(tmp_path):
    folder = Path(small_tnt(tmp_path)["checkpoint"])
    weights = load_file(folder / WEIGHTS)
    save_file({name: (50 * tensor).to(torch.int8) for name, tensor in weights.items()}, folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"no TNT in .* is of int8, and the model's is of real numbers"):
        create_belief_backend("tnt", checkpoint=str(folder))


def test_scores_of_classes_that_are_true_at_once(tmp_path):
    options = {**small_tnt(tmp_path), "temperature": 1.0}
    picture = Image(torch.rand(3, 16, 16, generator=generator()))
    backend = create_belief_backend("tnt", **options, scores="sigmoid")
    with torch.inference_mode():
        weights = torch.sigmoid(backend.class_scores(picture).double())
    (belief,) = backend.believe([Question("case", "?", (picture,))])
    assert belief.probabilities == pytest.approx((weights / weights.sum()).tolist())


def test_calibration_error_is_the_plain_one():
    scores = 3 * torch.randn(400, 4, generator=generator())
    classes = torch.randint(4, (400,), generator=generator(1))
    bins = [[] for _ in range(10)]
    for row, right in zip(torch.softmax(scores.double() / 1.7, 1).tolist(), classes.tolist(), strict=True):
        bins[min(int(10 * max(row)), 9)].append((max(row), row.index(max(row)) == right))
    want = sum(abs(sum(c for c, _ in each) - sum(r for _, r in each)) for each in bins) / 400
    assert calibration_error(scores, classes, 1.7) == pytest.approx(want)


def test_a_fitted_temperature_undoes_a_wrong_one():
    """Labels drawn from softmax(x), scores of 2.5 x: the fitted temperature is near 2.5, and the error goes away."""
    x = 2 * torch.randn(6000, 5, generator=generator())
    classes = torch.multinomial(torch.softmax(x, 1), 1, generator=generator(1))[:, 0]
    fitted = fitted_temperature(2.5 * x, classes)
    assert fitted == pytest.approx(2.5, rel=0.08)
    assert calibration_error(2.5 * x, classes, fitted) < 0.02 < calibration_error(2.5 * x, classes)


def test_pictures_are_flipped_and_shifted_and_nothing_else():
    picture = torch.rand(1, 3, 8, 8, generator=generator())
    found = changed(picture.expand(200, -1, -1, -1), generator())
    room = torch.nn.functional.pad(picture, (4, 4, 4, 4), mode="reflect")[0]
    windows = [room[:, d : d + 8, r : r + 8] for d in range(9) for r in range(9)]
    # The flipped picture's room is the room flipped.
    allowed = torch.stack([*windows, *(window.flip(2) for window in windows)])
    assert all((allowed == each).flatten(1).all(1).any() for each in found)
    assert len(found.flatten(1).unique(dim=0)) > 50


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    pytest.importorskip("PIL")
    return things(tmp_path_factory.mktemp("things"), each=10)


def test_the_files_are_read_by_class_and_divided(pictures):
    found = read_cifar10(pictures, "train")
    assert len(found) == 100
    assert [each.name for each in found[:2]] == ["airplane/0000", "airplane/0001"]
    to_train, held = divided(found)
    assert (len(to_train), [each.name for each in held[:2]]) == (90, ["airplane/0009", "automobile/0009"])
    pixels, classes = stacked(held)
    assert pixels.shape == (10, 3, 32, 32)
    assert classes.tolist() == list(range(10))


def test_a_training_that_was_stopped_comes_to_the_same_bits(pictures, tmp_path):
    pixels, classes = stacked(read_cifar10(pictures, "train"))

    def trained(folder, progress=lambda _: None):
        torch.manual_seed(0)
        return train(CrossViT(TINY), pixels, classes, RECIPE, seed=1, folder=folder, progress=progress).state_dict()

    def stop(said):
        if said.startswith("epoch 2"):
            raise KeyboardInterrupt

    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", stop)
    said = []
    again = trained(tmp_path / "stopped", said.append)
    assert [line.split(":")[0] for line in said] == ["epoch 3 of 3"]
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    with pytest.raises(ModelError, match="is of another training: .*remove it to begin anew"):
        train(CrossViT(TINY), pixels, classes, RECIPE, seed=2, folder=tmp_path / "stopped", progress=lambda _: None)
    # As many pictures, one of which is another or called something else.
    other, called = pixels.clone(), classes.clone()
    other[3, 1, 2, 2] = 1 - other[3, 1, 2, 2] + 0.01
    called[3] += 1
    for changed_pixels, changed_classes in ((other, classes), (pixels, called), (pixels.flip(0), classes.flip(0))):
        with pytest.raises(ModelError, match="is of another training"):
            train(CrossViT(TINY), changed_pixels, changed_classes, RECIPE, seed=1, folder=tmp_path / "stopped",
                  progress=lambda _: None)  # fmt: skip
    (tmp_path / "stopped" / FILE).write_bytes(b"spam")
    with pytest.raises(ModelError, match="cannot go on with"):
        trained(tmp_path / "stopped")


@pytest.mark.parametrize("recipes", [crossvit_training, tnt_training], ids=["crossvit", "tnt"])
def test_the_recipe_trains_calibrates_and_claims(pictures, tmp_path, monkeypatch, recipes):
    sizes = (
        TINY
        if recipes is crossvit_training
        else TNTConfig(THINGS, width=8, depth=1, heads=1, inner_width=4, inner_heads=1)
    )
    monkeypatch.setattr(recipes, "SIZES", sizes)
    monkeypatch.setattr(recipes, "RECIPE", Recipe(epochs=1, batch=45))
    said = []
    found = recipes.claims(tmp_path, seeds=2, data=pictures, progress=said.append)
    assert [len(claim.ours) for claim in found] == [2, 2]
    assert all(0 <= share <= 1 for share in (*found[0].ours, *found[0].baseline))
    assert len(list(tmp_path.glob(f"*/{CONFIG}"))) == 4
    assert not list(tmp_path.glob(f"*/{FILE}"))
    assert sum("calibration error" in line for line in said) == 4
    # What is there is not trained again.
    monkeypatch.setattr(training, "train", None)
    assert recipes.claims(tmp_path, seeds=2, data=pictures) == found


def test_other_files_are_sentences(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    with pytest.raises(ModelError, match="the pictures are not there: give --data"):
        read_cifar10(None, "test")
    (tmp_path / "test.zip").write_bytes(b"spam")
    with pytest.raises(ModelError, match="cannot read .*test.zip: File is not a zip file"):
        read_cifar10(tmp_path, "test")

    def picture(size):
        from PIL import Image as Pillow

        file = io.BytesIO()
        Pillow.new("RGB", size).save(file, "PNG")
        return file.getvalue()

    def written(name, size):
        with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
            archive.writestr(name, picture(size))
        return len(picture(size))

    written("../castle/1.png", (32, 32))
    with pytest.raises(ModelError, match="lies in a folder that is named after its class"):
        read_cifar10(tmp_path, "test")
    written("cat/1.png", (31, 32))
    with pytest.raises(ModelError, match="32 x 32 pixels"):
        read_cifar10(tmp_path, "test")
    size = written("cat/1.png", (32, 32))
    monkeypatch.setattr(cifar10, "LARGEST_PICTURE", size - 1)
    with pytest.raises(ModelError, match="bytes, and .* are allowed"):
        read_cifar10(tmp_path, "test")
    monkeypatch.undo()
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        for name in ("cat/1.png", "x/cat/1.png"):
            archive.writestr(name, picture((32, 32)))
    with pytest.raises(ModelError, match="two pictures are cat/1;"):
        read_cifar10(tmp_path, "test")
    written("cat/1.txt", (32, 32))
    with pytest.raises(ModelError, match="no .jpg, .jpeg, .png in it"):
        read_cifar10(tmp_path, "test")


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_a_sentence(tmp_path, packed):
    """Every byte of what is packed, one at a time, is another."""
    pytest.importorskip("PIL")
    name = "cat/1.png"
    with zipfile.ZipFile(tmp_path / "test.zip", "w", packed) as archive:
        archive.writestr(name, bytes(range(40)) * 3)
        size = archive.infolist()[0].compress_size
    whole = (tmp_path / "test.zip").read_bytes()
    begin = 30 + len(name)
    for place in range(begin, begin + size):
        blob = bytearray(whole)
        blob[place] ^= 0xFF
        (tmp_path / "test.zip").write_bytes(blob)
        # Nothing of it is a picture either, where it is unpacked all the same.
        with pytest.raises((ModelError, ObservationError), match="cannot read .*test.zip|not a picture"):
            read_cifar10(tmp_path, "test")


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize("blob", [b"", b"junk", b"\x80", b"....", b"\x80\x02J\x01", b"PK\x03\x04junk"])
def test_damaged_files_of_torch_are_sentences(tmp_path, name, blob):
    (tmp_path / "x.pt").write_bytes(blob)
    with pytest.raises(ModelError, match=r"x\.pt is no official "):
        OFFICIAL[name][0](tmp_path / "x.pt")


def test_any_bytes_of_a_file_of_torch_are_a_sentence(tmp_path):
    draw = generator(5)
    torch.save({"a": torch.zeros(3)}, tmp_path / "whole.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "whole.pt").read_bytes()
    for _ in range(300):
        blob = bytearray(whole)
        for _ in range(3):
            blob[int(torch.randint(len(blob), (1,), generator=draw))] = int(torch.randint(256, (1,), generator=draw))
        (tmp_path / "x.pt").write_bytes(blob)
        with pytest.raises(ModelError, match=r"x\.pt is no official "):
            TNTBackend.published(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("~nosuch/x", "cannot tell where ~nosuch/x is"),
        ("a\0b", r"cannot read the labels 'a\\x00b': embedded null byte"),
    ],
)
def test_labels_that_are_no_path_are_sentences(labels, sentence):
    with pytest.raises(ModelError, match=sentence):
        labels_of(2, labels)


@pytest.mark.parametrize("checkpoint", ["~nosuch/x", "~nosuch/x.pt", "a\0b", "a\0b.pt", "a\0b.safetensors"])
def test_checkpoints_that_are_no_path_are_sentences(checkpoint):
    with pytest.raises(ModelError):
        create_belief_backend("tnt", checkpoint=checkpoint)


def test_what_editors_put_before_a_text_is_no_part_of_a_name(tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufefftench\nshark\n".encode())
    assert labels_of(2, str(tmp_path / "names.txt")) == ("tench", "shark")
