"""TREC's questions (Li and Roth, 2002) with the kinds of thing that they ask for."""

import zipfile
from pathlib import Path

from agents.errors import ModelError

KINDS = {
    "ABBR": "abbreviation", "DESC": "description", "ENTY": "thing", "HUM": "person", "LOC": "place", "NUM": "number",
}  # fmt: skip


def read_trec(data: Path | None, split_name: str) -> list[tuple[str, str]]:
    """Return (kind, question) of nltk_data's qc.zip, found in a folder or under its `nltk_text`.

    Raises:
        ModelError: it is not there.
    """
    tried = [] if data is None else [data, data / "qc.zip", data / "nltk_text" / "qc.zip"]
    path = next((each for each in tried if each.is_file()), None)
    if path is None:
        raise ModelError("the questions of TREC are not there: give --data with nltk_data's packages/corpora/qc.zip")
    with zipfile.ZipFile(path) as archive:
        lines = archive.read(f"qc/{split_name}.txt").decode("latin-1").splitlines()
    pairs = [line.partition(" ") for line in lines if line.strip()]
    return [(KINDS[kind.partition(":")[0]], question) for kind, _, question in pairs]
