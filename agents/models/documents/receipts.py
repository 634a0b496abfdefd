"""SROIE (Huang et al., ICDAR 2019) as files: lines with boxes, keys, and pictures where they are there. Split by receipt.

L lines.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from agents.errors import ModelError
from agents.json_text import parse_json
from agents.models.documents.fields import FIELDS, states, tags_of
from agents.observation import Document
from agents.zip_files import ZipFiles, open_zip

ARCHIVES = ("box_and_key.zip", "sroie_mini.zip", "sroie_text/box_and_key.zip", "sroie_mini/sroie_mini.zip")
PARTS = ("train", "validation", "test")
SHARES = (70, 10, 20)
"""Per cent of the receipts, by a hash of what they say: a receipt is in one part, whatever else is there."""
LARGEST_FILE = 1_000_000
"""Bytes of a receipt's lines or keys, unpacked."""
MOST_RECEIPTS = 20_000
MOST_LINES = 400
FURTHEST = 1_000_000
"""Pixels, of a corner."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, eq=False)
class Receipt:
    """A receipt.

    Attributes:
        name: name of its files.
        lines: in the order of the file, which is that of reading.
        boxes: [L, 4] float32, left, top, right, bottom as shares of what the lines take up: no page's size is told.
        values: field → its value; a field without one is not there.
        edges: left, top, right, bottom of that rectangle, in pixels of the receipt's picture.
    """

    name: str
    lines: tuple[str, ...]
    boxes: Tensor
    values: dict[str, str]
    edges: tuple[int, int, int, int]

    @property
    def part(self) -> str:
        """The part that it is in: drawn from its lines, so that the same receipt under two names is in one."""
        place = int.from_bytes(hashlib.sha256("\n".join(self.lines).encode()).digest()[:4]) % 100
        return PARTS[0] if place < SHARES[0] else PARTS[1] if place < SHARES[0] + SHARES[1] else PARTS[2]

    @cached_property
    def stated(self) -> dict[str, tuple[bool, ...]]:
        """Field → which lines state its value; none where it has none."""
        return {
            field: tuple(field in self.values and states(field, self.values[field], line) for line in self.lines)
            for field in FIELDS
        }

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tag of each line."""
        return tags_of(self.stated, len(self.lines))

    def shuffled(self, order: Sequence[int]) -> Document:
        """Return its lines in another order, as they are looked at: the file's would tell the order of reading."""
        return Document(tuple(self.lines[place] for place in order), self.boxes[torch.tensor(order, dtype=torch.long)])


def archive_of(data: Path | None) -> Path:
    """Return the archive of receipts that `--data` names, or that lies in it.

    Raises:
        ModelError: there is none.
    """
    tried = [] if data is None else [data, *(data / name for name in ARCHIVES)]
    path = next((each for each in tried if each.is_file()), None)
    if path is None:
        raise ModelError(
            "the receipts are not there: give --data with box_and_key.zip, or a zip of your own, of files box/NAME.csv (eight "
            "numbers and a line's text) and key/NAME.json (company, date, address, total), as of github zzzDavid/ICDAR-2019-SROIE"
        )
    return path


def read_receipts(data: Path | None, part: str | None = None) -> list[Receipt]:
    """Return the receipts of an archive, by name; of one part where it is named.

    Raises:
        ModelError: it is not there, is damaged, or holds something else; with the file and the line.
    """
    path = archive_of(data)
    with open_zip(path) as archive:
        boxes, keys = _names(archive, "box", ".csv", path), _names(archive, "key", ".json", path)
        if missing := sorted(boxes.keys() ^ keys.keys()):
            has = "key" if missing[0] in keys else "box"
            raise ModelError(f"{path}: {missing[0][:80]!r} has a file in {has} alone; each receipt has one in both")
        if not 1 <= len(boxes) <= MOST_RECEIPTS:
            raise ModelError(f"{path}: it has {len(boxes):,} receipts, and 1 to {MOST_RECEIPTS:,} are read")
        found = [
            _receipt(name, _text(archive, boxes[name], path), _text(archive, keys[name], path), path)
            for name in sorted(boxes)
        ]
    return [each for each in found if part in (None, each.part)]


def _names(archive: ZipFiles, folder: str, suffix: str, path: Path) -> dict[str, str]:
    """Return receipt → its file in a folder of an archive."""
    files = [name for name in archive.names((suffix,)) if PurePosixPath(name).parent.name == folder]
    names = [PurePosixPath(file).stem for file in files]
    if strange := [name for name in names if _NAME.fullmatch(name) is None]:
        raise ModelError(
            f"{path}: a receipt's name has 1 to 100 letters without accents, digits, '.', '_' and '-'; got {strange[0][:80]!r}"
        )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ModelError(f"{path}: two files of {folder} are called {twice[0][:80]!r}; names stand for receipts")
    return dict(zip(names, files, strict=True))


def _text(archive: ZipFiles, name: str, path: Path) -> str:
    try:
        return archive.read(name, most=LARGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}:{name[:80]!r}: it is not UTF-8 ({error.reason} at byte {error.start})") from error


def _receipt(name: str, boxes: str, key: str, path: Path) -> Receipt:
    lines, corners = [], []
    for number, row in enumerate(boxes.split("\n"), start=1):
        if not row.strip():
            continue
        place = f"{path}: line {number} of receipt {name[:80]!r}"
        *numbers, text = row.split(",", 8)
        try:
            points = [int(each) for each in numbers]
        except ValueError:
            points = []
        if len(points) != 8 or not text.strip():
            raise ModelError(f"{place}: eight whole numbers and a text, between commas; got {row[:60]!r}")
        if max(map(abs, points)) > FURTHEST:
            raise ModelError(f"{place}: a corner lies within {FURTHEST:,} pixels; got {max(points, key=abs)}")
        across, down = points[::2], points[1::2]
        lines.append(" ".join(text.split()))
        corners.append((min(across), min(down), max(across), max(down)))
    if not 1 <= len(lines) <= MOST_LINES:
        raise ModelError(f"{path}: receipt {name[:80]!r} has {len(lines)} lines, and 1 to {MOST_LINES} are read")
    pixels = torch.tensor(corners, dtype=torch.float64)
    left, top, right, bottom = (int(each) for each in (*pixels[:, :2].amin(0), *pixels[:, 2:].amax(0)))
    return Receipt(name, tuple(lines), shares(pixels), _values(name, key, path), (left, top, right, bottom))


def shares(corners: Tensor) -> Tensor:
    """Return boxes [L, 4] in pixels as shares of the rectangle that holds them all, float32."""
    low = corners[:, :2].amin(0).repeat(2)
    size = (corners[:, 2:].amax(0).repeat(2) - low).clamp_min(1.0)
    return ((corners - low) / size).float().clamp(0, 1)


def _values(name: str, key: str, path: Path) -> dict[str, str]:
    place = f"{path}: the key of receipt {name[:80]!r}"
    try:
        found = parse_json(key)
    except ValueError as error:
        raise ModelError(f"{place}: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{place}: a mapping of {', '.join(FIELDS)}; got a {type(found).__name__}")
    wrong = next((field for field in FIELDS if not isinstance(found.get(field, ""), str)), None)
    if wrong is not None:
        raise ModelError(f"{place}: {wrong} is a text; got {str(found[wrong])[:60]!r}")
    return {field: found[field].strip() for field in FIELDS if found.get(field, "").strip()}
