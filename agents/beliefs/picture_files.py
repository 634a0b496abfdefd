"""Picture files: PNG and JPEG, read by Pillow (extra `pictures`), and pictures written as PNG without a library.

What is read may come from anybody. Only the two formats are tried, a picture's size is looked at before it is unpacked, and
whatever the library makes of a broken file is a sentence.
"""

import io
import struct
import warnings
import zlib
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.png_files import SIGNATURE, missing_pixels
from agents.errors import MissingDependency, ObservationError, first_line
from agents.observation import Image

EXTRA = "pictures"
FORMATS = ("PNG", "JPEG")
LARGEST_PICTURE = 50_000_000
"""Bytes of a file."""
MOST_PIXELS = 50_000_000
SHORTER_SIDE = 512
"""Of a picture that is kept, in pixels: larger ones are scaled down, since no model here looks at more."""
WIDEST = 16
"""How many times as long as the other a side may be; so a picture that is kept has 16 x 512 x 512 pixels at most."""
STEPS = {"L;2": 85, "L;4": 17}
"""Pillow's names of grey in 2 and 4 bits → by how much its shades are apart in 8."""
DEEP_COLOURS = "RGB;16B"
"""Its name of colours in 16 bits, of which it reads 8."""
ORIENTATION, UPRIGHT, TURNED = 0x0112, 1, range(2, 9)
"""EXIF's tag, and its values of a picture that is shown as it is stored, and of others."""
BROKEN = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
          struct.error, zlib.error)  # fmt: skip


def read_picture(blob: bytes, *, source: str, is_scaled: bool = True) -> Image:
    """Return the picture in a PNG or JPEG file, three colours, turned as its EXIF says; what is transparent is white.

    Args:
        blob: the file.
        source: of it, for errors.
        is_scaled: whether a picture is scaled down whose shorter side is longer than `SHORTER_SIDE`.

    Raises:
        ObservationError: the file is neither, is broken, lacks pixels or their colours, has too many, is a strip, or has a
            transparent colour that cannot be told from others; the text names the source.
        MissingDependency: no Pillow.
    """
    try:
        from PIL import Image as Pillow
        from PIL import ImageOps
    except ModuleNotFoundError as error:
        raise MissingDependency(f"reading {source}", "pillow", EXTRA) from error
    with warnings.catch_warnings():
        # Of odd metadata, which is not used, and of sizes, which are bounded here.
        warnings.simplefilter("ignore")
        try:
            with Pillow.open(io.BytesIO(blob), formats=FORMATS) as file:
                _check_size(*file.size, source=source)
                # How the file stores its pixels, which is forgotten when it is unpacked.
                layout = file.tile[0][3] if file.tile else None
                file.load()
                _check_whole(blob, file, source=source)
                colours = _colours(ImageOps.exif_transpose(file), layout, source=source)
                return Image(_pixels(_scaled(colours) if is_scaled else colours))
        except Pillow.DecompressionBombError as error:
            raise ObservationError(
                f"{source}: more than {MOST_PIXELS:,} pixels are not unpacked; scale it down"
            ) from error
        except Pillow.UnidentifiedImageError as error:
            raise ObservationError(
                f"{source}: not a picture that can be read (PNG, JPEG): it is neither, or has no size; convert it"
            ) from error
        except BROKEN as error:
            reason = first_line(error)
            raise ObservationError(f"{source}: not a picture that can be read (PNG, JPEG): {reason[:200]}") from error


def size_as_stored(blob: bytes, *, source: str) -> tuple[int, int]:
    """Return width and height of a PNG or JPEG file that is read already, in whose pixels something else says what is where.

    Raises:
        ObservationError: its EXIF turns it, so that nobody can tell of which side up that is said; the text names the source.
    """
    from PIL import Image as Pillow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Pillow.open(io.BytesIO(blob), formats=FORMATS) as file:
            turned = file.getexif().get(ORIENTATION, UPRIGHT)
            width, height = file.size
    if turned in TURNED:
        raise ObservationError(
            f"{source}: its EXIF says that it is shown turned (orientation {turned}), and the places that are given of it may be "
            "of either; store it as it is shown, without EXIF, and its places with it"
        )
    return width, height


