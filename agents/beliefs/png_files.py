"""What a PNG file says of its pixels, held against what it has: Pillow fills in what is missing, and says nothing.

ISO/IEC 15948: chunks, lines of pixels in one stream of zlib, and for interlaced pictures the seven passes of Adam7.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Kind of colour → numbers of a pixel."""
PALETTE = 3
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and line of each pass of Adam7, and the steps between columns and lines."""
STEP = 1 << 20
"""Bytes that are unpacked at once."""


def missing_pixels(blob: bytes, largest_index: int) -> str:
    """Return what a PNG lacks of its pixels, as a sentence's end; empty where it lacks nothing.

    Args:
        blob: the file, which a library has unpacked.
        largest_index: that a pixel has; looked at where colours are in a palette.

    Raises:
        struct.error, zlib.error, KeyError: it is no PNG.
    """
    packed: list[bytes] = []
    colours = 0
    head: tuple[int, ...] | None = None
    for kind, content in _chunks(blob):
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", content[:13])
        elif kind == b"PLTE":
            colours = len(content) // 3
        elif kind == b"IDAT":
            packed.append(content)
    if head is None:
        raise struct.error("no header")
    width, height, depth, colour, _, _, interlaced = head
    if colour == PALETTE and largest_index >= colours:
        return f"a pixel has colour {largest_index}, and its palette has {colours or 'none'}"
    wanted = sum(_bytes(*size, depth * CHANNELS[colour]) for size in _parts(width, height, bool(interlaced)))
    found = _unpacked(packed, wanted)
    return "" if found >= wanted else f"its pixels take {wanted:,} bytes, and it has {found:,}"


def _chunks(blob: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place + 8 <= len(blob):
        length, kind = struct.unpack(">I4s", blob[place : place + 8])
        yield kind, blob[place + 8 : place + 8 + length]
        if kind == b"IEND":
            return
        place += 12 + length


def _parts(width: int, height: int, interlaced: bool) -> list[tuple[int, int]]:
    """Return width and height of each part in which the pixels are stored."""
    if not interlaced:
        return [(width, height)]
    return [
        ((width - left + right - 1) // right, (height - top + down - 1) // down) for left, top, right, down in PASSES
    ]


def _bytes(width: int, height: int, bits: int) -> int:
    """Return the bytes of lines, each with one before it that says how it is filtered; none of a part without pixels."""
    return height * (1 + (width * bits + 7) // 8) if width else 0


def _unpacked(packed: list[bytes], most: int) -> int:
    """Return how many bytes a stream has, as soon as they are enough."""
    reader, count = zlib.decompressobj(), 0
    for content in packed:
        while content and count < most:
            count += len(reader.decompress(content, STEP))
            content = reader.unconsumed_tail
    return count
