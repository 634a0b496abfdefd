"""A benchmark file → its rows, each with its place: JSON lines, JSON, CSV, Parquet, gzipped or not."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.errors import MissingDependency, TaskError
from agents.json_text import named_once
from agents.ordinary_file import open_ordinary, read_ordinary

# A small file can unzip to any size.
LARGEST_UNZIPPED = 1 << 30
# Bytes, and rows, of a Parquet file that are unpacked at once.
LARGEST_BATCH, MOST_AT_ONCE = 1 << 28, 256
LARGEST_FILE = 1 << 33
READABLE = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class DataRow:
    """One row of a file.

    Attributes:
        values: column → value; of a file without a header the values alone.
        number: number of the row in the file, from 1.
        place: file and line or row, for messages.
        file: the name of the file or repository.
    """

    values: Any
    number: int
    place: str
    file: str = ""

    def error(self, sentence: str) -> TaskError:
        """Return an error about this row, with its place."""
        return TaskError(f"{self.place}: {sentence}")

    def has(self, column: str) -> bool:
        """Return whether the row has the column."""
        return isinstance(self.values, dict) and column in self.values

    def get(self, *columns: str) -> Any:
        """Return the value of the first of the columns that the row has.

        Raises:
            TaskError: it has none of them.
        """
        if not isinstance(self.values, dict):
            raise self.error(f"a row is an object with {' or '.join(columns)}; this is a {type(self.values).__name__}")
        for column in columns:
            if column in self.values:
                return self.values[column]
        raise self.error(f"no column {' or '.join(columns)}. It has: {', '.join(map(str, self.values)) or 'none'}.")

    def text(self, *columns: str) -> str:
        """Return the same as a text without white space around it; an empty one is an error."""
        value = self.get(*columns)
        text = "" if value is None else str(value).strip()
        if not text:
            raise self.error(f"{columns[0]} is empty")
        return text

    def cells(self, count: int) -> list[str]:
        """Return the values of a row of a file without a header."""
        if not isinstance(self.values, list) or len(self.values) != count:
            found = len(self.values) if isinstance(self.values, list) else type(self.values).__name__
            raise self.error(f"a row has {count} columns; this one has {found}")
        return [str(cell).strip() for cell in self.values]


def read_rows(path: Path, *, header: bool = True) -> Iterator[DataRow]:
    """Yield the rows of a file.

    Args:
        path: `.jsonl`, `.json` (an array, a row, an object with `examples`, or lines), `.csv`, `.tsv` or `.parquet`; `.gz` after
            it or not.
        header: whether the first line of a CSV names its columns.

    Raises:
        TaskError: a file that cannot be read, with the line where that is known.
    """
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind not in READABLE:
        raise TaskError(f"{path}: cannot tell what this is. Readable: {', '.join(READABLE)}, also with .gz.")
    if kind == ".parquet":
        yield from _parquet_rows(path)
        return
    text = read_text(path)
    if kind in (".csv", ".tsv"):
        yield from _csv_rows(path, text, header, "\t" if kind == ".tsv" else ",")
    elif kind == ".json" and text.lstrip()[:1] in ("[", "{") and not _is_lines(text):
        yield from _json_rows(path, text)
    else:
        yield from _json_lines(path, text)


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, gzipped or not.

    Raises:
        TaskError: it cannot be read, or is in another encoding: with the line.
    """
    try:
        raw = read_ordinary(path, most=LARGEST_FILE)
        content = _unzipped(raw) if path.suffix == ".gz" else raw
    except OSError as error:
        raise TaskError(f"cannot read {path}: {error.strerror or error}") from error
    except EOFError as error:
        raise TaskError(f"cannot read {path}: the gzip stream ends early") from error
    except zlib.error as error:
        raise TaskError(f"cannot read {path}: the gzip stream is damaged ({error})") from error
    if len(content) > LARGEST_UNZIPPED and path.suffix == ".gz":
        raise TaskError(f"{path}: more than {LARGEST_UNZIPPED:,} bytes when unzipped; unzip it, or give fewer rows")
    try:
        text = content.decode("utf-8-sig")
        if (place := text.find("\0")) >= 0:
            line = text.count("\n", 0, place) + 1
            raise TaskError(f"{path}:{line}: a zero byte, so this is no text, or not in UTF-8. Convert it to UTF-8.")
        return text
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TaskError(
            f"{path}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}). Convert it to UTF-8."
        ) from error