def _check_size(width: int, height: int, *, source: str) -> None:
    if width * height > MOST_PIXELS:
        raise ObservationError(f"{source}: {width} x {height} pixels, and {MOST_PIXELS:,} are allowed; scale it down")
    if max(width, height) > WIDEST * min(width, height):
        raise ObservationError(
            f"{source}: {width} x {height} pixels, and one side may be at most {WIDEST} times the other; cut it"
        )


def _check_whole(blob: bytes, file: Any, *, source: str) -> None:
    if not blob.startswith(SIGNATURE):
        return
    largest = file.getextrema()[1] if file.mode == "P" else 0
    if lacks := missing_pixels(blob, largest):
        raise ObservationError(f"{source}: not a picture that can be read (PNG, JPEG): {lacks}")


def _colours(file: Any, layout: object, *, source: str) -> Any:
    """Return a picture of Pillow in red, green and blue, 8 bits each."""
    from PIL import Image as Pillow

    clear = file.info.get("transparency")
    if clear is not None and layout == DEEP_COLOURS:
        raise ObservationError(
            f"{source}: of colours of 16 bits that are transparent only 8 are read, so that others would be too; save it with an "
            "alpha channel, or with 8 bits a colour"
        )
    if isinstance(clear, int) and layout in STEPS:
        # The library makes 8 bits of the pixels, and leaves the transparent shade as the file has it.
        step = STEPS[str(layout)]
        file.info["transparency"] = clear % (255 // step + 1) * step
    if file.mode.startswith("I"):
        # 16 bits, of which the library keeps the lowest 8.
        deep = torch.frombuffer(bytearray(file.convert("I").tobytes()), dtype=torch.int32).clamp(0, 65535)
        shades = deep.div(257).round().to(torch.uint8)
        if isinstance(clear, int):
            shades[deep == clear] = 255
        grey = shades.reshape(file.size[1], file.size[0])
        file = Pillow.fromarray(grey.numpy())
    if "A" in file.getbands() or "transparency" in file.info:
        seen = file.convert("RGBA")
        paper = Pillow.new("RGBA", seen.size, "white")
        file = Pillow.alpha_composite(paper, seen)
    return file.convert("RGB")


def _scaled(file: Any) -> Any:
    """Return a picture of Pillow, at most so large as it is kept."""
    from PIL import Image as Pillow

    shorter = min(file.size)
    if shorter <= SHORTER_SIDE:
        return file
    width, height = (max(round(side * SHORTER_SIDE / shorter), 1) for side in file.size)
    return file.resize((width, height), Pillow.Resampling.BICUBIC)


def _pixels(file: Any) -> Tensor:
    """Return the pixels [3, H, W] between 0 and 1."""
    width, height = file.size
    raw = torch.frombuffer(bytearray(file.tobytes()), dtype=torch.uint8)
    return raw.reshape(height, width, 3).permute(2, 0, 1).float() / 255


def to_png(image: Image, *, longest: int) -> bytes:
    """Return a picture as a PNG file, its longer side at most `longest` pixels."""
    pixels = image.pixels.expand(3, -1, -1)
    if (side := max(pixels.shape[1:])) > longest:
        size = [max(round(each * longest / side), 1) for each in pixels.shape[1:]]
        pixels = functional.interpolate(pixels[None], size=size, mode="area")[0]
    _, height, width = pixels.shape
    lines = (255 * pixels).round().to(torch.uint8).permute(1, 2, 0).reshape(height, -1)
    # Before each line, how it is filtered: not at all.
    raw = functional.pad(lines, (1, 0)).contiguous().numpy().tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
