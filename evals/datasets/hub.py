"""Rows of a dataset on the hub, at one commit. Nothing of a repository is run: only its data files are read.

The commits that tasks name were read in public code that pins them; they were not fetched when this was written, and
`main` stands where none was found. Whatever the name, it is resolved to a commit first, rows are read at that commit,
and the commit is what `Loaded.source` says: a run that took `main` can be repeated with `revision=`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.errors import MissingDependency, TaskError, first_line
from evals.datasets.rows import DataRow

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubSource:
    """A dataset on the hub.

    Attributes:
        repository: its id, or a local folder in its layout.
        config: the configuration; None where there is one only.
        revision: a commit, or `main` where none is known.
        splits: our name of a split → the repository's.
    """

    repository: str
    config: str | None = None
    revision: str = "main"
    splits: Mapping[str, str] = field(default_factory=lambda: {"test": "test"})


def hub_rows(source: HubSource, split: str, revision: str | None = None) -> tuple[str, Iterator[DataRow]]:
    """Return repository@commit and the rows of a split.

    Args:
        source: the dataset.
        split: our name of it.
        revision: in place of the source's.

    Raises:
        MissingDependency: `datasets` is not installed.
        TaskError: the repository, revision or split cannot be had; the message says how to do without.
    """
    try:
        import datasets
        from huggingface_hub import HfApi
    except ModuleNotFoundError as error:
        raise MissingDependency(f"{source.repository} from the hub", str(error.name), "evals") from error
    wanted = revision or source.revision
    local = Path(source.repository).is_dir()
    try:
        if not local and not _COMMIT.fullmatch(wanted):
            wanted = HfApi().dataset_info(source.repository, revision=wanted).sha or wanted
        rows = datasets.load_dataset(
            source.repository, source.config, split=source.splits[split], revision=None if local else wanted
        )
    except Exception as error:
        # The libraries raise whatever their transports do; all of it is for the user to mend.
        first = first_line(error)
        raise TaskError(
            f"cannot get {source.repository} ({source.config or 'default'}, {split}, {wanted}) from the hub: {first} "
            "Give a local file or folder with --data."
        ) from error
    label = source.repository if local else f"{source.repository}@{wanted}"
    return label, (
        DataRow(dict(row), number, f"{label}, {split}: row {number}", source.repository)
        for number, row in enumerate(rows, start=1)
    )