def _unzipped(raw: bytes) -> bytes:
    """Return the content of a gzip file, or one byte more than is taken of it."""
    with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
        return file.read(LARGEST_UNZIPPED + 1)


def _is_lines(text: str) -> bool:
    """Return whether the first line is a JSON value by itself, with more after it."""
    first, _, rest = text.strip().partition("\n")
    if not rest:
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _loaded(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: no JSON, or an object that gives one name two values, of which a reader would keep either.
    """
    return json.loads(text, object_pairs_hook=named_once("{!r} stands twice in one object; keep one"))


def _twice(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def _json_lines(path: Path, text: str) -> Iterator[DataRow]:
    number = 0
    # Only line feeds end a line: JSON strings may hold other separators as they are.
    for line_number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = _loaded(line)
        except (ValueError, RecursionError) as error:
            raise TaskError(f"{path}:{line_number}: not JSON: {error}") from error
        number += 1
        yield DataRow(value, number, f"{path}:{line_number}", path.name)


def _json_rows(path: Path, text: str) -> Iterator[DataRow]:
    try:
        value = _loaded(text)
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{path}: not JSON: {error}") from error
    if isinstance(value, dict) and isinstance(value.get("examples"), list):
        value = value["examples"]
    elif isinstance(value, dict) and {"question", "answer"} <= set(value):
        # One row, whose array was left out.
        value = [value]
    elif isinstance(value, dict):
        # An object of name → text, as Du et al.'s biographies are.
        value = [{"key": key, "value": inner} for key, inner in value.items()]
    if not isinstance(value, list):
        raise TaskError(f"{path}: expected an array of rows or an object; this is a {type(value).__name__}")
    for number, inner in enumerate(value, start=1):
        yield DataRow(inner, number, f"{path}: row {number}", path.name)


def _csv_rows(path: Path, text: str, header: bool, delimiter: str) -> Iterator[DataRow]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: Sequence[str] | None = None
    number = 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"{path}:{reader.line_num}"
            if header and columns is None:
                columns = [cell.strip() for cell in cells]
                if len(set(columns)) < len(columns):
                    raise TaskError(f"{place}: two columns are called {_twice(columns)!r}; rename one of them")
                continue
            number += 1
            if columns is None:
                yield DataRow(cells, number, place, path.name)
                continue
            if len(cells) != len(columns):
                raise TaskError(f"{place}: {len(cells)} values for {len(columns)} columns")
            yield DataRow(dict(zip(columns, cells, strict=True)), number, place, path.name)
    except csv.Error as error:
        raise TaskError(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _rows_at_once(metadata: Any) -> int:
    """Return how many rows of a Parquet file fit into memory, each as long as a column: one text may stand in all of them."""
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    sizes = [group.column(place).total_uncompressed_size for group in groups for place in range(group.num_columns)]
    return min(max(LARGEST_BATCH // max([1, *map(int, sizes)]), 1), MOST_AT_ONCE)


def _parquet_rows(path: Path) -> Iterator[DataRow]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingDependency(f"reading {path.name}", "pyarrow", "evals") from error
    number = size = 0
    try:
        with open_ordinary(path, most=LARGEST_FILE) as raw, ParquetFile(raw) as file:
            for batch in file.iter_batches(batch_size=_rows_at_once(file.metadata)):
                size += batch.nbytes
                if size > LARGEST_UNZIPPED:
                    raise TaskError(f"{path}: more than {LARGEST_UNZIPPED:,} bytes when unpacked; give fewer rows")
                for value in batch.to_pylist():
                    number += 1
                    yield DataRow(value, number, f"{path}: row {number}", path.name)
    except OSError as error:
        raise TaskError(f"cannot read {path}: {error.strerror or error}") from error
    except (ArrowException, ValueError, OverflowError, NotImplementedError) as error:
        # What a damaged page holds may be no text, or a date of no calendar.
        raise TaskError(f"{path}: not Parquet: {error}") from error
