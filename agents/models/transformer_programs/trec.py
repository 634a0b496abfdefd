"""TREC's questions (Li and Roth, 2002) with the kinds of thing that they ask for."""

from pathlib import Path

from agents.errors import ModelError
from agents.zip_files import open_zip

# Bytes of a file of questions; the published ones have 0.3 MB.
LARGEST = 10_000_000
KINDS = {
    "ABBR": "abbreviation", "DESC": "description", "ENTY": "thing", "HUM": "person", "LOC": "place", "NUM": "number",
}  # fmt: skip


def read_trec(data: Path | None, split_name: str) -> list[tuple[str, str]]:
    """Return (kind, question) of nltk_data's qc.zip, found in a folder or under its `nltk_text`.

    Raises:
        ModelError: it is not there, is damaged, or holds something else.
    """
    tried = [] if data is None else [data, data / "qc.zip", data / "nltk_text" / "qc.zip"]
    path = next((each for each in tried if each.is_file()), None)
    if path is None:
        raise ModelError("the questions of TREC are not there: give --data with nltk_data's packages/corpora/qc.zip")
    file = f"qc/{split_name}.txt"
    with open_zip(path) as archive:
        lines = archive.read(file, most=LARGEST).decode("latin-1").splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        kind, _, question = line.partition(" ")
        if line.strip() and kind.partition(":")[0] not in KINDS:
            raise ModelError(f"{path}:{file}, line {number}: it begins with none of {', '.join(KINDS)}: {line[:80]!r}")
        if line.strip():
            found.append((KINDS[kind.partition(":")[0]], question))
    return found
