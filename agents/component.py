"""Names that become files or folders: one path component, nothing that a system reads as something else."""

from agents.errors import ConfigError

MAX_BYTES = 200


def check_component(name: str, kind: str) -> str:
    """Return a name that may stand as one file or folder.

    Raises:
        ConfigError: empty, `.` or `..`, with a slash, backslash or control character, or too long for a file system.
    """
    reason = None
    if not name.strip():
        reason = "it is empty"
    elif name in (".", ".."):
        reason = "it means a folder"
    elif any(character in "/\\" for character in name):
        reason = "it has a slash"
    elif not name.isprintable():
        reason = "it has a character that cannot be printed"
    elif len(name.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        reason = f"it is longer than {MAX_BYTES} bytes"
    if reason is None:
        return name
    shown = name if len(name) <= 60 else name[:60] + "…"
    raise ConfigError(f"a {kind} cannot be called {shown!r}: {reason}. It names a folder; use letters, digits, - and _")
