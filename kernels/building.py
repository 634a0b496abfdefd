"""Libraries that are built once with the user's own compiler and kept in the cache folder.

They speak plain C, so that a build takes seconds and does not depend on torch's version. Built files lie in
$CIPHER_DEBATE_HOME/kernels (~/.cache/cipher-debate/kernels by default), one for each state of the sources, command and compiler.
"""

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_COMPILERS = ("g++", "clang++", "c++")
# Of each function: its arguments, and what it returns.
Signatures = Mapping[str, tuple[list[type], type | None]]


class BuildFailed(Exception):
    """The library could not be built; the message is the reason given to the user."""


def cache_folder() -> Path:
    """Where built libraries are kept."""
    home = os.environ.get("CIPHER_DEBATE_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "cipher-debate") / "kernels"


def build(
    stem: str,
    compiler: Sequence[str],
    flags: Sequence[str],
    sources: Sequence[Path],
    read: Iterable[Path],
    facts: str = "",
) -> Path:
    """The library that `compiler` makes of `sources`, built unless that was done before.

    Args:
        stem: how the file's name begins.
        compiler: its command.
        flags: its options.
        sources: what it is given.
        read: every file that may be included, the sources among them.
        facts: what else the result depends on.

    Raises:
        BuildFailed: the compiler failed; the message has the end of what it said.
    """
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    key = hashlib.sha256()
    for part in (*(path.read_text(encoding="utf-8") for path in sorted(read)), *compiler, *flags, version, facts):
        key.update(part.encode() + b"\0")
    built = cache_folder() / f"{stem}-{key.hexdigest()[:16]}.so"
    if built.exists():
        return built
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        target = Path(folder) / built.name
        command = [*compiler, *flags, "-o", str(target), *map(str, sources)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BuildFailed(f"{shlex.join(compiler)} failed: {done.stderr.strip()[-500:]}")
        # Two processes may build at once: each renames a complete file over the other's.
        target.replace(built)
    return built


def opened(build: Callable[[], Path], signatures: Signatures) -> tuple[ctypes.CDLL | None, str | None]:
    """The loaded library that `build` makes, its functions declared; or why there is none."""
    try:
        loaded = ctypes.CDLL(str(build()))
    except (BuildFailed, OSError) as error:
        return None, str(error)
    for name, (arguments, result) in signatures.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, result
    return loaded, None


def cpp_compiler() -> list[str]:
    """The C++ compiler's command: $CXX, or the first one found.

    Raises:
        BuildFailed: there is none.
    """
    given = os.environ.get("CXX")
    for command in [shlex.split(given)] if given else [[name] for name in _COMPILERS]:
        if shutil.which(command[0]):
            return command
    raise BuildFailed(f"no C++ compiler found (looked for {given or ', '.join(_COMPILERS)}); set CXX to use another")
