"""Picture files that may come from anybody: what is read of them, what is refused before it is unpacked, and PNGs of our own."""

import io
import struct
import zlib

import pytest
import torch
from support.random_models import generator

from agents.beliefs import picture_files
from agents.beliefs.picture_files import read_picture, to_png
from agents.errors import MissingDependency, ObservationError
from agents.observation import Image

pillow = pytest.importorskip("PIL.Image")


def noise(height=5, width=7):
    return torch.randint(256, (height, width, 3), generator=generator(), dtype=torch.uint8)


def saved(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def test_pixels_are_what_the_file_has():
    pixels = noise()
    found = read_picture(saved(pillow.fromarray(pixels.numpy())), source="x").pixels
    assert found.dtype == torch.float32
    assert torch.equal(found, pixels.permute(2, 0, 1).float() / 255)
    grey = pillow.fromarray(pixels[..., 0].contiguous().numpy())
    assert torch.equal(read_picture(saved(grey), source="x").pixels, (pixels[..., 0].float() / 255).expand(3, -1, -1))
    flat = pillow.new("RGB", (9, 4), (200, 100, 0))
    found = read_picture(saved(flat, "JPEG", quality=95), source="x").pixels
    assert found.shape == (3, 4, 9)
    assert found.mean((1, 2)).tolist() == pytest.approx([200 / 255, 100 / 255, 0], abs=0.01)


def test_what_is_transparent_is_white_and_what_lies_on_its_side_is_turned():
    clear = pillow.new("RGBA", (2, 3), (255, 0, 0, 0))
    assert torch.equal(read_picture(saved(clear), source="x").pixels, torch.ones(3, 3, 2))
    palette = pillow.new("P", (2, 2), 0)
    palette.putpalette([0, 0, 255, 255, 0, 0])
    assert torch.equal(read_picture(saved(palette, transparency=0), source="x").pixels, torch.ones(3, 2, 2))
    pixels = noise(8, 16)
    exif = pillow.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    found = read_picture(saved(pillow.fromarray(pixels.numpy()), exif=exif), source="x").pixels
    assert torch.equal(found, (pixels.permute(2, 0, 1).float() / 255).rot90(-1, (1, 2)))


def stored(width, height, depth, colour, row, clear=b"", *, palette=b"", interlaced=False, lines=None):
    """Return a PNG of equal rows of bytes, with a transparent colour, and with fewer or more lines than it says."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"PLTE", palette) if palette else b"")
        + (chunk(b"tRNS", clear) if clear else b"")
        + chunk(b"IDAT", zlib.compress((b"\0" + row) * (height if lines is None else lines)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("depth", "row", "clear", "shades"),
    [
        (1, b"\x80", 0, (1, 1)),
        (1, b"\x80", 1, (1, 0)),
        (2, b"\x90", 2, (1, 85 / 255)),
        (2, b"\x90", 3, (170 / 255, 85 / 255)),
        (4, b"\x59", 5, (1, 9 / 15)),
        (4, b"\x59", 9, (5 / 15, 1)),
        (8, b"\x05\x09", 5, (1, 9 / 255)),
        # Alike in the 8 bits that are kept.
        (16, b"\x01\x01\x01\x02", 0x0101, (1, 1 / 255)),
        (16, b"\x01\x01\x01\x02", 0x0201, (1 / 255, 1 / 255)),
    ],
)
def test_a_transparent_shade_is_white_and_no_other(depth, row, clear, shades):
    found = read_picture(stored(2, 3, depth, 0, row, struct.pack(">H", clear)), source="x").pixels
    assert found.shape == (3, 3, 2)
    assert found[1, 2].tolist() == pytest.approx(shades)


def test_a_transparent_colour_of_sixteen_bits_is_refused_and_one_of_eight_is_white():
    deep, clear = struct.pack(">6H", 257, 257, 257, 258, 257, 257), struct.pack(">3H", 257, 257, 257)
    with pytest.raises(ObservationError, match="x: of colours of 16 bits that are transparent only 8 are read"):
        read_picture(stored(2, 1, 16, 2, deep, clear), source="x")
    assert read_picture(stored(2, 1, 16, 2, deep), source="x").pixels.shape == (3, 1, 2)
    found = read_picture(stored(2, 1, 8, 2, bytes((1, 2, 3, 3, 2, 1)), struct.pack(">3H", 1, 2, 3)), source="x").pixels
    assert found[:, 0].T.tolist() == [[1, 1, 1], pytest.approx([3 / 255, 2 / 255, 1 / 255])]


@pytest.mark.parametrize("size", [(512, 97_000), (97_000, 512), (1, 17), (33, 2)])
def test_a_strip_is_refused_before_it_is_unpacked(monkeypatch, size):
    """512 x 97,000 pixels of one bit are a file of 6 kB, and as three colours in float32 600 MB."""
    blob = stored(*size, 1, 0, bytes(-(-size[0] // 8)))
    assert len(blob) < 10_000
    monkeypatch.setattr(picture_files, "_colours", None)
    with pytest.raises(
        ObservationError, match=f"x: {size[0]} x {size[1]} pixels, and one side may be at most 16 times"
    ):
        read_picture(blob, source="x")


def test_what_is_kept_is_bounded():
    found = read_picture(stored(800, 12_800, 1, 0, bytes(100)), source="x").pixels
    assert found.shape == (3, 16 * 512, 512)


def test_sixteen_bits_are_scaled_and_not_cut_off():
    deep = torch.tensor([[0, 257, 65535], [32896, 1000, 514]], dtype=torch.int32)
    file = saved(pillow.fromarray(deep.numpy().astype("uint16")))
    want = (deep / 257).round() / 255
    assert torch.allclose(read_picture(file, source="x").pixels, want.expand(3, -1, -1), atol=1e-6)


def test_large_pictures_are_kept_smaller(monkeypatch):
    monkeypatch.setattr(picture_files, "SHORTER_SIDE", 10)
    ramp = torch.linspace(0, 255, 40).to(torch.uint8)[:, None, None].expand(40, 20, 3).contiguous()
    found = read_picture(saved(pillow.fromarray(ramp.numpy())), source="x").pixels
    assert found.shape == (3, 20, 10)
    assert found[0, :, 5].tolist() == pytest.approx(
        (torch.linspace(0, 1, 40).reshape(20, 2).mean(1)).tolist(), abs=0.02
    )


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width, height):
    """Return a PNG whose header says so many pixels, with little in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(10_000, 5_001), (20_000, 20_000), (2_000_000_000, 2_000_000_000)])
