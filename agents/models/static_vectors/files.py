"""Files of word vectors, which come from anywhere: what is read is checked, and nothing is believed that the header says.

- word2vec (Mikolov et al., 2013, arXiv:1301.3781), as text: a header `WORDS NUMBERS`, then a line `word 0.1 0.2 …` each.
- word2vec, binary: the same header, then each word, a space, and its numbers as little-endian float32; a newline may stand
  between.
- fastText's `.vec` (Bojanowski et al., 2017, arXiv:1607.04606): as word2vec's text, often with a space at the ends of lines.
- GloVe (Pennington et al., 2014): lines without a header.

Published texts have words with spaces in them, so that a line that is too long would read as such a word. It is refused where a
piece of a word of several pieces reads as a number. A text that is cut inside its last number cannot be told from a whole one.

n words, D numbers of each.
"""

import codecs
import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from agents.errors import ModelError
from agents.ordinary_file import open_ordinary

Form = Literal["auto", "text", "binary"]
MOST_BYTES = 32_000_000_000
MOST_WORDS = 20_000_000
MOST_NUMBERS = 4_096
LONGEST_WORD = 1_000
# Of a number as text, with the space before it.
LONGEST_NUMBER = 40
# UTF-8's mark of byte order, with which some programs begin a text.
MARK = b"\xef\xbb\xbf"
# Bytes after the header by which text is told from binary.
LOOKED_AT = 4_096
# Rows that are kept as one array while a file is read.
CHUNK = 4_096

