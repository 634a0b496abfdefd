"""Target: picture files of anybody, as a row of a table names them."""

import io
import random
import struct
import zlib

import torch
from fuzz.target import Target

from agents.beliefs.picture_files import SHORTER_SIDE, WIDEST, read_picture, to_png
from agents.errors import ObservationError

HEAD = 8
LARGEST_OF_OURS = 200


def _chunks_fitted(blob: bytes, chance: random.Random) -> bytes:
    """Return a PNG with some of its chunks changed, left out, doubled or moved, each with a checksum that fits."""
    chunks, place = [], HEAD
    while place + 8 <= len(blob):
        (length,) = struct.unpack(">I", blob[place : place + 4])
        chunks.append((blob[place + 4 : place + 8], bytearray(blob[place + 8 : place + 8 + length])))
        place += 12 + length
    for _ in range(chance.randrange(1, 4)):
        if not chunks:
            break
        number = chance.randrange(len(chunks))
        kind, content = chunks[number]
        match chance.randrange(4):
            case 0 if content:
                content[chance.randrange(len(content))] = chance.randrange(256)
            case 1:
                chunks.insert(chance.randrange(len(chunks) + 1), (kind, bytearray(content)))
            case 2:
                del chunks[number]
            case _:
                chunks.insert(chance.randrange(len(chunks) + 1), chunks.pop(number))
    parts = (
        struct.pack(">I", len(content)) + kind + bytes(content) + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return blob[:HEAD] + b"".join(parts)


class Pictures(Target):
    """PNG and JPEG: pixels between 0 and 1, no more than are kept, the same again from a PNG of ours; or a sentence."""

    name, documented, share = "pictures", (ObservationError,), 1.0
    pieces = (
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"PLTE",
        b"tRNS",
        b"eXIf",
        b"zTXt",
        b"iCCP",
        b"\xff\xd8",
        b"\xff\xe1",
        b"\xff\xda",
        b"acTL",
    )
    changes = (_chunks_fitted,)

    def seeds(self) -> list[bytes]:
        from PIL import Image

        drawn = random.Random(0)
        whole = Image.frombytes("RGB", (24, 16), drawn.randbytes(24 * 16 * 3))
        turned = Image.Exif()
        turned[0x0112] = 6
        found = []
        for picture, kind, options in (
            (whole, "PNG", {}),
            (whole, "PNG", {"exif": turned}),
            (whole.convert("RGBA"), "PNG", {}),
            (whole.convert("P"), "PNG", {"transparency": 0}),
            (whole.convert("1"), "PNG", {}),
            (Image.frombytes("I;16", (6, 4), drawn.randbytes(48)), "PNG", {}),
            (whole.convert("L"), "PNG", {"transparency": 3}),
            (Image.new("1", (160, 10)), "PNG", {}),
            (whole, "JPEG", {"exif": turned}),
            (whole.convert("L"), "JPEG", {"progressive": True}),
            (whole.convert("CMYK"), "JPEG", {}),
        ):
            file = io.BytesIO()
            picture.save(file, kind, **options)
            found.append(file.getvalue())
        return found

    def read(self, blob: bytes) -> None:
        pixels = read_picture(blob, source="x").pixels
        _, height, width = pixels.shape
        assert min(height, width) <= SHORTER_SIDE, "a larger picture was kept"
        assert max(height, width) <= WIDEST * min(height, width), "a strip was kept"
        assert height * width <= WIDEST * SHORTER_SIDE**2, "more pixels were kept than are allowed"
        if max(height, width) <= LARGEST_OF_OURS:
            again = read_picture(to_png(read_picture(blob, source="x"), longest=LARGEST_OF_OURS), source="y").pixels
            assert torch.equal(again, pixels), "a PNG of ours is another picture"
