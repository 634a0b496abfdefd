"""Names of the classes of published sound models, in the order of their scores; their files do not name them.

`audioset.txt`: the display names of AudioSet's 527 evaluated classes (Gemmeke et al., 2017; ontology by Google, CC BY-SA 4.0),
in the order of its class_labels_indices.csv. `speech_commands.txt`: the 35 words of Speech Commands v2 (Warden, 2018, CC BY
4.0), in the order of github zeyuliu1037/LMUFormer's label file, which is not the alphabet's.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from agents.errors import ModelError, UnknownName

NAMED = {"audioset": 527, "speech_commands": 35}
"""List of names → how many classes it has."""
_FOLDER = Path(__file__).with_name("labels")


@cache
def label_names(name: str) -> tuple[str, ...]:
    """Return the class names of a list that is shipped.

    Raises:
        UnknownName: no such list.
    """
    if name not in NAMED:
        raise UnknownName("list of labels", name, NAMED)
    return tuple((_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines())


def labels_of(classes: int, labels: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the names of a published model's classes, in the order of its scores.

    Args:
        classes: how many it has.
        labels: names, or the name of a list in `NAMED`; by default the shipped list of that length, else `class 0` and so on.

    Raises:
        ModelError: another number of names than of classes.
    """
    if labels is None:
        known = next((name for name, count in NAMED.items() if count == classes), None)
        return label_names(known) if known else tuple(f"class {number}" for number in range(classes))
    names = label_names(labels) if isinstance(labels, str) else tuple(labels)
    if len(names) != classes:
        raise ModelError(f"the checkpoint has {classes} classes; {len(names)} labels were given")
    return names
