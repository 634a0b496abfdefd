"""Names that become files or folders: one path component, nothing that a system reads as something else."""

from agents.errors import ConfigError

MAX_BYTES = 200


def check_component(name: str, kind: str) -> str:
    """Return a name that may stand as one file or folder.

    Raises:
        ConfigError: empty, `.` or `..`, with a slash, backslash or control character, or too long for a file system.
    """
    reason = _reason(name)
    if reason is None:
        return name
    shown = name if len(name) <= 60 else name[:60] + "…"
    raise ConfigError(f"a {kind} cannot be called {shown!r}: {reason}. It names a folder; use letters, digits, - and _")


def is_component(name: str) -> bool:
    """Whether a name may stand as one file or folder."""
    return _reason(name) is None


def _reason(name: str) -> str | None:
    if not name.strip():
        return "it is empty"
    if name in (".", ".."):
        return "it means a folder"
    if any(character in "/\\" for character in name):
        return "it has a slash"
    if not name.isprintable():
        return "it has a character that cannot be printed"
    if len(name.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return f"it is longer than {MAX_BYTES} bytes"
    return None
