"""What is in a run folder: only what runs put there is ever removed, and no link in it is followed.

A run folder may come from somebody else. A link in it would have a later session write, or sweep, somewhere else.
"""

import contextlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from agents.errors import RunError, writing_failed
from debate.run_folder.chain import STATUS

# What the run is.
JOURNAL = "journal.log"
# What it is in checksums, signed.
MANIFEST = "manifest.json"
# Of every run, whatever played it; a half-written one has the name of the whole.
FILES = {
    JOURNAL, MANIFEST, STATUS, "config.yaml", "log.jsonl", "cancel", "results.json",
    "samples.jsonl", "label_tokens.json", "energy.json", "budgets.json", "turns.parquet", "report.html", "plan.json",
}  # fmt: skip
# Those that are written in place.
ADDED_TO = {JOURNAL, "log.jsonl", "lock"}
# Folders of it: the CIPHER messages, and what is derived in lm-eval's layout.
MESSAGES, LM_EVAL = "messages", "lm_eval"
METHOD_FILES = {"config.yaml", "transcript.jsonl", "timings.jsonl", "effects.json"}
_MESSAGE = re.compile(r"[0-9a-f]{64}\.safetensors|\..+\.safetensors\..+")
_SHARD = re.compile(r"[0-9a-f]{2}")
_LM_EVAL_FILE = re.compile(r"(samples|results)_.+\.jsonl?")


def refuse_all_but_files(run: Path) -> None:
    """Raise RunError where anything in a run folder is a link, or neither a file nor a folder.

    A pipe would be waited for, and a device has no end. The folder's own path may be a link: the user named it.
    """
    for entry in _tree(run):
        if entry.is_symlink():
            raise RunError(
                f"{entry.path} is a link, and a run folder holds none: what lies behind it is not the run's. Nothing was "
                "changed. Remove it, or put the files themselves there."
            )
        if not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
            raise RunError(
                f"{entry.path} is a pipe, a socket or a device, and a run folder holds files and folders alone. Nothing was "
                "changed. Remove it."
            )


def refuse_shared(run: Path) -> None:
    """Raise RunError where a file that a run adds to is one file with another elsewhere (a hard link).

    What is written whole is put in the place of such a file, and leaves the other as it is.
    """
    for name in sorted(ADDED_TO):
        try:
            facts = os.lstat(run / name)
        except OSError:
            # Not there yet, or told when it is opened.
            continue
        if facts.st_nlink > 1 and stat.S_ISREG(facts.st_mode):
            raise RunError(
                f"{run / name} is the same file as another elsewhere (a hard link), which would be written as well. Nothing "
                "was changed. Put a copy in its place, or choose another folder with --out."
            )


def open_inside(path: str, flags: int) -> int:
    """Open a file of a run folder, unless it is a link by now; an `opener` of `open`."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)


def sweep_messages(folder: Path, kept: Collection[str]) -> int:
    """Remove from a folder of messages what is called as one, or as one half written, and is none of those kept.

    Args:
        folder: folder of shards, each named by two hexadecimal digits.
        kept: names of files.

    Returns:
        how many files were removed.
    """
    shards = [entry.name for entry in _entries(folder) if _SHARD.fullmatch(entry.name)]
    return sum(
        _remove(folder / shard, lambda name: bool(_MESSAGE.fullmatch(name)) and name not in kept) for shard in shards
    )


def remove_run(run: Path, methods: Collection[str], forget: Callable[[], object]) -> list[str]:
    """Remove what a run left in its folder, but for its lock; return the names of what is left, since no run made it.

    A process that is killed in between leaves the run as it was but for what can be derived again, or a run without records.

    Args:
        run: the folder.
        methods: the run's, which are folders in it.
        forget: leaves a journal without records there.
    """
    remove_lm_eval(run / LM_EVAL)
    for name in methods:
        _remove(run / name, lambda file: _whole(file) in METHOD_FILES)
    _remove(run, lambda file: _whole(file) in FILES - {JOURNAL, STATUS})
    # It says how many records there are.
    _remove(run, lambda file: _whole(file) == STATUS)
    forget()
    sweep_messages(run / MESSAGES, ())
    _remove_emptied([*_folders(run / MESSAGES), run / MESSAGES, *(run / name for name in methods)])
    return sorted(entry.name for entry in _entries(run) if entry.name not in ("lock", JOURNAL))


def remove_lm_eval(folder: Path) -> None:
    """Remove lm-eval's files from a folder of them, METHOD/MODEL/FILE, and the folders that are empty then."""
    methods = _folders(folder)
    models = [model for method in methods for model in _folders(method)]
    for model in models:
        _remove(model, lambda name: bool(_LM_EVAL_FILE.fullmatch(name)))
    _remove_emptied([*models, *methods, folder])


def _remove_emptied(folders: Iterable[Path]) -> None:
    for folder in folders:
        # What is not empty holds something that no run made.
        with contextlib.suppress(OSError):
            folder.rmdir()


def _tree(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder, looking behind no link."""
    for entry in _entries(folder):
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _tree(Path(entry.path))


def _folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RunError(f"cannot read {folder}: {error.strerror}") from error


def _remove(folder: Path, is_ours: Callable[[str], bool]) -> int:
    """Remove files of a folder by their names, below a handle of the folder; return how many. Folders in it stay."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise writing_failed(folder, error) from error
    try:
        with os.scandir(handle) as entries:
            names = [entry.name for entry in entries if is_ours(entry.name) and not entry.is_dir(follow_symlinks=False)]
        for name in names:
            os.unlink(name, dir_fd=handle)
    except OSError as error:
        raise writing_failed(folder, error) from error
    finally:
        os.close(handle)
    return len(names)


def _whole(name: str) -> str:
    """Return the name that a file gets when it is complete."""
    return name.removeprefix(".").removesuffix(".part") if name.endswith(".part") else name
