"""Small files of a run folder that hold one JSON object: run.json, results.json and what lies beside them."""

import json
from pathlib import Path
from typing import Any

from agents.errors import RunError
from agents.ordinary_file import read_ordinary

# Bytes; the largest of them has a line for each question.
LARGEST = 1 << 28


def read_facts(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one where there is no such file.

    Raises:
        RunError: it cannot be read, or holds something else.
    """
    try:
        found = json.loads(read_ordinary(path, most=LARGEST))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"cannot read {path}: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise RunError(f"{path}: a JSON object is expected; this is a {type(found).__name__}")
    return found
