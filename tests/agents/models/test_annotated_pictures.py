"""Pictures of which other files say what is where: places are the picture's, however it is stored, or it is refused."""

import io
import re
import zipfile

import pytest
import torch
from support.small_data import receipts, smears, streets

from agents.errors import ModelError, ObservationError
from agents.models.documents.pictures import picture_names, read_page
from agents.models.documents.receipts import read_receipts
from agents.models.pluto.bccd import read_slides
from agents.models.vision.camvid import read_camvid

pillow = pytest.importorskip("PIL.Image")


def rewritten(path, change, suffix):
    """Write an archive again with the files of a suffix changed."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, change(content) if name.endswith(suffix) else content)


def stored(change=lambda picture: picture, orientation=None):
    """Return a function of a picture file to one of the same kind, of a changed picture."""

    def of(blob):
        with pillow.open(io.BytesIO(blob)) as opened:
            kind, picture = opened.format, change(opened.copy())
        exif, file = pillow.Exif(), io.BytesIO()
        if orientation is not None:
            exif[0x0112] = orientation
        picture.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
        return file.getvalue()

    return of


def deep(picture):
    """Return a picture of classes in 16 bits a pixel."""
    return pillow.fromarray(torch.tensor(list(picture.tobytes())).reshape(picture.size[::-1]).to(torch.uint16).numpy())


def of_classes(blob, change):
    return stored(change)(blob) if pillow.open(io.BytesIO(blob)).mode == "L" else blob


def test_classes_of_a_large_frame_are_those_of_its_pixels(tmp_path):
    """None is added between two that are far apart, and none is moved."""
    (frame,) = read_camvid(streets(tmp_path, size=(1080, 1440)), "test")
    assert frame.classes.shape == frame.image.pixels.shape[1:] == (512, 683)
    assert set(frame.classes.flatten().tolist()) == {0, 1, 3, 5, 8, 11}
    corners = frame.classes[[0, 0, -1, -1, 256], [0, -1, 0, -1, 400]].tolist()
    assert corners == [11, 0, 3, 8, 1]


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda blob: of_classes(blob, deep), ModelError, "grey from 0 to 11 in 8 bits"),
        (lambda blob: of_classes(blob, lambda picture: picture.resize((24, 18))), ModelError, "24 x 18 pixels, and its frame"),
        (stored(orientation=3), ObservationError, r"shown turned \(orientation 3\)"),
    ],
)  # fmt: skip
def test_frames_whose_classes_cannot_be_told_are_refused(change, error, sentence, tmp_path):
    rewritten(streets(tmp_path) / "camvid_mini.zip", change, ".png")
    with pytest.raises(error, match=sentence):
        read_camvid(tmp_path, "test")


def test_cells_lie_where_they_are_in_a_slide_that_is_scaled_down(tmp_path):
    rewritten(smears(tmp_path) / "images.zip", stored(lambda picture: picture.resize((800, 768))), ".jpg")
    rewritten(
        tmp_path / "annotations.zip", lambda xml: re.sub(rb"\d+", lambda edge: b"%d" % (4 * int(edge[0])), xml), ".xml"
    )
    slide = read_slides(tmp_path, "train")[0]
    assert slide.image.pixels.shape == (3, 512, 533)
    white = next(cell for cell in slide.cells if cell.label == "white cell")
    assert white.box == (80, 80, 293, 293)
    middle = slide.image.pixels[:, round(white.middle[1]), round(white.middle[0])]
    assert (255 * middle).tolist() == pytest.approx([90, 60, 150], abs=6)


def sized(width, height):
    """Return a function of an annotation to one that tells its picture's size."""
    said = b"<annotation><size><width>%d</width><height>%d</height></size>" % (width, height)
    return lambda xml: xml.replace(b"<annotation>", said)


def swapped(xml):
    return re.sub(rb"<xmin>(\d+)</xmin>(.*?)<xmax>(\d+)<", rb"<xmin>\3</xmin>\2<xmax>\1<", xml)


def moved(xml):
    return xml.replace(b"<xmin>", b"<xmin>9").replace(b"<xmax>", b"<xmax>9")


@pytest.mark.parametrize(
    ("archive", "change", "error", "sentence"),
    [
        ("annotations.zip", swapped, ModelError, r"in the picture's 200 x 192 pixels; got \(110, 30, 30, 110\)"),
        ("annotations.zip", moved, ModelError, r"got \(930, 30, 9110, 110\)"),
        ("annotations.zip", sized(400, 384), ModelError, "of 400 x 384 pixels, and the picture has 200 x 192"),
        ("images.zip", stored(orientation=3), ObservationError, r"shown turned \(orientation 3\)"),
    ],
)
def test_boxes_that_are_none_of_the_slide_are_refused(archive, change, error, sentence, tmp_path):
    rewritten(smears(tmp_path) / archive, change, "")
    with pytest.raises(error, match=sentence):
        read_slides(tmp_path, "train")


def test_boxes_at_the_edge_are_cells_and_a_size_of_0_is_not_known(tmp_path):
    rewritten(
        smears(tmp_path) / "annotations.zip",
        lambda xml: sized(0, 0)(xml).replace(b"<ymin>30<", b"<ymin>-4<"),
        ".xml",
    )
    assert read_slides(tmp_path, "train")[0].cells[0].box == (30, -4, 110, 110)


def test_a_receipt_that_its_exif_turns_is_refused(tmp_path):
    archive = receipts(tmp_path, count=1, pictures=True) / "box_and_key.zip"
    (receipt,), (name,) = read_receipts(tmp_path), picture_names(archive).values()
    want = read_page(archive, name, receipt).pixels
    rewritten(archive, stored(orientation=1), ".png")
    assert torch.equal(read_page(archive, name, receipt).pixels, want)
    for orientation in (2, 3, 6):
        rewritten(archive, stored(orientation=orientation), ".png")
        with pytest.raises(ObservationError, match=rf"shown turned \(orientation {orientation}\)"):
            read_page(archive, name, receipt)
