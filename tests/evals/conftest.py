"""Where benchmark files are, for the tests that need one: CIPHER_DEBATE_DATA, or shared/data beside the checkout."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def benchmark():
    """Return a function: path under the data folder → the path; the test skips where it is not there."""
    root = Path(os.environ.get("CIPHER_DEBATE_DATA") or BESIDE)

    def find(name):
        path = root / name
        if not path.exists():
            pytest.skip(f"no {name} in {root}: set CIPHER_DEBATE_DATA to a folder of benchmark files")
        return path

    return find