def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch, size):
    monkeypatch.setattr(picture_files, "_colours", None)
    with pytest.raises(ObservationError, match="x: .*(pixels are not unpacked|50,000,000 are allowed); scale it down"):
        read_picture(bomb(*size), source="x")


def test_text_in_a_png_is_not_unpacked_without_end():
    whole = saved(pillow.new("RGB", (2, 2)))
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000)))
    with pytest.raises(ObservationError, match="x: not a picture that can be read"):
        read_picture(whole[:33] + text + whole[33:], source="x")


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"spam" * 20,
        b"GIF89a" + bytes(20),
        saved(pillow.new("RGB", (20, 20)), "GIF"),
        saved(pillow.new("RGB", (20, 20)), "BMP"),
        saved(pillow.new("RGB", (20, 20)))[:45],
        saved(pillow.new("RGB", (200, 200)), "JPEG")[:700],
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"short"),
    ],
)
def test_what_is_no_picture_or_broken_is_a_sentence(blob):
    with pytest.raises(ObservationError, match="x: not a picture that can be read"):
        read_picture(blob, source="x")


@pytest.mark.parametrize(
    ("blob", "lacks"),
    [
        (stored(2, 4, 8, 0, b"\xff\xff", lines=3), "its pixels take 12 bytes, and it has 9"),
        (stored(3, 2, 1, 0, b"\xe0", lines=1), "its pixels take 4 bytes, and it has 2"),
        (stored(2, 2, 16, 6, b"\xff" * 16, lines=1), "its pixels take 34 bytes, and it has 17"),
        # Seven passes: 1, 1, 2, 4, 8, 16 and 32 pixels.
        (stored(8, 8, 8, 0, b"\xff", interlaced=True, lines=1), "its pixels take 79 bytes, and it has 2"),
        (stored(2, 2, 8, 3, b"\0\2", palette=bytes(6)), "a pixel has colour 2, and its palette has 2"),
        (stored(2, 2, 8, 3, b"\0\0"), "a pixel has colour 0, and its palette has none"),
    ],
)
def test_pixels_that_are_not_there_are_not_black(blob, lacks):
    with pytest.raises(ObservationError, match=f"x: not a picture that can be read .*: {lacks}"):
        read_picture(blob, source="x")


def test_whole_files_lack_no_pixel(monkeypatch):
    monkeypatch.setattr("agents.beliefs.png_files.STEP", 7)
    for width, height in ((1, 1), (2, 3), (5, 4), (9, 8)):
        picture = pillow.fromarray(noise(height, width).numpy())
        for mode in ("1", "L", "P", "LA", "RGB", "RGBA"):
            assert read_picture(saved(picture.convert(mode)), source="x").pixels.shape == (3, height, width)
    # The passes of a picture of one pixel are one, of 2 x 3 four.
    found = read_picture(stored(1, 1, 8, 0, b"\xff", interlaced=True), source="x").pixels
    assert found.tolist() == [[[1]]] * 3
    few = stored(2, 3, 8, 0, bytes(2), interlaced=True, lines=4)
    assert read_picture(few, source="x").pixels.shape == (3, 3, 2)


def test_any_bytes_are_a_picture_or_a_sentence():
    """Files with some bytes changed, cut or repeated: nothing else is raised."""
    draw = generator(3)
    whole = [saved(pillow.fromarray(noise(20, 30).numpy()), kind) for kind in ("PNG", "JPEG")]
    read = 0
    for number in range(400):
        blob = bytearray(whole[number % 2])
        for _ in range(1 + number % 7):
            place = int(torch.randint(len(blob), (1,), generator=draw))
            blob[place] = int(torch.randint(256, (1,), generator=draw))
        if number % 5 == 0:
            del blob[int(torch.randint(len(blob), (1,), generator=draw)) :]
        try:
            read_picture(bytes(blob), source="x")
            read += 1
        except ObservationError:
            pass
    assert 0 < read < 400


def test_without_pillow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingDependency, match=r"cipher-debate\[pictures\]"):
        read_picture(b"", source="x")


def test_a_png_of_ours_is_read_back_to_the_byte():
    pixels = noise().permute(2, 0, 1).float() / 255
    assert torch.equal(read_picture(to_png(Image(pixels), longest=96), source="x").pixels, pixels)
    grey = pixels[:1]
    assert torch.equal(read_picture(to_png(Image(grey), longest=7), source="x").pixels, grey.expand(3, -1, -1))
    small = read_picture(to_png(Image(torch.rand(3, 300, 100, generator=generator())), longest=96), source="x")
    assert small.pixels.shape == (3, 96, 32)
