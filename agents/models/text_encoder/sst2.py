"""SST-2 (Socher et al., 2013) in the layout of GLUE's files: a header, then a label and a text a line."""

from pathlib import Path

from agents.errors import ModelError
from agents.zip_files import read_unzipped

LABELS = ("negative", "positive")
FILES = {"train": "train.tsv", "test": "dev.tsv"}
"""The development sentences are what is tested on: the test labels were never published."""
LARGEST = 100_000_000


def read_sst2(data: Path | None, split: str) -> list[tuple[str, str]]:
    """Return (label, sentence) of a split, `train` or `test`, from files (.gz too) in a folder or under its `sst2`.

    Raises:
        ModelError: it is not there, is damaged or too large, or a line is not a label and a text.
    """
    name = FILES[split]
    tried = [] if data is None else [base / f"{name}{end}" for base in (data, data / "sst2") for end in ("", ".gz")]
    path = next((each for each in tried if each.is_file()), None)
    if path is None:
        raise ModelError(
            f"SST-2 is not there: give --data with {name} (.gz too) of GLUE's SST-2, or a folder sst2 with it"
        )
    content = read_unzipped(path, most=LARGEST)
    found = []
    # By line feeds alone, since other marks that some call ends of lines may stand in a text.
    for number, line in enumerate(content.replace("\r\n", "\n").removesuffix("\n").split("\n")[1:], start=2):
        label, _, sentence = line.partition("\t")
        # GLUE's own files have the sentence first.
        if label not in ("0", "1"):
            sentence, _, label = line.rpartition("\t")
        if label not in ("0", "1") or not sentence.strip():
            raise ModelError(f"{path}:{number}: a line is a label, 0 or 1, and a text with a tab between them")
        found.append((LABELS[int(label)], sentence.strip()))
    return found
