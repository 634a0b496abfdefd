"""Names of the classes of a published model of pictures, whose files do not name them: a list, or a text file."""

from collections import Counter
from collections.abc import Sequence

from agents.errors import ModelError
from agents.models.checkpoint import located
from agents.ordinary_file import read_ordinary_text

LARGEST = 10_000_000


def labels_of(classes: int, labels: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the names of a model's classes, in the order of its scores.

    Args:
        classes: how many it has.
        labels: names; or the path of a text file with a name a line; by default `class 0` and so on.

    Raises:
        ModelError: the file cannot be read, another number of names than of classes, or a name of two.
    """
    if labels is None:
        return tuple(f"class {number}" for number in range(classes))
    names = _lines(labels) if isinstance(labels, str) else tuple(labels)
    if len(names) != classes:
        raise ModelError(f"the checkpoint has {classes} classes; {len(names)} labels were given")
    if twice := [name for name, count in Counter(names).items() if count > 1 or not name]:
        raise ModelError(
            f"labels are different and not empty; {twice[0]!r} is not. Write which is meant into each name."
        )
    return names


def _lines(labels: str) -> tuple[str, ...]:
    path = located(labels)
    try:
        text = read_ordinary_text(path, most=LARGEST)
    except OSError as error:
        raise ModelError(f"cannot read the labels {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"the labels {path} are not UTF-8: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        # A name with a zero byte, which no file has.
        raise ModelError(f"cannot read the labels {labels!r}: {error}") from error
    # What some editors put before a text is none of it.
    text = text.removeprefix("\ufeff")
    return tuple(line.strip() for line in text.strip().splitlines())