Row = tuple[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their vectors.

    Attributes:
        places: word → row, in the order of the file, which of published files is that of frequency.
        table: [n, D] float32.
    """

    places: dict[str, int]
    table: npt.NDArray[np.float32]

    def row(self, word: str) -> int | None:
        """Return the row of a word as it is written, or in lower case; None where the file has neither."""
        found = self.places.get(word)
        return self.places.get(word.lower()) if found is None else found


def read_vectors(
    path: Path, *, form: Form = "auto", most: int = MOST_WORDS, duplicates: Literal["refuse", "first"] = "refuse"
) -> WordVectors:
    """Return the words of a file and their vectors.

    Args:
        path: the file.
        form: text or binary; by default as its first line of a word is.
        most: read so many words, the first of the file; from `MOST_WORDS` on all, and no file may have more.
        duplicates: what happens to a word that comes again: the file is refused, or its first vector stays.

    Raises:
        ModelError: no ordinary file, too large, torn, of another form, of more or fewer words or numbers than it says, with
            a word twice, or with a number that is none or not finite; the message says where.
    """
    try:
        with open_ordinary(path, most=MOST_BYTES) as file:
            return _Reader(path, file, form).read(most, duplicates)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def form_of(vectors: WordVectors) -> Literal["text", "binary"]:
    """Return the form that keeps the words: binary unless one has a space in it, at which a binary file ends a word.

    Raises:
        ModelError: no form keeps a word, or there are no words or numbers, or one that is not finite.
    """
    words = [word.encode(errors="surrogatepass") for word in vectors.places]
    if vectors.table.shape[:1] != (len(words),) or not vectors.table.size or not np.isfinite(vectors.table).all():
        raise ModelError("word vectors are written with a row of finite numbers a word, at least one of each")
    binary = all(word and b" " not in word and not word.startswith(b"\n") for word in words)
    for word, letters in zip(vectors.places, words, strict=True):
        is_kept = binary or (
            letters and letters == letters.strip() and b"\n" not in letters and _number_in(letters) is None
        )
        if not is_kept or len(letters) > LONGEST_WORD or letters.decode(errors="replace") != word:
            raise ModelError(f"the word {_shown(word)} would not be read back as it is: no file of vectors is written")
    return "binary" if binary else "text"


def write_vectors(path: Path, vectors: WordVectors) -> None:
    """Write words and vectors in word2vec's form, text or binary as `form_of` has it; they are read back to the last bit.

    Raises:
        ModelError: they would not be read back (`form_of`); nothing is written.
    """
    form, (count, width) = form_of(vectors), vectors.table.shape
    with path.open("wb") as file:
        file.write(f"{count} {width}\n".encode())
        for word, row in zip(vectors.places, vectors.table.astype("<f4", copy=False), strict=True):
            # A float32's own shortest digits give it back, where those of a float64 are more.
            numbers = row.tobytes() if form == "binary" else " ".join(map(str, row)).encode()
            file.write(word.encode() + b" " + numbers + b"\n")


class _Reader:
    """One file under way."""

    def __init__(self, path: Path, file: io.BufferedReader, form: Form) -> None:
        self.path, self.file = path, file
        self.said, self.width = self._header()
        self.is_binary = form == "binary" or (form == "auto" and self.said is not None and not self._looks_like_text())
        if self.is_binary and self.said is None:
            raise self._refused("it has no header `WORDS NUMBERS`, which binary files have")

    def read(self, most: int, duplicates: str) -> WordVectors:
        places: dict[str, int] = {}
        chunks: list[npt.NDArray[np.float32]] = []
        rows: list[npt.NDArray[np.float32]] = []
        count, twice = 0, 0
        for word, row in self._binary() if self.is_binary else self._text():
            if count == most < MOST_WORDS:
                break
            if count == MOST_WORDS:
                raise self._refused(f"it has more than {MOST_WORDS:,} words; `words: N` below that reads its first N")
            count += 1
            if not np.isfinite(row).all():
                raise self._refused(
                    f"the vector of {_shown(word)}, word {count}, has a number that is not finite in float32"
                )
            if word in places:
                if duplicates == "refuse":
                    raise self._refused(
                        f"the word {_shown(word)} comes twice, as word {places[word] + 1} and as word {count}; give "
                        "duplicates: first to keep the first"
                    )
                twice += 1
                continue
            places[word] = len(places)
            rows.append(row)
            if len(rows) == CHUNK:
                chunks.append(np.stack(rows))
                rows = []
        if not places:
            raise self._refused("it has no words")
        if count < most and self.said is not None and count != self.said:
            raise self._refused(f"its header says {self.said:,} words, and it has {count:,}")
        table = np.concatenate([*chunks, *([np.stack(rows)] if rows else [])])
        return WordVectors(places, table)

    def _header(self) -> tuple[int | None, int]:
        """Return how many words the header says there are, and how many numbers a vector has."""
        start = len(MARK) if self.file.read(len(MARK)) == MARK else 0
        self.file.seek(start)
        line = self.file.readline(LONGEST_WORD + MOST_NUMBERS * LONGEST_NUMBER)
        fields = line.split()
        if len(fields) == 2 and all(field.isdigit() and len(field) < 12 for field in fields):
            said, width = map(int, fields)
            if said > MOST_WORDS:
                raise self._refused(f"its header says {said:,} words; at most {MOST_WORDS:,} are read")
        else:
            # Without a header the first line is a word's.
            said, width = None, len(fields) - 1
            self.file.seek(start)
        if not 1 <= width <= MOST_NUMBERS:
            raise self._refused(f"its vectors would have {width:,} numbers; between 1 and {MOST_NUMBERS:,} are read")
        return said, width

    def _looks_like_text(self) -> bool:
        """Return whether what follows the header is printable, or ends its first line with as many numbers as it should."""
        start = self.file.tell()
        line = self.file.readline(self._longest_line)
        self.file.seek(start)
        content = self.file.read(LOOKED_AT)
        self.file.seek(start)
        fields = line.rsplit(None, self.width)
        if len(fields) == self.width + 1 and all(_number(field) is not None for field in fields[1:]):
            return True
        # A text that is wrong in its first line is no binary file, though its bytes could be read as numbers.
        return _is_printable(content)

    @property
    def _longest_line(self) -> int:
        return LONGEST_WORD + self.width * LONGEST_NUMBER

    def _text(self) -> Iterator[Row]:
        number = 0
        while line := self.file.readline(self._longest_line):
            number += 1
            if not line.strip():
                if number > 1 and not self.file.read(1):
                    return
                raise self._refused(f"line {number} of its words is empty")
            if not line.endswith(b"\n") and len(line) == self._longest_line:
                raise self._refused(f"line {number} of its words is longer than {self._longest_line:,} bytes")
            yield self._parsed(line, number)

    def _parsed(self, line: bytes, number: int) -> Row:
        # Published files have words with spaces in them; numbers have none.
        fields = line.rstrip(b"\r\n \t").rsplit(None, self.width)
        if len(fields) != self.width + 1:
            raise self._refused(
                f"line {number} of its words has {len(fields) - 1} numbers, and the first has {self.width}"
            )
        word = self._word(fields[0], number)
        if (odd := _number_in(fields[0])) is not None:
            raise self._refused(
                f"line {number} of its words has more than {self.width} numbers, or {_shown(word)} for a word, in which "
                f"{_shown(odd.decode(errors='replace'))} reads as a number"
            )
        if fields[0] != fields[0].strip():
            raise self._refused(f"line {number} of its words begins with a space")
        values = []
        for field in fields[1:]:
            value = _number(field)
            if value is None:
                raise self._refused(
                    f"line {number} of its words has {_shown(field.decode(errors='replace'))} for a number"
                )
            values.append(value)
        with np.errstate(over="ignore"):
            return word, np.asarray(values, dtype=np.float32)

    def _binary(self) -> Iterator[Row]:
        assert self.said is not None
        size = 4 * self.width
        for number in range(1, self.said + 1):
            letters = bytearray()
            while (letter := self.file.read(1)) != b" ":
                if not letter:
                    raise self._refused(f"it ends in word {number:,} of {self.said:,}")
                if letter == b"\n" and not letters:
                    continue
                letters += letter
                if len(letters) > LONGEST_WORD:
                    raise self._refused(f"word {number} is longer than {LONGEST_WORD:,} bytes; is it a binary file?")
            word = self._word(bytes(letters), number)
            row = self.file.read(size)
            if len(row) < size:
                raise self._refused(f"it ends in the vector of word {number:,} of {self.said:,}")
            yield word, np.frombuffer(row, dtype="<f4").astype(np.float32)
        if self.file.read(2) not in (b"", b"\n"):
            raise self._refused(f"its header says {self.said:,} words, and more follows")

    def _word(self, letters: bytes, number: int) -> str:
        if not letters or len(letters) > LONGEST_WORD:
            raise self._refused(f"word {number} has {len(letters):,} bytes; between 1 and {LONGEST_WORD:,} are read")
        try:
            return letters.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._refused(f"word {number} is no text in UTF-8") from error

    def _refused(self, why: str) -> ModelError:
        return ModelError(f"{self.path} is no file of word vectors that can be read: {why}")


def _is_printable(content: bytes) -> bool:
    """Return whether bytes are UTF-8, of which the last letter may be cut, without control characters but those of lines."""
    text = codecs.getincrementaldecoder("utf-8")()
    try:
        return all(letter in "\t\r\n" or unicodedata.category(letter) != "Cc" for letter in text.decode(content))
    except UnicodeDecodeError:
        return False


def _number_in(word: bytes) -> bytes | None:
    """Return the first piece of a word of several pieces that reads as a number."""
    pieces = word.split()
    return next((piece for piece in pieces if _number(piece) is not None), None) if len(pieces) > 1 else None


def _number(field: bytes) -> float | None:
    # Python takes more for a number than such files write, e.g. 1_0.
    if b"_" in field:
        return None
    try:
        return float(field)
    except ValueError:
        return None


def _shown(word: str) -> str:
    return repr(word if len(word) <= 40 else word[:40] + "…")
